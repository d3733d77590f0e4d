"""How much of a text repeats itself (paper, appendix E.1.1)."""

from __future__ import annotations

from collections.abc import Sequence

#: Tokens of an n-gram. The paper does not say which n it takes; 4 is the usual one for repetition
#: (seq-rep-4 of Welleck et al. 2020, "Neural text generation with unlikelihood training").
NGRAM = 4


def repetition(tokens: Sequence[int], length: int = NGRAM) -> float:
    """``1 - rho``: the share of n-grams that stood there before; 0 where nothing is repeated.

    ``rho`` is the number of different n-grams over the number of n-grams. N-grams overlap, one
    begins at each token, so that a repetition is seen wherever it begins.

    Args:
        tokens: of the text.
        length: tokens of an n-gram.

    Raises:
        ValueError: the text is shorter than one n-gram.
    """
    grams = [tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)]
    if length < 1 or not grams:
        raise ValueError(f"{len(tokens)} tokens hold no {length}-gram")
    return (len(grams) - len(set(grams))) / len(grams)


def log_adjusted(nll: float, tokens: int, repeated: float) -> float:
    """Natural logarithm of the adjusted perplexity, so that it cannot overflow.

    Args:
        nll: negative log-likelihood of the text, in nats.
        tokens: number of its tokens.
        repeated: ``1 - rho``.

    Source: equations (3) and (4): ``ln(exp(nll / tokens) * e**(1 - rho))``.
    """
    return nll / tokens + repeated
