"""What event loops do differently, on uvloop: commands run on it, the other tests do not."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.integration import test_transport_contract as contract

from engine.rehearsal.faults_server import Answer

uvloop = pytest.importorskip("uvloop")
certificates = contract.certificates


@pytest.mark.parametrize(("answer", "expected"), contract.FAULTS, ids=contract.FAULT_NAMES)
def test_faults(answer: Answer, expected: tuple[str, bool, bool]) -> None:
    tests = contract.TestFaults()
    uvloop.run(tests.test_a_fault_is_told_apart_and_the_transport_survives("asyncio", answer, expected))


@pytest.mark.parametrize(("answer", "no_byte_received"), contract.TOO_LATE, ids=contract.TOO_LATE_NAMES)
def test_deadlines(answer: Answer, no_byte_received: bool) -> None:
    uvloop.run(
        contract.TestDeadline().test_the_deadline_ends_the_whole_call("asyncio", answer, no_byte_received)
    )


def test_connections() -> None:
    tests = contract.TestConnections()
    uvloop.run(tests.test_calls_in_turn_share_one_connection("asyncio"))
    uvloop.run(tests.test_many_calls_open_up_to_the_limit_and_never_more("asyncio"))
    uvloop.run(tests.test_a_server_that_closes_after_each_reply_costs_no_call("asyncio"))
    for how in ("end", "reset"):
        uvloop.run(tests.test_idle_close_at_the_moment_of_reuse_is_told_as_such("asyncio", how))
    uvloop.run(tests.test_calls_after_many_cancelled_ones_work("asyncio"))
    uvloop.run(tests.test_calls_cancelled_at_any_moment_leave_their_slots_free("asyncio"))
    uvloop.run(tests.test_closing_twice_is_safe_and_ends_calls_in_flight("asyncio"))


def test_nothing_sent() -> None:
    tests = contract.TestNothingSent()
    uvloop.run(tests.test_refused("asyncio"))
    uvloop.run(tests.test_connect_timeout("asyncio"))
    uvloop.run(tests.test_waiting_for_a_connection_past_the_deadline_costs_nothing("asyncio"))
    uvloop.run(contract.TestFaults().test_connection_dropped_before_the_request_is_read("asyncio"))


def test_tls(certificates: tuple[Path, ssl.SSLContext]) -> None:
    tests = contract.TestTls()
    uvloop.run(tests.test_an_added_authority_is_trusted("asyncio", certificates))
    uvloop.run(tests.test_an_unknown_authority_is_refused_before_anything_is_sent("asyncio", certificates))
    uvloop.run(tests.test_a_server_without_tls_is_a_tls_failure("asyncio"))
