"""The forward pass this suite lives on.

Every measure and every editor runs the model through here. The engine knows cards and nothing
above them.
"""

from editsuite.engine.adapter import Adapter, ask_at
from editsuite.engine.batch import PaddedBatch, batches, pad
from editsuite.engine.cache import LayerCache
from editsuite.engine.generation import generate
from editsuite.engine.linear import one_thread, threads_keep_bits
from editsuite.engine.mask import causal_mask
from editsuite.engine.packed import run_packed, states_entering
from editsuite.engine.packing import Places, sight
from editsuite.engine.resume import ResumeCache
from editsuite.engine.scoring import Continuation, Scored, score
from editsuite.engine.stack import DecoderStack, at_least_float32
from editsuite.engine.tail import Asked, Tail, written_out
from editsuite.engine.ways import Ways

__all__ = [
    "Adapter",
    "Asked",
    "Continuation",
    "DecoderStack",
    "LayerCache",
    "PaddedBatch",
    "Places",
    "ResumeCache",
    "Scored",
    "Tail",
    "Ways",
    "ask_at",
    "at_least_float32",
    "batches",
    "causal_mask",
    "generate",
    "one_thread",
    "pad",
    "run_packed",
    "score",
    "sight",
    "states_entering",
    "threads_keep_bits",
    "written_out",
]
