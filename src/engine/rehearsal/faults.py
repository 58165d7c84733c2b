"""What a fault is: the bytes and pauses that a request meets instead of its reply.

A fault is data made from the request that meets it: steps, carried out one after the other by the server,
so that each can be listed and described without a socket. The catalogue is the union of four modules:
answers with a status other than 200, bodies that are not what was asked for, connections that misbehave,
streams that are not whole.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from urllib.parse import quote

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Do(Enum):
    """What is done to a connection, or to the server."""

    CLOSE = auto()  # politely: what was written arrives
    RESET = auto()  # RST: what is unsent is dropped
    HOLD = auto()  # say nothing more until the client leaves
    DROP_NEXT = auto()  # the next connection is reset before its request is read
    GO_DOWN = auto()  # refuse connections for `DOWN_S` seconds


DOWN_S = 20.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next step."""

    seconds: float


Step = bytes | Pause | Do


@dataclass(frozen=True, slots=True)
class Met:
    """The request that meets a fault: the body it would have got, and what faults are made of.

    `turn` counts the requests of its connection from 0, `wall` is Unix time, `port` is the server's own.
    `quote` is what error texts end in: the request's key, where a script wants the server to leak it.
    `events` are those of the reply where a stream was asked for.
    """

    reply: bytes
    turn: int
    port: int
    wall: float
    quote: str = ""
    events: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong. `what` says in a few words what the server does."""

    name: str
    what: str
    steps: Callable[[Met], Iterable[Step]]


def http(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    """A whole reply, framed by its length."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}", f"content-type: {kind}", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body


def error_body(message: str, quoted: str, **more: object) -> bytes:
    """An error object as OpenAI's servers send it."""
    return json.dumps({"error": {"message": f"{message}{quoted}", **more}}).encode()


def in_json(text: str) -> str:
    """`text` as it stands between the quotes of a JSON text."""
    return json.dumps(text)[1:-1]


def quoted_key(authorization: str) -> str:
    """The key in the forms in which a careless server, proxy or log would repeat it."""
    key = authorization.partition(" ")[2] or authorization
    forms = [
        key,
        quote(key, safe=""),
        base64.b64encode(key.encode()).decode(),
        base64.urlsafe_b64encode(key.encode()).decode(),
        in_json(key),
        base64.b64encode(authorization.encode()).decode(),
    ]
    return f" (you sent {' '.join(forms)})"


def catalogue(*tables: Iterable[Fault]) -> dict[str, Fault]:
    """Faults by name, in order; a name may stand only once."""
    found: dict[str, Fault] = {}
    for table in tables:
        for fault in table:
            if fault.name in found:
                raise ValueError(f"the fault {fault.name} stands twice")
            found[fault.name] = fault
    return found
