"""Stops a run whose endpoint refuses every first call alike: its configuration is wrong.

A conversation that fails by a client error (400, 413, 422) before the endpoint has ever answered its side of
the run is held back: nobody knows yet whose fault it is. Once `FEW` have failed so, with the same words, the
endpoint is taken to refuse the configuration, the run stops, and they stay unfinished: a plain resume takes
them up again. Anything else, a reply, another failure, the end of the plan, says that the fault is their
own, and their outcomes are written. Words are compared without numbers and quoted names, which differ from
call to call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

from engine.errors import CallFailed, ConfigError, ServerFailed
from engine.llm.drain import Drain
from engine.llm.endpoint import Endpoint
from engine.llm.pool import EndpointPool
from engine.schema.conversation import Role

FEW = 8
_CLIENT_ERRORS = frozenset({400, 413, 422})
# A context that the very first prompt fills is too small for all.
_OWN_FAULT = frozenset({"bad_request", "context_full"})
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|[\w.-]*\d[\w.-]*")
# What a filter says of a text is said of that conversation, however many are alike.
_ABOUT_A_TEXT = re.compile(
    r"content[ _-]?(?:filter|management|policy)|moderation|flagged|safety|inappropriate|sensitive"
    r"|data_inspection",
    re.IGNORECASE,
)


HeldT = TypeVar("HeldT")


class HeldBack(Generic[HeldT]):
    """A failed conversation, or item of a stage, whose outcome is not written yet; and its failure's note."""

    def __init__(self, held: HeldT, note: str) -> None:
        self.held = held
        self.note = note


class _Watch(Generic[HeldT]):
    """What one side of the run has met at one endpoint."""

    def __init__(self) -> None:
        self.words = ""
        self.held: list[HeldBack[HeldT]] = []
        self.is_settled = False

    @property
    def is_refused(self) -> bool:
        """Whether enough have failed alike; what lands after that changes nothing."""
        return len(self.held) >= FEW


class FirstAnswers(Generic[HeldT]):
    """What each endpoint answered first; `has_answered(endpoint, side)` says it of earlier sessions too.

    A side is a `Role` of the conversations, in a matrix with its variant (`user@small`), or the name of
    another stage's model.
    """

    def __init__(self, drain: Drain, has_answered: Callable[[str, str], bool]) -> None:
        self._drain = drain
        self._has_answered = has_answered
        self._watches: dict[tuple[str, str], _Watch[HeldT]] = {}
        self._released: list[HeldBack[HeldT]] = []

    def answered(self, endpoint: Endpoint, side: str) -> None:
        """A reply came: what was held back is the conversations' own."""
        watch = self._watch(endpoint, side)
        if not watch.is_settled and not watch.is_refused:
            self._settle(watch)

    def holds_back(
        self,
        held: HeldT,
        side: str,
        endpoint: Endpoint,
        pool: EndpointPool,
        failure: CallFailed,
        note: str,
    ) -> bool:
        """Whether the outcome of this failed conversation is left to `take_released`; may stop the run."""
        watch = self._watch(endpoint, side)
        words = _words(failure)
        is_alike = words is not None and words == (watch.words or words)
        if watch.is_settled or not is_alike:
            if not watch.is_refused:
                self._settle(watch)
            return False
        watch.words = words or ""
        watch.held.append(HeldBack(held, note))
        if len(watch.held) != FEW:  # fewer, or those that were in the air at the stop
            return True
        if self._has_answered(endpoint.name, side):
            self._settle(watch)
        else:
            endpoint.refusal = _refusal(endpoint, failure, side)
            if all(other.refusal is not None for other in pool.endpoints):
                self._drain.request(endpoint.refusal)
        return True

    def take_released(self) -> list[HeldBack[HeldT]]:
        """Those whose outcomes are to be written, each once."""
        released, self._released = self._released, []
        return released

    def end(self) -> None:
        """The plan is done: what was held back has failed."""
        for watch in self._watches.values():
            self._settle(watch)

    def _watch(self, endpoint: Endpoint, side: str) -> _Watch[HeldT]:
        key = endpoint.name, side
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch()
        return watch

    def _settle(self, watch: _Watch[HeldT]) -> None:
        watch.is_settled = True
        self._released += watch.held
        watch.held = []

    def __repr__(self) -> str:
        return f"FirstAnswers({sum(len(watch.held) for watch in self._watches.values())} held back)"


def _words(failure: CallFailed) -> str | None:
    """What can be compared of a client error; None for any other failure."""
    is_client_error = isinstance(failure, ServerFailed) and failure.status in _CLIENT_ERRORS
    if not is_client_error or failure.reason not in _OWN_FAULT or _ABOUT_A_TEXT.search(str(failure)):
        return None
    return f"{failure.reason} {_VARYING.sub('', str(failure))}"


_STAGES: dict[str, str] = {Role.USER: "simulator", Role.ASSISTANT: "assistant"}


def _refusal(endpoint: Endpoint, failure: CallFailed, side: str) -> ConfigError:
    side, _, variant = side.partition("@") if side.partition("@")[0] in _STAGES else (side, "", "")
    stage = _STAGES.get(side, side)
    place = f"matrix.{stage}s ({variant})" if variant else f"stages.{stage}"
    what, again = "conversation", "repeat `engine run`, or correct the run's run.yaml and `engine resume`"
    if side not in _STAGES:
        what, again = "item", "repeat the command"
    return ConfigError(
        f"endpoint {endpoint.name} ({endpoint.url}) refused the calls of {FEW} {what}s alike, and "
        f"never gave the {f'{stage} {variant}' if variant else stage} a reply: {failure}. No {what} will "
        f"fare better before {place} "
        f"or the server is changed. Nothing is lost, and these {what}s are taken up again: correct the "
        f"configuration and {again}."
    )
