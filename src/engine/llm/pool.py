"""Endpoints that can answer for one model, and which of them a call goes to.

A conversation's role stays where it was placed, since that replica's prefix cache holds its messages
(affinity). It moves when the replica is not usable (its breaker is open, its key or quota is refused)
or when callers queue there while another has room. New ones go where the fewest are placed per unit of
capacity: the calls at a time that the limits allow, configured or measured (`Lane.capacity`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.llm.endpoint import Endpoint
from engine.llm.lane import Lane
from engine.wire.formats import Encoder
from engine.wire.openai import RequestForm

# A queue of a quarter of the limit is a quarter of a call's time: about what a lost prefix costs.
_SPILL_QUEUE = 0.25
_SHORT_QUEUE = 2
_HAS_ROOM = 0.8


class Placement:
    """Where one side of one conversation lives; `leave` it when the conversation has ended."""

    __slots__ = ("endpoint", "moves")

    def __init__(self) -> None:
        self.endpoint: Endpoint | None = None
        self.moves = 0

    def move_to(self, endpoint: Endpoint | None) -> None:
        """Live at `endpoint` from now on."""
        if endpoint is self.endpoint:
            return
        if self.endpoint is not None:
            self.endpoint.placed -= 1
            self.moves += 1
        if endpoint is not None:
            endpoint.placed += 1
        self.endpoint = endpoint

    def leave(self) -> None:
        """Live nowhere."""
        self.move_to(None)

    def __repr__(self) -> str:
        return f"Placement({self.endpoint.name if self.endpoint else None}, moved {self.moves} times)"


class Route(NamedTuple):
    """How one endpoint is asked for one model: the request's form, where it is posted, within what limits."""

    form: Encoder
    url: str
    lane: Lane


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One stage's model: how its requests look and where they may go.

    `form` makes their digests, whatever the format. `routes` holds, by name, the endpoints that are asked in
    another format than it, or at an address that names the model.
    """

    form: RequestForm
    pool: EndpointPool
    routes: Mapping[str, Route] = field(default_factory=dict)

    def __post_init__(self) -> None:
        usual = {
            endpoint.name: Route(self.form, endpoint.url, endpoint.lane(self.form.model))
            for endpoint in self.pool.endpoints
        }
        object.__setattr__(self, "routes", {**usual, **self.routes})

    def route(self, endpoint: Endpoint) -> Route:
        """How `endpoint` is asked for this model."""
        return self.routes[endpoint.name]


class EndpointPool:
    """One or more endpoints that serve the same model; its name says which limits hold for it there."""

    def __init__(self, endpoints: Sequence[Endpoint], model: str = "") -> None:
        if not endpoints:
            raise ValueError("a pool needs at least one endpoint")
        self.endpoints = tuple(endpoints)
        self._model = model

    def choose(self, placement: Placement, now: float, *, avoid: Endpoint | None = None) -> Endpoint | None:
        """Where the next call goes, or None while no endpoint may be sent to. Updates `placement`.

        `avoid` is the endpoint that the last try failed at; it is taken only where there is no other.
        """
        at = placement.endpoint
        if len(self.endpoints) == 1:
            only = self.endpoints[0]
            if not _is_usable(only, now):
                return None
            placement.move_to(only)
            return only
        if at is not None and at is not avoid and _is_usable(at, now) and not self._should_spill(at, now):
            return at
        usable = [endpoint for endpoint in self.endpoints if _is_usable(endpoint, now)]
        others = [endpoint for endpoint in usable if endpoint is not avoid] or usable
        if not others:
            return None
        # What has no known limit is taken to hold as much as the largest that has one.
        capacities = [endpoint.lane(self._model).capacity for endpoint in others]
        largest = max((capacity for capacity in capacities if capacity < math.inf), default=1.0)
        best, _ = min(
            zip(others, capacities, strict=True), key=lambda each: _share(each[0], each[1], largest)
        )
        placement.move_to(best)
        return best

    def wait_s(self, now: float) -> float:
        """Seconds until some endpoint may be worth asking; infinite where all refuse us for good."""
        return min(
            (endpoint.breaker.wait_s(now) for endpoint in self.endpoints if endpoint.refusal is None),
            default=float("inf"),
        )

    def others_usable(self, endpoint: Endpoint, now: float) -> bool:
        """Whether a call that failed at `endpoint` can go elsewhere at once."""
        return any(other is not endpoint and _is_usable(other, now) for other in self.endpoints)

    def _should_spill(self, endpoint: Endpoint, now: float) -> bool:
        here = endpoint.lane(self._model)
        waiting = here.admission.waiting
        if waiting <= _SHORT_QUEUE or waiting <= _SPILL_QUEUE * here.capacity:
            return False
        return any(
            other is not endpoint
            and _is_usable(other, now)
            and (there := other.lane(self._model)).admission.waiting == 0
            and there.load < _HAS_ROOM
            for other in self.endpoints
        )

    def __repr__(self) -> str:
        return f"EndpointPool({', '.join(endpoint.name for endpoint in self.endpoints)})"


def _share(endpoint: Endpoint, capacity: float, largest: float) -> tuple[float, int]:
    """How full `endpoint` would be with one more."""
    return (endpoint.placed + 1) / min(capacity, largest), endpoint.in_flight


def _is_usable(endpoint: Endpoint, now: float) -> bool:
    return endpoint.refusal is None and endpoint.breaker.may_send(now)
