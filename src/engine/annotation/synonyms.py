"""Merges phrases that say the same, task by task: a model proposes groups, and code alone applies them.

A proposal counts only as far as it holds: phrases that are not in the list are passed over, a phrase belongs
to the first group that names it, a group of one is none. The phrases are shown in alphabetical order,
a number at a time; then the names of the groups and the phrases left over once more, so that synonyms of
different parts meet. An item is a task with its phrases, so that another set of phrases is another item.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import orjson

from engine.annotation.annotator import ATTEMPTS, INCOMPLETE, Judge, read_reply, stage_name
from engine.annotation.judgements import strict_object
from engine.annotation.prompts import Prompts
from engine.annotation.replies import Unusable, read_list, read_text
from engine.errors import CallFailed
from engine.runner.stage import DONE, Ask, End, Stage, StageItem, Steps
from engine.schema.call import Reply
from engine.wire.reply_schema import ReplySchema

NAME = "synonyms"
VERSION = 1
_AT_A_TIME = 150
_SCHEMA = ReplySchema(
    NAME,
    strict_object(
        groups={
            "type": "array",
            "items": strict_object(
                name={"type": "string"}, same={"type": "array", "items": {"type": "string"}}
            ),
        }
    ),
)  # fmt: skip


@dataclass(slots=True)
class Merging:
    """Which phrase each phrase became. `invented` counts proposed phrases that were not in the list."""

    becomes: dict[str, str]
    invented: int = 0
    doubled: int = 0

    def apply(self, groups: Sequence[tuple[str, Sequence[str]]], shown: Sequence[str]) -> None:
        """Take up proposals about the phrases that were shown."""
        known, taken = set(shown), set[str]()
        for name, same in groups:
            members = []
            for phrase in dict.fromkeys((name, *same)):
                if phrase not in known:
                    self.invented += 1
                elif phrase in taken:
                    self.doubled += 1
                else:
                    members.append(phrase)
            if len(members) < 2:
                continue
            taken.update(members)
            # The name where it is one of them, else the first that holds.
            for phrase, target in self.becomes.items():
                if target in members:
                    self.becomes[phrase] = members[0]

    @property
    def names(self) -> list[str]:
        """What is left, in alphabetical order."""
        return sorted(set(self.becomes.values()))


def synonym_stage(
    judge: Judge, prompts: Prompts, phrases: Callable[[], Mapping[str, Iterable[str]]]
) -> Stage:
    """The stage that merges the phrases of each task."""

    def items() -> Iterator[StageItem]:
        for task, found in sorted(phrases().items()):
            distinct = sorted(set(found))
            if len(distinct) > 1:
                yield StageItem(item_id(task, distinct), partial(merge, prompts, task, distinct))

    return Stage(
        name=stage_name(NAME, judge.name),
        role="preference",
        settings=judge.settings,
        items=items,
        identity={
            "annotator.version": VERSION,
            "annotator.attempts": ATTEMPTS,
            **{f"template {NAME}/{name}": text for name, text in prompts.texts.items()},
        },
        schema=_SCHEMA,
        noun="tasks",
    )


def item_id(task: str, phrases: Sequence[str]) -> str:
    """A task with just these phrases."""
    digest = blake2b(orjson.dumps([task, list(phrases)]), digest_size=6).hexdigest()
    return f"{task or 'all'}/{digest}"


def merge(prompts: Prompts, task: str, phrases: Sequence[str]) -> Steps:
    """Ask about the phrases, then about what is left; the note says which became which."""
    merging = Merging({phrase: phrase for phrase in phrases})
    unusable = 0
    for round_ in ("first", "again"):
        shown = merging.names
        if round_ == "again" and len(phrases) <= _AT_A_TIME:
            break  # they have all met
        # The second time every so many-th together, so that other neighbours meet.
        count = -(-len(shown) // _AT_A_TIME)
        for number in range(count):
            part = (
                shown[number * _AT_A_TIME : (number + 1) * _AT_A_TIME]
                if round_ == "first"
                else shown[number::count]
            )
            groups = yield from _ask(prompts, task, part, f"{round_}-{number + 1}")
            if groups is None:
                unusable += 1
            else:
                merging.apply(groups, part)
    merged = {phrase: name for phrase, name in merging.becomes.items() if phrase != name}
    note = {
        "task": task, "phrases": len(phrases), "left": len(merging.names), "invented": merging.invented,
        "doubled": merging.doubled, "merged": merged,
    }  # fmt: skip
    return End(INCOMPLETE if unusable else DONE, orjson.dumps(note).decode())


def _ask(
    prompts: Prompts, task: str, phrases: Sequence[str], step: str
) -> Generator[Ask, Reply, list[tuple[str, tuple[str, ...]]] | None]:
    for attempt in range(ATTEMPTS):
        messages = prompts.messages({}, {"phrases": phrases, "task": task}, attempt)
        try:
            reply = yield Ask(step, messages, attempt)
        except CallFailed:
            if step == "first-1":
                raise
            return None
        try:
            return read_groups(read_reply(reply))
        except Unusable:
            continue
    return None


def read_groups(data: Mapping[str, object]) -> list[tuple[str, tuple[str, ...]]]:
    """(name, phrases) of each proposed group; raises Unusable."""
    groups = []
    for group in read_list(data, "groups"):
        if not isinstance(group, dict):
            raise Unusable("no_group")
        same = read_list(group, "same")
        if not all(isinstance(phrase, str) for phrase in same):
            raise Unusable("no_phrase")
        groups.append((read_text(group, "name"), tuple(map(str, same))))
    return groups
