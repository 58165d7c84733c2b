"""One conversation as a sequence of questions: the dialogue joined to both sides' growing requests.

Pure. The live run asks the caller, a replay answers from records, and both drive this same object, so
that what is exported is what was held (P2, P3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import zip_longest

from engine.dialogue.dialogue import Ask, Dialogue, DialogueRules, before_answer
from engine.errors import JournalDamaged
from engine.schema.call import NO_USAGE, CallKey, CallRecord, Reply, Usage
from engine.schema.conversation import REHEARSAL_MARK, STAGE, EndReason, Role
from engine.schema.job import Job, without_cell
from engine.schema.scenario import Prompts
from engine.wire.formats import decode_recorded
from engine.wire.message_log import MessageLog, Utterances


class Question:
    """What is asked next: under which key, of which side, and with which messages."""

    __slots__ = ("cache_key", "key", "messages", "side")

    def __init__(self, key: CallKey, side: Role, messages: MessageLog, cache_key: str) -> None:
        self.key = key
        self.side = side
        self.messages = messages
        self.cache_key = cache_key

    def __repr__(self) -> str:
        return f"Question({self.key!r}, {self.side}, {self.messages!r})"


class Exchange:
    """The conversation of `job`. Read `question`, answer it with `receive`, until it is None.

    Without `keeps_requests` the questions carry no messages: enough to replay what was said, at half the
    cost, where no request is sent or checked.
    """

    __slots__ = (
        "_cache_keys",
        "_job_id",
        "_keeps_requests",
        "_logs",
        "_usages",
        "dialogue",
        "is_rehearsed",
        "job",
        "question",
        "reasoned",
        "seqs",
        "served_models",
    )

    def __init__(
        self, job: Job, prompts: Prompts, rules: DialogueRules, *, keeps_requests: bool = True
    ) -> None:
        self.job = job
        self._job_id = job.job_id
        shared = without_cell(self._job_id)
        self._cache_keys = {Role.USER: f"{shared}/simulator", Role.ASSISTANT: f"{shared}/assistant"}
        self._keeps_requests = keeps_requests
        self.dialogue = Dialogue(prompts, rules)
        utterances = Utterances(before_answer(prompts))
        self._logs = {Role.USER: MessageLog(utterances), Role.ASSISTANT: MessageLog(utterances)}
        self.seqs: list[int] = []
        self._usages: dict[Role, list[Usage]] = {Role.USER: [], Role.ASSISTANT: []}
        self.served_models: dict[Role, set[str]] = {Role.USER: set(), Role.ASSISTANT: set()}
        self.reasoned = {Role.USER: 0, Role.ASSISTANT: 0}
        self.is_rehearsed = False
        self.question: Question | None = self._question(self.dialogue.begin())

    def usage(self, side: Role) -> Usage:
        """What this side's replies have taken."""
        return reduce(Usage.plus, self._usages[side], NO_USAGE)

    def receive(self, reply: Reply, seq: int, *, is_refused: bool | None = None) -> None:
        """Take the reply to the current question; `is_refused` is what gates once decided about it."""
        if self.question is None:
            raise RuntimeError(f"{self.job.job_id}: the conversation has ended; nothing was asked")
        side = self.question.side
        self.seqs.append(seq)
        self._usages[side].append(reply.usage)
        self.served_models[side].add(reply.served_model)
        self.reasoned[side] += bool(reply.reasoning)
        self.is_rehearsed |= reply.fingerprint.startswith(REHEARSAL_MARK)
        ask = self.dialogue.answer(reply.text, reply.finish_reason, is_refused=is_refused)
        self.question = None if ask is None else self._question(ask)

    def end(self, reason: EndReason) -> None:
        """End without a reply to the current question."""
        self.dialogue.end(reason)
        self.question = None

    def replay(
        self,
        records: Sequence[CallRecord],
        check: Callable[[Question, CallRecord], None] = lambda question, record: None,
    ) -> None:
        """Answer from records, in order. Raises JournalDamaged where they do not fit the dialogue.

        `check` sees each question beside its record first. What gates decided is read from what was asked
        next, so that a later version's gates read what an earlier one's wrote.
        """
        for record, following in zip_longest(records, records[1:]):
            question = self.question
            if question is None or question.key[2:] != (record.step, record.attempt):
                expected = "nothing" if question is None else _described(*question.key[2:])
                raise JournalDamaged(
                    f"{self.job.job_id}: the journal holds step {_described(record.step, record.attempt)} "
                    f"where {expected} was due; the run's stored prompts or profile are not those that it "
                    "was made with."
                )
            check(question, record)
            is_refused = None if following is None else following.step == record.step
            self.receive(decode_recorded(record.reply), record.seq, is_refused=is_refused)

    def _question(self, ask: Ask) -> Question:
        log = self._logs[ask.side]
        if self._keeps_requests:
            log.extend(ask.messages)
        return Question(
            CallKey(STAGE, self._job_id, ask.step, ask.attempt),
            ask.side,
            log.fork(ask.aside) if ask.aside and self._keeps_requests else log,
            self._cache_keys[ask.side],
        )

    def __repr__(self) -> str:
        return f"Exchange({self.job.job_id}, {self.dialogue!r})"


def _described(step: str, attempt: int) -> str:
    return f"{step}, attempt {attempt}" if attempt else step
