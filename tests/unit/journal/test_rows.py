"""What a row's checksum covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.journal.rows import call_values, checksum
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
