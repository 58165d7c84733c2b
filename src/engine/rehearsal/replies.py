"""Reply bytes in OpenAI's chat-completions format: nothing in them depends on time, order or connection.

`created` is 0 and ids are hashes. `system_fingerprint` says that no model wrote the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from engine.rehearsal.asked import Asked, BadRequest
from engine.rehearsal.responder import Answer

MODEL = "rehearsal"
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply to send after `delay_s` seconds; `abort` closes the connection instead.

    With `events` it is sent as a stream instead of as `body`: they come one by one, spread evenly over
    `delay_s`.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Headers = ()
    delay_s: float = 0.0
    abort: bool = False
    events: tuple[bytes, ...] = ()

    @property
    def content(self) -> bytes:
        """What is sent."""
        return b"".join(self.events) or self.body

    @property
    def content_type(self) -> str:
        return "text/event-stream" if self.events else "application/json"


def completion_body(asked: Asked, said: Answer, seed: int) -> bytes:
    """The body of a 200."""
    return orjson.dumps(
        {
            "id": f"chatcmpl-{said.digest:016x}",
            "object": "chat.completion",
            "created": 0,
            "model": asked.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": said.text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": said.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": said.prompt_tokens,
                "completion_tokens": said.completion_tokens,
                "total_tokens": said.prompt_tokens + said.completion_tokens,
                "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
            },
            "system_fingerprint": f"rehearsal-{seed}",
        }
    )


def error_reply(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: Headers = (),
) -> Reply:
    """An error with OpenAI's error object."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Reply(status, orjson.dumps({"error": error}), headers)


def error_message(reply: Reply) -> str:
    """The message of an error with OpenAI's error object."""
    return str(orjson.loads(reply.body)["error"]["message"])


def bad_request_reply(error: BadRequest) -> Reply:
    """The 400 for a request that cannot be answered."""
    return error_reply(400, error.message, param=error.param, code=error.code)


def models_body() -> bytes:
    """The body of `GET /v1/models`; any other model name is answered as well."""
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "rehearsal"}
    return orjson.dumps({"object": "list", "data": [model]})
