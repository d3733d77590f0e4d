"""Kill a chain of real ROME edits at random moments; it must always end in the same state.

    python benchmarks/kill_chain.py --kills 20 --edits 6

One chain is edited without a break. Then processes that edit the same plan are started and
killed with SIGKILL, each at a random moment; whenever a chain is whole in spite of that, its
digests are compared and another is begun. The exit status is 1 where any differs.

The model is loaded once and the editing processes are forked, before torch starts a thread.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from editsuite.cards import LoadedModel, load_model, resolve_card, tiny_model
from editsuite.chains import Chain, Editing, open_chain
from editsuite.editors import method
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class Setup:
    """What every process edits.

    Attributes:
        loaded: the unedited model.
        requests: the facts.
        name: the editing method.
        layer: where to edit.
        hyperparameters: the method's settings.
        statistics: folder of prefixes and covariance, shared by all chains.
    """

    loaded: LoadedModel
    requests: tuple[EditRequest, ...]
    name: str
    layer: int
    hyperparameters: dict[str, object]
    statistics: Path

    def chain(self, cache: Path) -> Chain:
        """The chain, as far as the cache keeps it."""
        editing = Editing(
            method(self.name),
            (self.layer,),
            self.requests,
            "stones",
            hyperparameters=self.hyperparameters,
        )
        return open_chain(DecoderStack(self.loaded), editing, self.statistics, chains=cache)


def child(work: Callable[[], None]) -> int:
    """Fork a process that does the work; its id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


def finished(setup: Setup, cache: Path, edits: int) -> list[str]:
    """Edit what is missing, without a break; the digests of all states."""
    note = cache / "digests"

    def work() -> None:
        chain = setup.chain(cache)
        chain.ensure(edits)
        chain.go(0)
        chain.go(edits)  # as the journal has it, not as the edits left it
        note.write_text("\n".join(chain.digest(i) for i in range(edits + 1)), encoding="utf-8")

    cache.mkdir(parents=True, exist_ok=True)
    if os.waitstatus_to_exitcode(os.waitpid(child(work), 0)[1]) != 0:
        raise SystemExit("a process that nobody killed has failed; see above")
    return note.read_text(encoding="utf-8").split()


def kept(cache: Path) -> int:
    """Number of journal files."""
    return len(list(cache.glob("chains/*/*.safetensors")))


def kill_one(setup: Setup, cache: Path, edits: int, more: int, seconds: float) -> float:
    """Start a process on the chain and kill it so long after it has made some edits more.

    Returns:
        Seconds from the start to the kill.
    """
    wanted, began = min(kept(cache) + more, edits), time.perf_counter()
    pid = child(lambda: setup.chain(cache).ensure(edits))
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT  # look, and leave it to be waited for
    while kept(cache) < wanted:
        if os.waitid(os.P_PID, pid, ended) is not None and kept(cache) < wanted:
            raise SystemExit("a process has failed before it was killed; see above")
        time.sleep(0.001)
    time.sleep(seconds)
    moment = time.perf_counter() - began
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return moment


def run(setup: Setup, root: Path, kills: int, edits: int, draw: random.Random) -> bool:
    """Kill so many times; whether all chains ended as the unbroken one did."""
    setup.chain(root / "none")  # the prefixes, so that the time below is that of the edits
    began = time.perf_counter()
    expected = finished(setup, root / "straight", edits)
    each = (time.perf_counter() - began) / edits
    print(f"unbroken: {edits} edits, {each:.2f} s each, digest {expected[-1][:16]}")
    same, number = True, 1
    for kill in range(1, kills + 1):
        cache = root / f"chain-{number}"
        # Within the first edit or within the one after it: on a busy machine, too, the kills
        # spread over the chain.
        before, more = kept(cache), draw.randint(0, 1)
        seconds = kill_one(setup, cache, edits, more, draw.uniform(0, each))
        progress = f"edits {before} -> {kept(cache)}"
        print(f"kill {kill:3d}: chain {number}, after {seconds:6.3f} s, {progress}")
        if kept(cache) >= edits or kill == kills:
            digests = finished(setup, cache, edits)
            verdict = "same" if digests == expected else "DIFFERENT"
            same = same and digests == expected
            print(f"chain {number}: digest {digests[-1][:16]}, all {edits + 1} states {verdict}")
            number += 1
    return same


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--edits", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--method", default="rome_noc")
    parser.add_argument("--steps", type=int, default=5, help="v_num_grad_steps")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a card, or tiny")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.model == "tiny":
        loaded = tiny_model("llama")
    else:
        loaded = load_model(resolve_card(options.model), device="cpu")
    requests = tuple(
        EditRequest(f"The colour of the stone of Varn {i} is", f"stone of Varn {i}", "deep green")
        for i in range(options.edits)
    )
    given: dict[str, object] = {"v_num_grad_steps": options.steps, "n_contexts": 2}
    layer = loaded.card.layers["rome"][0]
    with tempfile.TemporaryDirectory(prefix="kill-chain-") as folder:
        root = Path(folder)
        setup = Setup(loaded, requests, options.method, layer, given, root / "statistics")
        same = run(setup, root, options.kills, options.edits, random.Random(options.seed))
    print("all ended in the same states" if same else "chains ended in DIFFERENT states")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
