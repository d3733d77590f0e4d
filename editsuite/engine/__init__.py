"""The forward pass this suite lives on.

Every measure and every editor runs the model through here. The engine knows cards and nothing
above them.
"""

from editsuite.engine.batch import PaddedBatch, batches, pad
from editsuite.engine.cache import LayerCache
from editsuite.engine.generation import generate
from editsuite.engine.scoring import Continuation, Scored, score
from editsuite.engine.stack import TOKEN_BUDGET, DecoderStack, causal_mask

__all__ = [
    "TOKEN_BUDGET",
    "Continuation",
    "DecoderStack",
    "LayerCache",
    "PaddedBatch",
    "Scored",
    "batches",
    "causal_mask",
    "generate",
    "pad",
    "score",
]
