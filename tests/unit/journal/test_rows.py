"""What a row's checksum covers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import JournalDamaged
from engine.journal.rows import (
    call_values,
    check_outcomes,
    checksum,
    is_sound,
    outcome_of,
    outcome_values,
    read_outcome,
)
from engine.schema.call import CallKind, CallRecord, OutcomeRecord


@given(
    st.builds(
        CallRecord,
        seq=st.integers(1, 2**40),
        stage=st.text(),
        item=st.text(),
        step=st.text(),
        attempt=st.integers(0, 9),
        kind=st.sampled_from(CallKind),
        request_digest=st.binary(),
        reply=st.binary(),
        endpoint=st.text(),
        session=st.integers(1, 99),
        tries=st.integers(1, 99),
        sent_at=st.floats(),
        latency_s=st.floats(allow_nan=False),
        prompt_tokens=st.integers(0, 2**53),
    )
)
def test_a_call_is_summed_as_any_row_is(record: CallRecord) -> None:
    *columns, crc = call_values(record)
    assert columns == list(record) or record.sent_at != record.sent_at
    assert crc == checksum(tuple(columns))


def test_nothing_and_an_empty_blob_are_told_apart() -> None:
    """One bit of the record's header lies between them, and the checksum takes them for the same."""
    record = CallRecord(1, "s", "i", "user-1", 0, CallKind.REPLY, b"d", b"r", "e", 1, 1, 1.0, 0.5)
    row = tuple(str(value) if isinstance(value, CallKind) else value for value in call_values(record))
    assert is_sound("calls", row)
    assert row[4] == 0
    damaged = (*row[:4], b"", *row[5:])
    assert checksum(damaged[:-1]) == damaged[-1]
    assert not is_sound("calls", damaged)


number = st.integers(0, 2**53)
outcome_records = st.builds(
    OutcomeRecord,
    seq=number,
    stage=st.text(),
    item=st.text(),
    result=st.text(),
    note=st.text(),
    rounds=number,
    calls=st.lists(number).map(tuple),
    as_of=number,
    low_water=number,
    ended_at=st.floats(allow_nan=False),
    session=number,
)
# What a damaged row may hold in place of what was written, the empty ones among it.
values = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary()


@given(outcome_records)
def test_an_outcome_is_read_as_it_was_written(record: OutcomeRecord) -> None:
    row = outcome_values(record)
    assert is_sound("outcomes", row)
    assert read_outcome(row) == outcome_of(row) == record


@given(outcome_records, st.integers(0, 11), values)
def test_an_outcome_with_another_value_in_any_column_is_refused(
    record: OutcomeRecord, column: int, value: object
) -> None:
    row = outcome_values(record)
    assume(type(value) is not type(row[column]) or value != row[column])
    damaged = (*row[:column], value, *row[column + 1 :])
    assume(not is_sound("outcomes", damaged))  # a checksum of 32 bits is no proof
    with pytest.raises(JournalDamaged, match="of table outcomes fails its checksum"):
        check_outcomes([row, damaged])
