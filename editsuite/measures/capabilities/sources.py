"""Where a benchmark's documents come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from editsuite.errors import CapabilityError, listing
from editsuite.measures.capabilities.documents import READERS, Subsets


class Source(Protocol):
    """Documents of datasets by name."""

    def documents(self, dataset: str) -> Subsets:
        """Documents of a dataset, by subset and split.

        Raises:
            CapabilityError: the dataset cannot be had here.
        """


@dataclass(frozen=True)
class LocalFiles:
    """A folder that holds the datasets' original files, each dataset in a folder of its own.

    Attributes:
        folder: what ``--edit-data`` names; its layout stands in docs/capabilities.md.
    """

    folder: Path

    def documents(self, dataset: str) -> Subsets:
        """Read a dataset.

        Raises:
            CapabilityError: the dataset is unknown, its files are absent, or one is damaged.
        """
        if dataset not in READERS:
            reason, mend = "no reader knows it", f"known are {listing(READERS)}"
            raise CapabilityError(dataset, self.folder, reason, mend)
        if not self.folder.is_dir():
            mend = "give --edit-data the folder that holds the datasets' folders"
            raise CapabilityError(dataset, self.folder, "is no folder", mend)
        return READERS[dataset](self.folder)
