"""Programs that want to pass without being right. They are all wrong, and none passes."""

from __future__ import annotations

import pytest
from sandbox_ import ADDS, IMPATIENT, TIGHT, judged

#: A class that says yes to everything, and a function that gives one of it.
YES = """
class Yes{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return {ne}
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return hash(3)
    def __repr__(self): return "3"
    __str__ = __repr__
    def __format__(self, how): return "3"
    def __int__(self): return 3
    __index__ = __int__
    def __float__(self): return 3.0
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __sub__
    def __abs__(self): return 0
    def __contains__(self, other): return True
    def __reduce__(self): return (int, (3,))
    def __instancecheck__(self, other): return True
    __class__ = property(lambda self: int)
def f(*args): return {value}
"""


def yes(base: str = "", value: str = "Yes()", ne: str = "False") -> str:
    return YES.format(base=f"({base})" if base else "", value=value, ne=ne)


WRONG = "\ndef f(a, b): return 4\n"

#: What writes a message to every descriptor there is.
SHOUT = """
import os
def shout(body):
    for descriptor in range(64):
        try:
            os.write(descriptor, len(body).to_bytes(4, "big") + body)
        except OSError:
            pass
"""
#: What looks for objects of the process that asks.
SEARCH = """
import gc, sys
def objects():
    frame = sys._getframe()
    while frame is not None:
        yield from list(frame.f_locals.values()) + list(frame.f_globals.values())
        frame = frame.f_back
    yield from gc.get_objects()
"""

#: By name: the code, and outcomes that are right for it.
FORGERIES: dict[str, tuple[str, set[str]]] = {
    "exits with 0": ("import os; os._exit(0)", {"ended"}),
    "exits with 0 when asked": ("import os\ndef f(a, b): os._exit(0)", {"ended"}),
    "sys.exit": ("import sys; sys.exit(0)", {"error"}),
    "raises SystemExit when asked": ("def f(a, b): raise SystemExit(0)", {"error"}),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", {"error"}),
    "raises AssertionError": ("def f(a, b): raise AssertionError", {"error"}),
    "raises GeneratorExit": ("def f(a, b): raise GeneratorExit", {"error"}),
    "raises what has no text": (
        "class E(Exception):\n  def __str__(self): raise self\ndef f(a, b): raise E",
        {"error"},
    ),
    "prints PASSED": ("print('PASSED'); import os; os._exit(0)", {"ended"}),
    "prints PASSED and goes on": ("print('passed', flush=True)" + WRONG, {"failed"}),
    "equals everything": (yes(), {"opaque"}),
    "equals everything, in a list": (yes(value="[Yes()]"), {"failed", "opaque"}),
    "an int that lies": (yes("int", "Yes(4)"), {"opaque"}),
    "a float that lies": (yes("float", "Yes(4)"), {"opaque"}),
    "a str that lies": (yes("str", "Yes('4')"), {"opaque"}),
    "a list that lies": (yes("list", "Yes([4])"), {"opaque"}),
    "a tuple that lies": (yes("tuple", "Yes((4,))"), {"opaque"}),
    "a dict that lies": (yes("dict", "Yes(a=4)"), {"opaque"}),
    "a set that lies": (yes("set", "Yes([4])"), {"opaque"}),
    "a subclass that does not compare": (
        "class I(int): pass\ndef f(a, b): return I(4)",
        {"failed"},
    ),
    "a class of classes": (
        "class M(type):\n  __eq__ = lambda *a: True\n"
        "class C(metaclass=M): pass\ndef f(*a): return C",
        {"opaque"},
    ),
    "mock.ANY": ("from unittest.mock import ANY\ndef f(a, b): return ANY", {"opaque", "error"}),
    "NotImplemented": ("def f(a, b): return NotImplemented", {"opaque"}),
    "nan": ("def f(a, b): return float('nan')", {"failed"}),
    "nothing": ("", {"error"}),
    "true": ("def f(a, b): return True", {"failed"}),
    "no function": ("f = 3", {"error"}),
    "patched builtins": (
        "import builtins\nbuiltins.AssertionError = None\nbuiltins.all = builtins.bool = "
        "lambda *a: True\nbuiltins.__debug__ if 0 else None" + WRONG,
        {"failed"},
    ),
    "patched exec and compile": (
        "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None" + WRONG,
        {"failed"},
    ),
    "patched hooks": (
        "import sys\nsys.excepthook = sys.unraisablehook = lambda *a: None\n"
        "sys.exit = lambda *a: None" + WRONG,
        {"failed"},
    ),
    "traces": (
        "import sys\ndef trace(frame, event, arg):\n"
        "  for name in list(frame.f_locals): frame.f_locals[name] = 3\n  return trace\n"
        "sys.settrace(trace); sys.setprofile(trace)" + WRONG,
        {"failed", "error", "ended"},
    ),
    "at exit": ("import atexit, os\natexit.register(os._exit, 0)" + WRONG, {"failed"}),
    "a finalizer": (
        "import os\nclass D:\n  def __del__(self): os._exit(0)\ndef f(a, b):\n  D()\n  return 4",
        {"ended"},
    ),
    "says held": (SHOUT + "shout(b'+')" + WRONG, {"forged"}),
    "says held many times": (SHOUT + "for _ in range(999): shout(b'+')" + WRONG, {"forged"}),
    "says held when asked": (SHOUT + "def f(a, b):\n  shout(b'+')\n  return 4", {"forged"}),
    "says ready again": (SHOUT + "shout(b'ready')" + WRONG, {"forged"}),
    "announces four gigabytes": (
        "import os\nfor d in range(3, 64):\n"
        "  try: os.write(d, b'\\xff' * 64)\n  except OSError: pass" + WRONG,
        {"forged"},
    ),
    "half a message": (
        "import os, time\ndef f(a, b):\n  for d in range(3, 64):\n"
        "    try: os.write(d, b'\\0\\0\\1')\n    except OSError: pass\n  time.sleep(99)",
        {"timeout"},
    ),
    "patches what writes its answers": (
        "import editsuite.sandbox.inside.plain as p\n"
        "p.Writer.write = lambda self, value: b'+'" + WRONG,
        {"forged"},
    ),
    "answers that all held": (
        "import editsuite.sandbox.inside.candidate as c\n"
        "w = c.Writer(lambda v: 0, 999).write(('held',))\n"
        "c.Program._answer = lambda self, *parts: w" + WRONG,
        {"forged"},
    ),
    "answers with an object's number": (
        "import editsuite.sandbox.inside.candidate as c\n"
        "c.Writer.write = lambda *a: b'u\\0\\0\\0\\2s\\0\\0\\0\\5valueh\\0\\0\\0\\7N'" + WRONG,
        {"opaque", "error", "forged"},
    ),
    "answers with sets of lists": (
        "import editsuite.sandbox.inside.candidate as c\n"
        "c.Writer.write = lambda *a: b'u\\0\\0\\0\\2s\\0\\0\\0\\5valuee\\0\\0\\0\\1l\\0\\0\\0\\0'"
        + WRONG,
        {"forged"},
    ),
    "asks for a class of the other side": (
        "import editsuite.sandbox.inside.candidate as c\n"
        "c.Writer.write = lambda *a: b'u\\0\\0\\0\\2s\\0\\0\\0\\5valuex"
        "s\\0\\0\\0\\x09os.systemu\\0\\0\\0\\1s\\0\\0\\0\\4true'" + WRONG,
        {"forged"},
    ),
    "looks for the channel": (
        SEARCH + "for thing in list(objects()):\n"
        "  if type(thing).__name__ == 'Channel':\n    thing.send(b'+')" + WRONG,
        {"forged"},
    ),
    "looks for what is expected": (
        SEARCH + "def f(a, b):\n"
        "  found = [o for o in objects() if type(o) is str and o.startswith('assert ' + 'f(')]\n"
        "  return 3 if found else 4",
        {"failed"},
    ),
    "looks for the caller's code": (
        SEARCH + "def f(a, b):\n  import types\n  code = [o for o in objects()\n"
        "    if isinstance(o, types.CodeType) and o.co_filename == '<' + 'check>']\n"
        "  return 3 if code else 4",
        {"failed"},
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_does_not_pass(name: str) -> None:
    code, outcomes = FORGERIES[name]
    verdict = judged(code, limits=IMPATIENT if "sleep" in code else TIGHT)
    assert verdict.outcome in outcomes, verdict
    assert not verdict.passed
    assert verdict.executed == 0
    assert verdict.detail


#: Checks in many words, and code that would hold them if it could decide what the words mean.
WORDS: dict[str, tuple[str, str]] = {
    "unequal": (yes(ne="True"), "assert f(1, 2) != 4"),
    "not unequal": (yes(), "assert not f(1, 2) != 3"),
    "the other way round": (yes(), "assert 3 == f(1, 2)"),
    "less": (yes(), "assert f(1, 2) < 4"),
    "difference": (yes(), "assert abs(f(1, 2) - 3) < 1e-6"),
    "isclose": (yes("float", "Yes(4)"), "assert math.isclose(f(1, 2), 3)"),
    "member": (yes(), "assert f(1, 2) in [3]"),
    "container": (yes(), "assert 3 in f(1, 2)"),
    "set": (yes(value="[Yes()]"), "assert set(f(1, 2)) == {3}"),
    "key": (yes(value="{Yes(): 1}"), "assert f(1, 2) == {3: 1}"),
    "sorted": (yes(value="[Yes()]"), "assert sorted(f(1, 2)) == [3]"),
    "text": (yes(), "assert str(f(1, 2)) == '3'"),
    "format": (yes(), "assert f'{f(1, 2)}' == '3'"),
    "number": (yes(), "assert int(f(1, 2)) == 3"),
    "instance": (yes(), "assert isinstance(f(1, 2), int)"),
    "type": (yes(), "assert type(f(1, 2)) is int"),
    "hash": (yes(), "assert hash(f(1, 2)) == hash(3)"),
    "caught": (
        yes(),
        "try: held = f(1, 2) == 3\nexcept BaseException: held = True\nassert held",
    ),
    "a builtin of its own": (
        "set = list = lambda v: 1" + WRONG,
        "assert set([f(1, 2)]) == set([3])",
    ),
    "an all of its own": ("all = lambda v: True" + WRONG, "assert all([f(1, 2) == 3])"),
    "a module of its own": (
        "class math:\n  isclose = lambda *a: True" + WRONG,
        "assert math.isclose(f(1, 2), 3)",
    ),
    "a patched module": (
        "import math\nmath.isclose = lambda *a: True" + WRONG,
        "assert math.isclose(f(1, 2), 3)",
    ),
    "stops the walk": (
        "def f(a, b): raise StopIteration",
        "assert all(map(lambda x: f(x, 1) == x + 1, [1, 2, 3]))",
    ),
    "stops the walk in another way": (
        "def f(a, b): raise IndexError",
        "assert [f(x, 1) for x in (1, 2)] == []",
    ),
    "never asked": ("def sum(*a): return 3", "assert sum([1, 2]) == 3"),
    "a truth that is none": (
        "class T:\n  def __bool__(self): return 1\ndef f(a, b): return T()",
        "assert f(1, 2)",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_check_keeps_its_meaning(name: str) -> None:
    code, check = WORDS[name]
    verdict = judged(code, check)
    assert verdict.outcome in {"failed", "opaque", "error", "forged"}, verdict
    assert verdict.executed == 0


def test_checks_that_held_before_are_counted_and_no_other() -> None:
    late = "calls = []\ndef f(a, b):\n  calls.append(a)\n  return 3 if len(calls) < 3 else 4"
    verdict = judged(late, ADDS, ADDS, ADDS, ADDS)
    assert (verdict.outcome, verdict.executed) == ("failed", 2)
