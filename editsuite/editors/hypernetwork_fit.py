"""Which trained network fits a model."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from editsuite.cards import ModelCard
from editsuite.editors.gradients import map_shapes
from editsuite.editors.hypernetwork_file import HOW_TO_TRAIN, HypernetworkFile
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError

#: Names the network that comes with editsuite.
SHIPPED = "shipped"


def path_of(named: str, card: ModelCard) -> Path:
    """The file of a network: as it is named, or the one that is shipped for a card.

    Raises:
        OptionError: none is shipped.
    """
    if named != SHIPPED:
        return Path(named).expanduser()
    file = f"mend-{card.name}.safetensors"
    path = Path(str(resources.files("editsuite.editors") / "data" / file))
    if not path.is_file():
        raise OptionError(
            f"mend: no hypernetwork is shipped for model {card.name}; MEND edits with a network "
            f"trained for the model: {HOW_TO_TRAIN}"
        )
    return path


def check_layers(file: HypernetworkFile, path: Path, layers: tuple[int, ...]) -> None:
    """See that a network was trained for the layers that are to be edited.

    Raises:
        OptionError: it was not.
    """
    if file.layers != layers:
        words = ",".join(map(str, file.layers))
        raise OptionError(
            f"hypernetwork {path}: was trained for layers {words}, asked for are "
            f"{','.join(map(str, layers))}; give --edit-layers={words}, or train one for these "
            "layers: editsuite train-mend --layers"
        )


def check_fit(file: HypernetworkFile, path: Path, stack: DecoderStack) -> None:
    """See that a network was trained for this very model.

    Raises:
        OptionError: it was not.
    """
    loaded = stack.loaded
    if file.model != loaded.digest:
        raise OptionError(
            f"hypernetwork {path}: was trained for model {file.card} (digest {file.model[:12]}), "
            f"the model here is {loaded.card.name} (digest {loaded.digest[:12]}); {HOW_TO_TRAIN}"
        )
    if file.net.shapes != map_shapes(stack, file.layers):
        raise OptionError(
            f"hypernetwork {path}: its matrices are not those of {loaded.card.name}; {HOW_TO_TRAIN}"
        )
