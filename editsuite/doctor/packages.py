"""Packages: torch and its devices, and what the pytest face stands on."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from packaging.version import Version

from editsuite.doctor.row import ROOT, Row, Status, pip_command, setup_command


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def package_row(distribution: str, minimum: str, use: str) -> Row:
    """Say whether a distribution is there in a sufficient version.

    Args:
        distribution: Its name.
        minimum: The lowest version that will do.
        use: What it is for.
    """
    version = installed(distribution)
    mend = pip_command(f"{distribution}>={minimum}")
    if version is None:
        return Row(distribution, Status.MISSING, f"not installed; {use}", mend)
    if Version(version) < Version(minimum):
        return Row(distribution, Status.MISSING, f"{version}; {use}: from {minimum} on", mend)
    return Row(distribution, Status.OK, version)


def torch_row() -> Row:
    """Say which torch is there, for which devices it was built, and its threads."""
    if installed("torch") is None:
        return Row("torch", Status.MISSING, "not installed", setup_command())
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    detail = f"{torch.__version__}, {build}, {torch.get_num_threads()} threads"
    return Row("torch", Status.OK, detail)


def devices_row() -> Row:
    """List the GPUs that torch sees; warn where the machine has one and torch has none."""
    if installed("torch") is None:
        return Row("devices", Status.WARNING, "unknown without torch", setup_command())
    import torch

    if torch.cuda.is_available():
        places = range(torch.cuda.device_count())
        return Row("devices", Status.OK, "; ".join(_gpu(place) for place in places))
    if torch.backends.mps.is_available():
        return Row("devices", Status.OK, "Apple GPU (mps) and CPU")
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        detail = "CPU only: there is an NVIDIA driver, but this torch sees no GPU"
        return Row("devices", Status.WARNING, detail, setup_command(anew=True))
    return Row("devices", Status.OK, "CPU only")


def _gpu(place: int) -> str:
    import torch

    free, total = torch.cuda.mem_get_info(place)
    name = torch.cuda.get_device_name(place)
    return f"cuda:{place} {name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"


def plugin_row() -> Row:
    """Say whether pytest will find the plugin: its entry point is registered and importable."""
    mend = pip_command("-e", str(ROOT)) if (ROOT / "pyproject.toml").is_file() else setup_command()
    entries = importlib.metadata.entry_points(group="pytest11", name="editsuite")
    if not entries:
        return Row("pytest plugin", Status.MISSING, "not registered with pytest", mend)
    module = next(iter(entries)).module
    if importlib.util.find_spec(module) is None:
        return Row("pytest plugin", Status.MISSING, f"registered, but no module {module}", mend)
    return Row("pytest plugin", Status.OK, f"registered ({module})")
