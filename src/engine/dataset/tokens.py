"""Token counts in cl100k_base, the encoding behind Table 1 of the paper.

The count is of the utterance alone: no chat template, no special tokens, whatever model wrote it. It
measures length in a unit that does not change with the provider; it is not what a provider bills.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from rs_bpe.bpe import openai


def count_tokens(text: str) -> int:
    """Tokens of `text` in cl100k_base; a special token's name counts as ordinary text.

    The first call loads the encoding. A lone surrogate, which no file can hold, counts as "?".
    """
    try:
        return int(_encoding().count(text))
    except UnicodeEncodeError:
        return int(_encoding().count(text.encode("utf-8", "replace").decode("utf-8")))


@cache
def _encoding() -> Any:
    return openai.cl100k_base()
