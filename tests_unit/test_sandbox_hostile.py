"""Programs that want out, or want everything. None gets what it wants, and the next one runs."""

from __future__ import annotations

import errno
import os
import platform
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sandbox_ import ADDS, IMPATIENT, TIGHT, judged

from editsuite.sandbox import Verdict

#: Words in the programs below that stand for what a test has at hand.
SECRET, FOLDER, PARENT, PORT = "@SECRET@", "@FOLDER@", "@PARENT@", "@PORT@"
LIBC = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def syscall(*numbers):
    return libc.syscall(*[ctypes.c_long(n) for n in numbers])
"""
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers and code of x86_64")

#: Ways out. Each defines ``out``, which is true, or gives something, only outside.
OUT: dict[str, str] = {
    "the accounts": "def out(): return open('/etc/passwd').read()",
    "a way up": "def out(): return open('../../../../../../etc/passwd').read()",
    "a file of the user's": f"def out(): return open('{SECRET}').read()",
    "a folder of the user's": f"import os\ndef out(): return os.listdir('{FOLDER}')",
    "the home": "import os\ndef out(): return os.listdir(os.path.expanduser('~root'))",
    "all homes": "import glob\ndef out(): return glob.glob('/home/*') + glob.glob('/root/*')",
    "this repository": f"def out(): return open('{__file__}').read()",
    "the whole package": "def out():\n  import editsuite.errors as e\n  return e.__file__",
    "installed packages": "def out():\n  import numpy\n  return numpy.__file__",
    "their folder": "import os, glob\ndef out(): return glob.glob('/python/*/*/*-packages/*')",
    "the parent's environment": "def out(): return open('/proc/1/environ').read()",
    "its own environment": (
        "import os\ndef out(): return set(os.environ) - {'PWD', 'LC_CTYPE', 'PYTHONHASHSEED'}"
    ),
    "its memory": "def out(): return open('/proc/self/mem', 'rb').read(1)",
    "its descriptors": "import os\ndef out(): return os.listdir('/proc/self/fd')",
    "its parent's root": "import os\ndef out(): return os.listdir('/proc/1/root')",
    "the kernel's settings": "import os\ndef out(): return os.listdir('/sys')",
    "the kernel's log": LIBC + "def out(): return libc.klogctl(10, 0, 0) >= 0",
    "a disk": "import glob\ndef out(): return glob.glob('/dev/[svnx]d*') + glob.glob('/dev/loop*')",
    "memory devices": "def out(): return open('/dev/mem', 'rb').read(1) or 1",
    "the terminal": "def out(): return open('/dev/tty', 'w').write('x')",
    "a device of its own": (
        "import os, stat\ndef out():\n"
        "  os.mknod('/tmp/d', 0o600 | stat.S_IFBLK, os.makedev(8, 0))\n  return True"
    ),
    "writes at the root": "def out(): return open('/x', 'w').write('x')",
    "writes in the harness": (
        "import editsuite.sandbox.inside.plain as p\n"
        "def out(): return open(p.__file__, 'a').write('x')"
    ),
    "writes in the library": "import os\ndef out(): return open(os.__file__, 'a').write('x')",
    "writes in Python": "import sys\ndef out(): return open(sys.executable, 'ab').write(b'x')",
    "makes it writable": "import os\ndef out():\n  os.chmod(os.__file__, 0o777)\n  return True",
    "moves the library": "import os\ndef out():\n  os.rename('/python', '/tmp/p')\n  return True",
    "removes the harness": "import shutil\ndef out():\n  shutil.rmtree('/judge')\n  return True",
    "writes for the user": f"def out(): return open('{FOLDER}/x', 'w').write('x')",
    "writes a device": "def out(): return open('/dev/x', 'w').write('x')",
    "shared memory": "def out(): return open('/dev/shm/x', 'w').write('x')",
    "a hard link": "import os\ndef out():\n  os.link(os.__file__, '/tmp/x')\n  return True",
    "a symbolic link": (
        "import os\ndef out():\n  os.symlink('/etc/passwd', '/tmp/x')\n"
        "  return open('/tmp/x').read()"
    ),
    "a race of links": (
        f"import os\ndef out():\n  open('/tmp/a', 'w').close()\n  for n in range(300):\n"
        f"    os.symlink('{SECRET}' if n % 2 else '/tmp/a', '/tmp/n')\n"
        f"    os.replace('/tmp/n', '/tmp/x')\n    try:\n      found = open('/tmp/x').read()\n"
        f"    except OSError: continue\n    if found: return found"
    ),
    "the internet": "import socket\ndef out(): return socket.socket(socket.AF_INET)",
    "this machine": (
        f"import socket\ndef out(): return socket.create_connection(('127.0.0.1', {PORT}))"
    ),
    "six": "import socket\ndef out(): return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "a local socket": "import socket\ndef out(): return socket.socket(socket.AF_UNIX)",
    "an abstract socket": (
        "import socket\ndef out():\n  s = socket.socket(socket.AF_UNIX)\n"
        "  s.bind('\\0editsuite')\n  return True"
    ),
    "the routing table": "import socket\ndef out(): return socket.socket(socket.AF_NETLINK)",
    "raw packets": (
        "import socket\ndef out(): return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"
    ),
    "a name": "import socket\ndef out(): return socket.getaddrinfo('localhost', 80)",
    "a page": "import urllib.request as u\ndef out(): return u.urlopen('http://127.0.0.1').read()",
    "a signal to the parent": f"import os\ndef out():\n  os.kill({PARENT}, 0)\n  return True",
    "a signal to its group": f"import os\ndef out():\n  os.killpg({PARENT}, 0)\n  return True",
    "a signal to all": "import os\ndef out():\n  os.kill(-1, 9)\n  return True",
    "the end of all": "import os\ndef out():\n  os.kill(1, 9)\n  return os.getppid() != 1",
    "a debugger of the parent": LIBC + "def out(): return libc.ptrace(16, 1, 0, 0) == 0",
    "a debugger of itself": LIBC + "def out(): return libc.ptrace(0, 0, 0, 0) == 0",
    "a mount": LIBC + "def out(): return libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0) == 0",
    "a bind mount": LIBC + "def out(): return libc.mount(b'/', b'/tmp', b'', 4096, 0) == 0",
    "an unmount": LIBC + "def out(): return libc.umount2(b'/tmp', 2) == 0",
    "a writable root": LIBC + "def out(): return libc.mount(b'', b'/', b'', 32, 0) == 0",
    "another root": "import os\ndef out():\n  os.chroot('/tmp')\n  return True",
    "a user namespace": LIBC + "def out(): return libc.unshare(0x10000000) == 0",
    "a mount namespace": LIBC + "def out(): return libc.unshare(0x20000) == 0",
    "root": "import os\ndef out():\n  os.setuid(0)\n  return True",
    "root's group": "import os\ndef out():\n  os.setresgid(0, 0, 0)\n  return True",
    "groups": "import os\ndef out():\n  os.setgroups([0])\n  return True",
    "a set-uid file": (
        "import os, shutil, sys\ndef out():\n  shutil.copy(sys.executable, '/tmp/p')\n"
        "  os.chown('/tmp/p', 0, 0)\n  return True"
    ),
    "a name for the machine": "import socket\ndef out():\n  socket.sethostname('x')\n  return True",
    "a shell": "import os\ndef out(): return os.popen('id').read()",
    "su": "import os\ndef out(): os.execv('/bin/su', ['su'])",
    "the limits": (
        "import resource as r\ndef out():\n"
        "  r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n  return True"
    ),
    "a file without a name": "import os\ndef out(): return os.memfd_create('x')",
    "a core": "import resource as r\ndef out(): return r.getrlimit(r.RLIMIT_CORE) != (0, 0)",
}

#: System calls by the kernel's own numbers, past the C library.
RAW: dict[str, tuple[int, ...]] = {
    "clone": (56, 17, 0, 0, 0, 0),
    "clone with a user namespace": (56, 0x10000011, 0, 0, 0, 0),
    "clone3": (435, 0, 88),
    "vfork": (58,),
    "setns": (308, 0, 0),
    "bpf": (321, 0, 0, 0),
    "userfaultfd": (323, 1),
    "perf_event_open": (298, 0, 0, 0, 0, 0),
    "io_uring_setup": (425, 1, 0),
    "keyctl": (250, 0, -1, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "pidfd_open": (434, 1, 0),
    "shmget": (29, 0, 4096, 0o1600),
    "personality": (135, 0x40000),
    "open_tree": (428, -100, 0, 1),
    "a call of tomorrow": (500, 0),
}

#: Programs that take and take. The check is right for a sound program.
BOMBS: dict[str, tuple[str, set[str]]] = {
    "forks": ("import os\nwhile True: os.fork()", {"error"}),
    "forks and goes on": (
        "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
        {"timeout"},
    ),
    "spawns": ("import os\nos.posix_spawn('/lib/ld.so', ['ld.so'], {})", {"error"}),
    "runs a program": ("import subprocess\nsubprocess.run(['/lib/ld.so'])", {"error"}),
    "multiprocessing": (
        "import multiprocessing as m\nm.Process(target=print).start()",
        {"error"},
    ),
    "threads": (
        "import threading\nwhile True: threading.Thread(target=input, daemon=True).start()",
        {"error"},
    ),
    "a daemon": ("import os\nif os.fork(): os._exit(0)\nos.setsid()", {"error"}),
    "a list": ("x = [1]\nwhile True: x += x", {"memory", "killed"}),
    "one object": ("x = bytes(10**12)", {"memory"}),
    "many objects": ("x = []\nwhile True: x.append(bytes(99_999))", {"memory", "killed"}),
    "a mapping": ("import mmap\nx = [mmap.mmap(-1, 2**26) for _ in range(9)]", {"error", "memory"}),
    "memory when asked": ("def f(a, b):\n  x = 'x'\n  while True: x += x", {"memory", "killed"}),
    "memory in many processes": (
        "import os\nfor _ in range(9):\n  if not os.fork(): x = bytes(2**27)",
        {"error"},
    ),
    "ignores the end of memory": (
        "x = []\nwhile True:\n  try: x.append(bytes(9999))\n  except MemoryError: pass",
        {"timeout", "killed"},
    ),
    "prints for ever": ("while True: print('x' * 999)", {"output"}),
    "prints no line": ("import sys\nwhile True: sys.stdout.write('x' * 9999)", {"output"}),
    "complains for ever": ("import os\nwhile True: os.write(2, b'x' * 9999)", {"output"}),
    "prints when asked": ("code = 'x' * 999\ndef f(a, b):\n  while True: print(code)", {"output"}),
    "sleeps for ever": ("import time\ntime.sleep(1e6)", {"timeout"}),
    "computes for ever": ("while True: pass", {"timeout"}),
    "waits for input": ("input()", {"error"}),
    "waits for a signal": ("import signal\nsignal.pause()", {"timeout"}),
    "ignores every signal": (
        "import signal\nfor s in signal.valid_signals():\n"
        "  try: signal.signal(s, signal.SIG_IGN)\n  except OSError: pass\nwhile True: pass",
        {"killed", "timeout"},
    ),
    "handles every signal": (
        "import signal\nfor s in signal.valid_signals():\n"
        "  try: signal.signal(s, lambda *a: None)\n  except OSError: pass\nwhile True: pass",
        {"killed", "timeout"},
    ),
    "catches everything": (
        "import time\nwhile True:\n  try: time.sleep(9)\n  except BaseException: pass",
        {"timeout"},
    ),
    "a regular expression": ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", {"timeout"}),
    "a power": ("x = 9 ** 9 ** 9", {"timeout", "memory"}),
    "closes everything": ("import os\nos.closerange(0, 64)", {"ended"}),
    "closes everything and stays": (
        "import os, time\nos.closerange(0, 64)\ntime.sleep(99)",
        {"ended", "timeout"},
    ),
    "opens everything": ("x = [open('/dev/null') for _ in range(99)]", {"error"}),
    "pipes": ("import os\nx = [os.pipe() for _ in range(99)]", {"error"}),
    "fills its folder": (
        "for n in range(99):\n  open(f'/tmp/{n}', 'wb').write(bytes(2**16))",
        {"error"},
    ),
    "one file": ("open('/tmp/x', 'wb').write(bytes(2**24))", {"error"}),
    "a hole": ("import os\nos.truncate(open('/tmp/x', 'w').name, 2**40)", {"error"}),
    "folders in folders": (
        "import os\nwhile True:\n  os.mkdir('x')\n  os.chdir('x')",
        {"files"},
    ),
    "links": (
        "import itertools, os\nfor n in itertools.count(): os.symlink('x', str(n))",
        {"files"},
    ),
    "many files": (
        "import itertools\nfor n in itertools.count(): open(f'/tmp/{n}', 'w').close()",
        {"files"},
    ),
    "aborts": ("import os\nos.abort()", {"killed"}),
    "reads nowhere": ("import ctypes\nctypes.string_at(0)", {"killed"}),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", {"killed", "ended"}),
    "stops itself": ("import os\nos.kill(os.getpid(), 19)", {"timeout"}),
    "recurses": ("def f(a, b): return f(a, b)", {"error"}),
    "recurses without limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(a, b): return f(a, b)",
        {"killed", "memory", "timeout", "error"},
    ),
    "recurses in C": (
        "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
        {"killed", "memory", "error", "timeout"},
    ),
    "never ends its answer": (
        "import itertools\ndef f(a, b): return itertools.count()",
        {"opaque"},
    ),
    "a huge answer": ("def f(a, b): return 'x' * 10**6", {"opaque"}),
    "a huge number": ("def f(a, b): return 1 << 10**8", {"opaque", "memory"}),
    "an answer within itself": ("def f(a, b):\n  x = []\n  x.append(x)\n  return x", {"opaque"}),
    "an answer of many parts": (
        "def f(a, b):\n  x = []\n  for _ in range(40): x = [x, x]\n  return x",
        {"opaque", "timeout"},
    ),
    "a deep answer": (
        "def f(a, b):\n  x = 3\n  for _ in range(500): x = [x]\n  return x",
        {"opaque"},
    ),
    "no Python": ("def f(a, b", {"error"}),
    "a null byte": ("def f(a, b): return 3\n\0", {"error"}),
    "half a character": ("def f(a, b): return '\ud800'\nf = '\udfff", {"error"}),
    "many brackets": ("(" * 99_999, {"error", "memory", "killed"}),
    "ten megabytes": ("x = 1\n" * 1_700_000, {"error"}),
    "control characters": ("raise ValueError('\\x1b[2J\\x1b]0;owned\\x07')", {"error"}),
}
#: Those of them that only wait.
IDLE = {
    "sleeps for ever",
    "waits for a signal",
    "catches everything",
    "closes everything and stays",
    "stops itself",
}


@pytest.fixture
def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A secret file, a folder, this process and a socket that listens: all there, outside."""
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setenv("EDITSUITE_SECRET", "secret")
    return {
        SECRET: str(tmp_path / "secret"),
        FOLDER: str(tmp_path),
        PARENT: str(os.getpid()),
    }


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No process that a test started is there any more when it ends."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def wants_out(code: str, at_hand: dict[str, str]) -> Verdict:
    for word, value in at_hand.items():
        code = code.replace(word, value)
    return judged(code, "assert out()")


@pytest.mark.parametrize("name", OUT)
def test_there_is_no_way_out(name: str, at_hand: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at_hand[PORT] = str(server.getsockname()[1])
        verdict = wants_out(OUT[name], at_hand)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert verdict.outcome in {"failed", "error"}, verdict
    assert sorted(os.listdir(at_hand[FOLDER])) == ["secret"]


@X86
@pytest.mark.parametrize("name", RAW)
def test_a_system_call_is_refused(name: str) -> None:
    code = LIBC + f"def out():\n  return syscall(*{RAW[name]}), ctypes.get_errno()"
    refused = errno.ENOSYS if name in ("clone3", "a call of tomorrow") else errno.EPERM
    verdict = judged(code, f"assert out() == (-1, {refused})")
    assert verdict.passed, verdict


@X86
@pytest.mark.parametrize(
    "code",
    [
        LIBC + "syscall(0x40000000 + 39)",
        # mov eax, 20 (getpid); int 0x80; ret
        LIBC + "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\n"
        "m.write(bytes.fromhex('b814000000cd80c3'))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
    ],
    ids=["x32", "32 bits"],
)
def test_the_kernel_s_other_doors_are_deadly(code: str) -> None:
    verdict = judged(code)
    assert verdict.outcome == "killed", verdict
    assert "SIGSYS" in verdict.detail


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_hurts_nobody_else(name: str) -> None:
    code, outcomes = BOMBS[name]
    verdict = judged(code, limits=IMPATIENT if name in IDLE else TIGHT)
    assert verdict.outcome in outcomes, verdict
    assert len(verdict.stdout) <= 2100
    assert verdict.detail.isprintable()


@pytest.mark.parametrize(
    ("code", "check"),
    [
        ("import itertools\ndef f(a, b): return itertools.count()", "assert list(f(1, 2)) == [3]"),
        ("def f(a, b): return 10**5", "assert f(1, 2) ** f(1, 2) ** f(1, 2) == 3"),
        ("def f(a, b): return range(10**12)", "assert sorted(f(1, 2)) == [3]"),
        (
            "def f(a, b): return [n * (2**61 - 1) for n in range(10**4)]",
            "assert len(set(f(1, 2))) == 3",
        ),
    ],
    ids=["endless", "a power", "a range", "colliding hashes"],
)
def test_an_answer_that_ruins_the_checks_ruins_only_them(code: str, check: str) -> None:
    verdict = judged(code, check)
    assert verdict.outcome in {"timeout", "memory", "killed", "failed"}, verdict
    assert not verdict.passed


def test_nothing_is_left_in_the_folder_of_the_next() -> None:
    leaves = judged("open('/tmp/x', 'w').write('x')\ndef f(a, b): return a + b", ADDS)
    finds = judged("import os\ndef f(a, b): return os.listdir('/tmp')", "assert f(1, 2) == []")
    assert leaves.passed
    assert finds.passed


def test_the_limits_are_reached_only_by_what_is_beyond_them() -> None:
    """A sound program may use most of each."""
    fits = (
        f"def f(a, b):\n  x = bytes({TIGHT.memory_bytes // 4})\n"
        f"  open('/tmp/x', 'wb').write(bytes({TIGHT.files_bytes // 2}))\n"
        f"  print('x' * {TIGHT.output_bytes // 2})\n  return 'x' * {TIGHT.value_bytes // 2}"
    )
    verdict = judged(fits, f"assert len(f(1, 2)) == {TIGHT.value_bytes // 2}")
    assert verdict.passed, verdict
    assert verdict.stdout.startswith("xxx")
