"""What a row's checksum covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.journal.rows import call_values, checksum, is_sound
from engine.schema.call import CallKind, CallRecord


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
