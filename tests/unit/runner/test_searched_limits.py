"""Limits that nobody named are searched once for an endpoint, whichever models are asked there."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from math import inf
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.config.settings import RunConfig
from engine.errors import ServerFailed
from engine.llm.endpoint import Endpoint
from engine.llm.lane import Lane
from engine.runner.endpoints import open_models


async def lanes(limits: dict[str, Any], *, adaptive: bool = True) -> tuple[Endpoint, Lane, Lane]:
    config = RunConfig.model_validate(
        {
            "endpoints": {"here": {"base_url": "http://127.0.0.1:1/v1", "limits": limits}},
            "stages": {side: {"model": side, "endpoint": "here"} for side in ("simulator", "assistant")},
            "adaptive": adaptive,
            "concurrency": 64,
        }
    )
    opened: dict[str, Endpoint] = {}
    async with AsyncExitStack() as stack:
        await open_models(stack, config, config.endpoints, SystemClock(), opened)
    endpoint = opened["here"]
    return endpoint, endpoint.lane("simulator"), endpoint.lane("assistant")


def test_two_models_share_one_search() -> None:
    async def main() -> None:
        endpoint, one, other = await lanes({})
        search = one.admission.search
        assert search is not None
        assert search == other.admission.search
        assert search[1] is endpoint.admission
        permits = [lane.admission.try_acquire(100, 10) for lane in (one, other, one)]
        assert all(permits)
        assert endpoint.admission.in_flight == 3
        for lane in (one, other, one):
            lane.failed(ServerFailed("throttled", "busy", status=429), SystemClock().now(), sent_at=inf)
        assert search[0].in_flight_limit <= 3

    asyncio.run(main())


@pytest.mark.parametrize("limits", [{"max_in_flight": 8}, {"requests_per_min": 60}])
def test_what_is_named_for_the_endpoint_is_not_searched(limits: dict[str, Any]) -> None:
    async def main() -> None:
        endpoint, one, other = await lanes(limits)
        assert (endpoint.admission.governor, one.admission.search, other.admission.search) == (None,) * 3
        assert not one.follows_headers

    asyncio.run(main())


def test_beside_a_model_whose_limit_is_named_the_other_is_searched_for_itself() -> None:
    async def main() -> None:
        endpoint, one, other = await lanes({"per_model": {"simulator": {"max_in_flight": 8}}})
        assert (endpoint.admission.governor, one.admission.search) == (None, None)
        assert other.admission.search is not None
        assert other.admission.search[1] is other.admission

    asyncio.run(main())


def test_the_search_can_be_switched_off() -> None:
    async def main() -> None:
        _, one, other = await lanes({}, adaptive=False)
        assert (one.admission.search, other.admission.search) == (None, None)
        assert not one.follows_headers

    asyncio.run(main())
