"""One sequence that is being continued: its draws and what ends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from editsuite.engine.stack import DecoderStack

#: Tokens looked at besides those that a stop string can take up: a tokenizer may drop the blank
#: before a text's first word.
MARGIN = 4


@dataclass(frozen=True)
class Stops:
    """What ends a sequence.

    Attributes:
        ids: tokens that end it and are left out of it.
        strings: strings that end it once its new text holds one.
        hidden: tokens that do not show in the text.
    """

    ids: frozenset[int]
    strings: tuple[str, ...]
    hidden: frozenset[int]

    def within(self, stack: DecoderStack, new: Sequence[int]) -> bool:
        """Whether the last of the new tokens completes a stop string."""
        if not self.strings:
            return False
        tokenizer = stack.loaded.tokenizer
        # A token that shows is a byte at least, so that none before these can take part.
        reach = max(len(string.encode()) for string in self.strings) + MARGIN
        shown = [token for token in new if token not in self.hidden][-reach:]
        text = str(tokenizer.decode(shown))
        return any(string in text for string in self.strings)


@dataclass
class Row:
    """A sequence that is continued.

    Attributes:
        index: of its prompt.
        stops: what ends it.
        most: new tokens at which it ends.
        temperature: 0 takes the likeliest token.
        top_k: draw among the k likeliest tokens only.
        seed: of its draws.
        log_prob: of the text that was asked about.
        new: the tokens so far.
        done: whether it has ended.
    """

    index: int
    stops: Stops
    most: int
    temperature: float = 0.0
    top_k: int | None = None
    seed: int | None = None
    log_prob: float = 0.0
    new: list[int] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self.done = self.most == 0
        self._draws = torch.Generator()
        if self.seed is not None:
            self._draws.manual_seed(self.seed)

    def drawn(self, logits: Tensor) -> int:
        """Draw the next token, from its logits ``[vocab]``."""
        # On the CPU and in float64: a generator of the device would tie draws to the device.
        scaled = logits.double().cpu() / self.temperature
        if self.top_k is not None:
            threshold = scaled.topk(self.top_k).values[-1]
            scaled = scaled.masked_fill(scaled < threshold, -torch.inf)
        return int(torch.multinomial(torch.softmax(scaled, dim=-1), 1, generator=self._draws))

    def take(self, stack: DecoderStack, tokens: Iterable[int], guessed: Sequence[int]) -> int:
        """Take tokens for as long as they are the guessed ones.

        Args:
            stack: the model.
            tokens: what the model says after the last token and after each guess.
            guessed: tokens the model was run on besides the last one.

        Returns:
            How many of the tokens that were run stand in the sequence.
        """
        if self.done:
            return 0
        for number, token in enumerate(tokens, start=1):
            if token in self.stops.ids:
                self.done = True
                break
            self.new.append(token)
            self.done = len(self.new) >= self.most or self.stops.within(stack, self.new)
            if self.done or number > len(guessed) or token != guessed[number - 1]:
                break
        return number
