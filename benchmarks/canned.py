"""What the benchmark's server says: canned replies of about 2 KB, chosen without parsing the request.

The rule: a reply is a function of the request's bytes, and choosing it must cost next to nothing. So the
role is told by the model's name, the turn by counting messages, and the goodbye by a checksum over the text
around the profile, which is the same for every client that asks the same prompts. A conversation takes 7
or 9 calls, 8 on average. Numbers are padded with spaces so that each reply has a fixed length.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple
from zlib import crc32

import orjson

SIMULATOR, ASSISTANT = "bench-simulator", "bench-assistant"
GOODBYE = "Thank you, goodbye."
PROFILE_MARK = b"Who you are:"
CHARS_PER_TOKEN = 4
_VARIANTS = 16
_CONTENT_CHARS = 1650
_ROLE = b'"role"'
_SIMULATOR = SIMULATOR.encode()
_PROSE = (
    "the a you this plan of to and for with in on day two three morning evening if about price quiet local "
    "small market train walk museum dinner soup fish fresh simple budget booking weather ticket place time "
    "would could prefer because also before after then maybe really good better enough close early"
)


class Canned(NamedTuple):
    """A body cut at its three numbers: prompt, total and cached tokens. `length` is that of the whole."""

    parts: tuple[bytes, bytes, bytes, bytes]
    length: int
    completion_tokens: int

    def body(self, prompt_tokens: int, cached_tokens: int) -> bytes:
        """The reply's JSON."""
        a, b, c, d = self.parts
        total = prompt_tokens + self.completion_tokens
        return b"%b%7d%b%7d%b%7d%b" % (a, prompt_tokens, b, total, c, cached_tokens, d)


class Replies:
    """All canned replies, made once."""

    def __init__(self) -> None:
        texts = [_prose(Random(variant)) for variant in range(_VARIANTS)]
        self._user = [_canned(SIMULATOR, text) for text in texts]
        self._assistant = [_canned(ASSISTANT, text) for text in texts]
        self._goodbye = _canned(SIMULATOR, GOODBYE)

    def choose(self, body: bytes) -> Canned:
        """The reply to a request's body."""
        messages = body.count(_ROLE)
        if _SIMULATOR not in body:
            return self._assistant[messages % _VARIANTS]
        turn = messages // 2
        if turn >= last_turn(body):
            return self._goodbye
        return self._user[turn % _VARIANTS]


def last_turn(body: bytes) -> int:
    """The simulator's turn that says goodbye: 4 or 5, fixed by the scenario and the profile."""
    mark = body.find(PROFILE_MARK)
    key = body[mark - 250 : mark - 20] + body[mark + 20 : mark + 200] if mark >= 250 else body[:600]
    return 4 + (crc32(key) & 1)


def prompt_tokens(messages: Iterable[bytes] | bytes) -> int:
    """Tokens of a request by its bytes: the server's own rule, which clients need not know."""
    size = len(messages) if isinstance(messages, bytes) else sum(map(len, messages))
    return size // CHARS_PER_TOKEN


def _prose(random: Random) -> str:
    vocabulary = _PROSE.split()
    sentences: list[str] = []
    while sum(map(len, sentences)) < _CONTENT_CHARS:
        words = random.choices(vocabulary, k=random.randint(8, 16))
        end = "?\n\n" if random.random() < 0.15 else ". "
        sentences.append(" ".join(words).capitalize() + end)
    return "".join(sentences)[:_CONTENT_CHARS].rstrip()


def _canned(model: str, text: str) -> Canned:
    completion = max(1, len(text) // CHARS_PER_TOKEN)
    numbers = [1111111, 2222222, 3333333]
    body = orjson.dumps(
        {
            "id": "chatcmpl-benchmark0000000000000000",
            "object": "chat.completion",
            "created": 1700000000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": numbers[0],
                "completion_tokens": completion,
                "total_tokens": numbers[1],
                "prompt_tokens_details": {"cached_tokens": numbers[2]},
            },
            "system_fingerprint": "fp_benchmark",
        }
    )
    a, rest = body.split(b"1111111")
    b, rest = rest.split(b"2222222")
    c, d = rest.split(b"3333333")
    return Canned((a, b, c, d), len(body), completion)
