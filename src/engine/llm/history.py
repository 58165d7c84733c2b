"""What is recorded of one item's calls.

A reply that was paid for answers the same request again (P2). A question's failed tries count on, so that one
that always fails is not asked for ever where sessions are killed while it waits for its next try.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from engine.errors import IdentityChanged
from engine.schema.call import CUT_OFF, CallKey, CallKind, CallRecord
from engine.wire import openai


class History:
    """The recorded replies and failed tries of one item, by step and attempt."""

    __slots__ = ("_failed_tries", "_replies")

    def __init__(self, records: list[CallRecord] | tuple[()] = ()) -> None:
        self._replies = {
            (record.step, record.attempt): record for record in records if record.kind == CallKind.REPLY
        }
        self._failed_tries: Mapping[tuple[str, int], int] = Counter(
            (record.step, record.attempt)
            for record in records
            if record.kind == CallKind.RETRIED
            or (record.kind == CallKind.POSSIBLY_PAID and record.reply != CUT_OFF)
        )

    def find(self, key: CallKey, digest: bytes) -> CallRecord | None:
        """The recorded call, or None. Raises IdentityChanged where its request was another one."""
        record = self._replies.get((key.step, key.attempt))
        if record is not None and record.request_digest != digest:
            half = openai.PARAMETERS_DIGEST_BYTES
            changed = "model or parameters" if record.request_digest[:half] != digest[:half] else "messages"
            raise IdentityChanged(
                f"{key.item}, step {key.step}: the {changed} of the request are not those that were paid "
                "for. Nothing was sent. Restore the configuration, templates and profiles of the run, or "
                "start a new one with --run NAME.",
                [(f"{key.step}.{changed}", record.request_digest.hex(), digest.hex())],
            )
        return record

    def failed_tries(self, key: CallKey) -> int:
        """How often the question was tried in vain before, since the item last ended."""
        return self._failed_tries.get((key.step, key.attempt), 0)

    def __len__(self) -> int:
        return len(self._replies)


NO_HISTORY = History()
