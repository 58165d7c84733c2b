"""What is recorded of one item's calls: a reply that was paid for answers the same request again (P2)."""

from __future__ import annotations

from engine.errors import IdentityChanged
from engine.schema.call import CallKey, CallKind, CallRecord
from engine.wire import openai


class History:
    """The recorded replies of one item, by step and attempt."""

    __slots__ = ("_replies",)

    def __init__(self, records: list[CallRecord] | tuple[()] = ()) -> None:
        self._replies = {
            (record.step, record.attempt): record for record in records if record.kind == CallKind.REPLY
        }

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

    def __len__(self) -> int:
        return len(self._replies)


NO_HISTORY = History()
