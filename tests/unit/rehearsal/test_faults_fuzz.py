"""The catalogue's answers, damaged anywhere, give a reply or the defined error: nothing else, and at once.

Arbitrary bytes rarely come far into a decoder; bytes that were nearly an answer do.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallFailed
from engine.rehearsal.faults import Met
from engine.rehearsal.faults_script import FAULTS
from engine.schema.call import Reply
from engine.wire.formats import OPENAI
from engine.wire.retry_after import LONGEST_HINT_S, retry_after_s

HEALTHY = (
    b'{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
MET = Met(HEALTHY, turn=0, port=1, wall=1_700_000_000.0, quote=" (you sent sk-canary)")
MOST_BYTES = 20_000


def answers() -> list[tuple[int, dict[str, str], bytes]]:
    """(status, headers, body) of each fault that is a whole answer of modest size."""
    found = []
    for fault in FAULTS.values():
        whole = b"".join(step for step in fault.steps(MET) if isinstance(step, bytes))
        head, end, body = whole.partition(b"\r\n\r\n")
        status = head.split(b" ")[1:2]
        if end and len(whole) < MOST_BYTES and status and status[0].isdigit():
            lines = [line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:]]
            found.append((int(status[0]), {key.lower(): value.strip() for key, _, value in lines}, body))
    return found


ANSWERS = answers()
EDITS = st.lists(
    st.tuples(st.integers(0, MOST_BYTES), st.integers(0, 40), st.binary(max_size=12)), min_size=1, max_size=4
)


def edited(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in edits:
        start = at % (len(body) + 1)
        body = body[:start] + new + body[start + length :]
    return body


def test_most_of_the_catalogue_is_damaged_here() -> None:
    assert len(ANSWERS) > 80


@given(st.sampled_from(ANSWERS), EDITS, st.none() | st.integers(200, 599))
def test_a_damaged_answer_is_a_reply_or_the_defined_error(
    answer: tuple[int, dict[str, str], bytes], edits: list[tuple[int, int, bytes]], other: int | None
) -> None:
    status, headers, body = answer
    result: Reply | CallFailed
    try:
        result = OPENAI.decode(other or status, headers, edited(body, edits), wall=MET.wall)
    except CallFailed as failure:
        result = failure
    assert isinstance(result, Reply) or (result.reason and len(str(result)) < 1_000)


@given(st.sampled_from(ANSWERS), EDITS)
def test_a_damaged_hint_is_a_bounded_wait_or_none(
    answer: tuple[int, dict[str, str], bytes], edits: list[tuple[int, int, bytes]]
) -> None:
    _, headers, _ = answer
    damaged = {
        key: edited(value.encode("latin-1"), edits).decode("latin-1") for key, value in headers.items()
    }
    hint_s = retry_after_s(damaged, wall=MET.wall)
    assert hint_s is None or 0 <= hint_s <= LONGEST_HINT_S
