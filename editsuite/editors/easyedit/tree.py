"""Where EasyEdit is: a tree that the user names, or an installed package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from editsuite.errors import OptionError

#: Names the folder of a checkout; wins over an installed package.
HOME = "EASYEDIT_HOME"
PACKAGE = "easyeditor"
#: The one release that carries code, and how to have it without its pins of 2023.
INSTALL = "pip install --no-deps easyeditor==0.0.1.dev0"
#: What every method needs.
PARTS = ("models", "util/nethook.py", "util/hparams.py")


@dataclass(frozen=True)
class Tree:
    """An EasyEdit on this machine.

    Attributes:
        root: the folder of its package ``easyeditor``.
        version: the release; ``tree`` for a checkout, which has none.
        commit: the checkout's commit, where its ``.git`` is at hand.
        hparams: the folder of its hyperparameter files; only checkouts have one.
    """

    root: Path
    version: str
    commit: str | None
    hparams: Path | None


def find_tree(environment: Mapping[str, str] = os.environ) -> Tree:
    """Find EasyEdit; nothing of it is imported.

    Raises:
        OptionError: there is none, or it lacks what the bridge needs; the message names the mend.
    """
    home = environment.get(HOME, "").strip()
    root = _of_home(Path(home).expanduser().absolute()) if home else _installed()
    for part in PARTS:
        if not (root / part).exists():
            raise OptionError(
                f"the EasyEdit in {root} has no {part}; it is no whole copy: get it anew, name "
                f"another with {HOME}, or {INSTALL}"
            )
    above = root.parent
    hparams = above / "hparams"
    return Tree(
        root,
        "tree" if home else _version(),
        _commit(above / ".git") if home else None,
        hparams if home and hparams.is_dir() else None,
    )


def _of_home(home: Path) -> Path:
    for folder in (home / PACKAGE, home):
        if folder.name == PACKAGE and folder.is_dir():
            return folder
    raise OptionError(
        f"{HOME} is {home}, where there is no folder {PACKAGE}; name the folder of an EasyEdit "
        f"checkout, or unset it and {INSTALL}"
    )


def _installed() -> Path:
    # Not importlib.util.find_spec: it trusts a module of that name that somebody has imported.
    spec = PathFinder.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if places:
        return Path(places[0])
    hint = ""
    try:
        version("easyedit")
        hint = " (the package easyedit, which is installed, is an empty one of another name)"
    except PackageNotFoundError:
        pass
    raise OptionError(
        f"there is no EasyEdit here{hint}; set {HOME} to the folder of a checkout, or {INSTALL}"
    )


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def _commit(git: Path) -> str | None:
    """The commit that HEAD names; None where that cannot be read off the files."""
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        reference = head.removeprefix("ref: ")
        loose = git / reference
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        lines = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = [line.split()[0] for line in lines if line.endswith(f" {reference}")]
    return found[0] if found else None
