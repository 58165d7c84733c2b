"""Chosen and rejected replies of the user simulator, from what gates refused and the journal kept.

A gate asks again with the very same messages, so that every refused attempt and the reply that passed in
the end answer one prompt. A step whose last attempt was refused too (kept for want of a better) gives none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from engine.dataset.tabular import Row
from engine.journal.inputs import RunInputs, read_inputs
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.llm.exchange import Exchange, Question
from engine.schema.call import CallRecord
from engine.schema.conversation import STAGE
from engine.schema.dataset import Conversation
from engine.wire.formats import decode_recorded


class PairFinder:
    """Finds the pairs of one conversation at a time in the journal of a run."""

    def __init__(self, reader: Reader, inputs: RunInputs) -> None:
        self._reader = reader
        self._inputs = inputs
        self._jobs = inputs.plan.index()

    def rows(self, conversation: Conversation) -> Iterator[Row]:
        """The pairs in the order of the steps, then of the attempts."""
        firings = _refusals(conversation)
        job = self._jobs.find(conversation.conversation_id)
        outcome = self._reader.outcomes(STAGE, [conversation.conversation_id]).get(
            conversation.conversation_id
        )
        if not firings or job is None or outcome is None:
            return
        prompts: dict[str, bytes] = {}

        def note(question: Question, record: CallRecord) -> None:
            if record.step in firings and record.step not in prompts:
                prompts[record.step] = question.messages.body()

        records = self._reader.calls(outcome.calls)
        exchange = Exchange(job, self._inputs.prompts(job), self._inputs.rules(job))
        exchange.replay(records, note)
        for step, gates in firings.items():
            asked = [record for record in records if record.step == step]
            chosen = asked[-1]
            if chosen.attempt in gates:
                continue
            prompt = orjson.loads(b"[" + prompts[step] + b"]")
            for record in asked[:-1]:
                yield {
                    "step": step,
                    "prompt": prompt,
                    "chosen": decode_recorded(chosen.reply).text,
                    "rejected": decode_recorded(record.reply).text,
                    "chosen_attempt": chosen.attempt,
                    "rejected_attempt": record.attempt,
                    "gates": gates.get(record.attempt, []),
                }


@contextmanager
def finding_pairs(folder: Path) -> Iterator[PairFinder]:
    """A finder for the run in `folder`; raises BadInput for an imported run."""
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        yield PairFinder(reader, read_inputs(reader))


def _refusals(conversation: Conversation) -> dict[str, dict[int, list[str]]]:
    """Step to attempt to the gates that fired, of the steps that were asked again."""
    firings = conversation.extra.get("gates")
    found: dict[str, dict[int, list[str]]] = {}
    for firing in firings if isinstance(firings, list) else []:
        if isinstance(firing, Mapping):
            found.setdefault(firing["step"], {})[firing["attempt"]] = firing["gates"]
    return {
        step: attempts
        for step, attempts in found.items()
        if any(
            isinstance(each, Mapping) and each["step"] == step and not each["kept"]
            for each in (firings if isinstance(firings, list) else [])
        )
    }
