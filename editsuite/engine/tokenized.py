"""Texts as token ids and back, as lm-eval's own ``HFLM`` has them.

Imported by `editsuite.engine.harness` alone: it needs the extra ``capabilities``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from lm_eval.api.model import TemplateLM
from lm_eval.models import utils as recipes

from editsuite.errors import OptionError


class TokenizedLM(TemplateLM):  # type: ignore[misc]  # lm-eval comes without types
    """What a model of lm-eval does with its tokenizer.

    Args:
        tokenizer: the model's.
        name: the model's, for messages.
        max_length: most tokens of one pass.
        add_bos_token: whether to put special tokens around a text; the tokenizer's habit where
            None.
        prefix_token_id: what stands in for an empty context; BOS, else EOS, where None.
        chat_template_args: more arguments for the tokenizer's chat template.
    """

    def __init__(
        self,
        tokenizer: Any,
        name: str,
        max_length: int,
        *,
        add_bos_token: bool | None,
        prefix_token_id: int | None,
        chat_template_args: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        self.tokenizer: Any = tokenizer
        self.max_length = max_length
        self._name = name
        self._add_bos_token = add_bos_token
        self._prefix_token_id = prefix_token_id
        self._chat_template_args = dict(chat_template_args or {})

    @property
    def eot_token_id(self) -> int:
        """The end token."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands before the first token of a text without context."""
        if self._prefix_token_id is not None:
            return self._prefix_token_id
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval's cache of requests knows the chat template by."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: object
    ) -> list[int]:
        """Token ids of a text; no BOS comes before a text that begins with it."""
        if add_special_tokens is None:
            begin = self.tokenizer.decode(self.prefix_token_id)
            begun = recipes.has_bos_prefix(string, begin)
            add_special_tokens = False if begun else self._add_bos_token
        return self._ids(string, add_special_tokens)

    def tok_decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Text of token ids."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=skip_special_tokens))

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as text; without its system turn where the template refuses that."""
        options = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        } | self._chat_template_args
        try:
            return str(self.tokenizer.apply_chat_template(chat_history, **options))
        except jinja2.exceptions.TemplateError:
            others = [turn for turn in chat_history if turn["role"] != "system"]
            return str(self.tokenizer.apply_chat_template(others, **options))

    def behind(self, context: str, text: str, prompt: Sequence[int]) -> list[int]:
        """A continuation's tokens, where the context's are exactly the prompt's."""
        if not context:
            return []
        before, target = self._encode_pair(context, text)
        fits = len(before) + len(target) <= self.max_length
        return list(target) if fits and list(before) == list(prompt) else []

    def prompt(self, context: str, more: int) -> list[int]:
        """A context's tokens, its end where ``more`` new ones leave no room for all.

        Raises:
            OptionError: they leave room for none.
        """
        room = self.max_length - more
        if room <= 0:
            raise OptionError(
                f"{more} new tokens leave no room for a context in the "
                f"{self.max_length} of model {self._name!r}; mend the task's "
                "max_gen_toks"
            )
        # HFLM looks for another mark here than it does where it scores.
        begun = recipes.has_bos_prefix(context, self.tokenizer.bos_token)
        ids = self._ids(context, False if begun else self._add_bos_token)
        return ids[-room:] or [self.prefix_token_id]

    def _ids(self, text: str, special: bool | None) -> list[int]:
        options = {} if special is None else {"add_special_tokens": special}
        ids: list[int] = self.tokenizer.encode(text, **options)
        return ids
