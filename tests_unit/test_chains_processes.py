"""Chains in other processes: edited once by two, and killed at any moment to no harm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# One interpreter imports torch once and forks; the children start before any thread of torch.
_HEAD = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from chains_ import FakeEditor, bits, chain_of, model
root = Path(sys.argv[2])
loaded = model()

def child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid

def whole(name, edits, editor):
    digest = root / f"{name}.digest"
    def work():
        chain = chain_of(editor, root / name)
        chain.ensure(edits)
        digest.write_text(chain.digest(edits))
    assert os.waitstatus_to_exitcode(os.waitpid(child(work), 0)[1]) == 0
    return digest.read_text()
"""

_TWO = """
def slowly(requests):
    time.sleep(0.02)

editor = FakeEditor(loaded, log=root / "log", before=slowly)
def work():
    while time.time() < start:
        pass
    chain = chain_of(editor, root / "shared")
    chain.ensure(12)
    (root / f"{os.getpid()}.end").write_text(chain.digest(12))
start = time.time() + 0.3
pids = [child(work) for _ in range(3)]
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
alone = whole("alone", 12, FakeEditor(loaded))
print(json.dumps({
    "codes": codes,
    "log": (root / "log").read_text().split(),
    "ends": [(root / f"{pid}.end").read_text() for pid in pids],
    "alone": alone,
}))
"""

_KILL = """
edits, draw = 150, random.Random(int(sys.argv[3]))
from chains_ import facts, plan_of
from dataclasses import replace
editor = FakeEditor(loaded)
plan = replace(plan_of(editor), requests=facts(edits))
def run():
    chain_of(editor, root / "killed", plan).ensure(edits)
def straight():
    chain = chain_of(editor, root / "straight", plan)
    chain.ensure(edits)
    (root / "straight.digest").write_text(chain.digest(edits))
began = time.time()
assert os.waitstatus_to_exitcode(os.waitpid(child(straight), 0)[1]) == 0
edit_seconds = (time.time() - began) / edits
def count():
    return len(list((root / "killed").glob("chains/*/*.safetensors")))
kept = [0]
for _ in range(20):
    # After some more edits are on the disk, at any moment of the next two: so the kills spread
    # over the chain however busy the machine is.
    wanted, pid = kept[-1] + draw.randint(0, 6), child(run)
    while count() < wanted:
        time.sleep(0.0005)
    time.sleep(draw.uniform(0, 2 * edit_seconds))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kept.append(count())
left = [p.name for p in (root / "killed").glob("chains/*/.*.part")]
def finish():
    chain = chain_of(editor, root / "killed", plan)
    chain.ensure(edits)
    chain.go(0)
    clean = bits(loaded)
    chain.go(edits)
    assert chain.state.digest() == chain.digest(edits)
    (root / "killed.digest").write_text(chain.digest(edits))
    (root / "clean").write_text(clean)
assert os.waitstatus_to_exitcode(os.waitpid(child(finish), 0)[1]) == 0
print(json.dumps({
    "kept": kept,
    "killed": (root / "killed.digest").read_text(),
    "straight": (root / "straight.digest").read_text(),
    "clean": (root / "clean").read_text(),
    "original": bits(loaded),
}))
"""


def run(program: str, root: Path, *arguments: str) -> dict[str, object]:
    here = str(Path(__file__).resolve().parent)
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", _HEAD + program, here, str(root), *arguments],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert out.returncode == 0, out.stderr
    held: dict[str, object] = json.loads(out.stdout)
    return held


def test_several_processes_edit_a_chain_once(tmp_path: Path) -> None:
    held = run(_TWO, tmp_path)
    assert held["codes"] == [0, 0, 0]
    assert held["log"] == [f"s{i}" for i in range(12)]
    assert held["ends"] == [held["alone"]] * 3


def test_a_chain_killed_twenty_times_ends_in_the_same_state(tmp_path: Path) -> None:
    held = run(_KILL, tmp_path, "1")
    kept = held["kept"]
    assert isinstance(kept, list)
    assert len(kept) == 21
    assert kept == sorted(kept), "a kill has cost an edit that was kept"
    assert len(set(kept)) >= 5, f"the kills fell together: {kept}"
    assert held["killed"] == held["straight"]
    assert held["clean"] == held["original"]
