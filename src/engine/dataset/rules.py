"""What a rule is: a named, pure look at one conversation that says which turns are at fault, and why.

A rule reads a `Reading`, the conversation prepared once for all rules, and yields (turn, detail)
pairs. It never edits, never raises on any text, and takes time linear in the text: patterns hold no
unbounded repeat beside another, and each is tried only where one of its anchors occurs.

Effects: `drop` is for turns that are not what they claim to be (another speaker's voice, a leaked
prompt, a broken text): nothing can be measured on them. `flag` is for behaviour that a reader may
want to study or exclude, such as an assistant's disclaimer. A guess only flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.schema.conversation import EndReason, Role, Turn

Effect = Literal["flag", "drop"]
Side = Literal["simulator", "assistant"]
Fault = tuple[int | None, str]
"""The turn at fault (None: the conversation as a whole) and a short detail that quotes little."""

CJK = "\u3400-\u9fff"
_UNIT = re.compile(rf"[a-z0-9']+|[{CJK}]")
_SPEAKER = (
    r"(?:system|assistant|chat assistant|系统|助手|助理|系统提示)"
    r"(?: (?:note|message|prompt|notification|response))?"
)
# A bracketed label opens a line or follows a sentence, so that "[System] settings" inside a sentence
# about computers is none; a bare label opens a line, and a bare "System:" there may be a user's list,
# and a few words after "Assistant:" a name.
_NOTE = re.compile(
    r"(?:^|[\n.!?。！？)）]|(?<=\S)[”\"]) {0,4}(?:[>*#-]{1,4} {0,2})?"
    rf"(?:[\[【(（<] {{0,2}}{_SPEAKER} {{0,2}}[\]】)）>]"
    rf"|[\[【] {{0,2}}{_SPEAKER} {{0,2}}[:：][^\n\]】]{{0,200}}[\]】])"
    r"|(?:^|\n) {0,4}(?:> {0,2})?(?:"
    r"\*{0,2}(?:system (?:note|message|prompt)|系统(?:提示|消息)) {0,2}[:：](?![^\n]{0,200}[?？])"
    r"|\*{0,2}assistant {0,2}[:：](?:\*\*)? {0,4}(?:\S{1,40} {1,4}){4}\S"
    r"|\*{1,2}system {0,2}[:：](?:\*\*)? {0,4}(?:\S{1,40} {1,4}){4}\S"
    r"|system {0,2}[:：] {0,4}(?:the|this|your?|user|goal|chat|conversation|session) "
    r"|助手 {0,2}[:：][^\n]{8}"
    r"|#{1,4} {1,4}(?:system|assistant)\b[^\n]{0,20}\n"
    r")"
)
_CODE = re.compile(r"```.{0,100000}?(?:```|\Z)", re.DOTALL)
# Another line of what was introduced: "host: localhost", "[System] ready".
_LABELLED = re.compile(r"\W{0,4}[\w ]{1,30}[:：] {0,4}\S|[\[【]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's verdict on one turn, or on the conversation where `turn_index` is None."""

    rule: str
    effect: Effect
    side: Side
    turn_index: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """A turn beside its folded text: lower case, straight apostrophes, nothing else changed.

    `own` is the folded text before the first imitated note: what the speaker says as itself.
    """

    index: int
    turn: Turn
    text: str
    own: str

    @property
    def has_note(self) -> bool:
        return len(self.own) < len(self.text)

    def units(self) -> list[str]:
        """Words, and single characters of Chinese: the grain of all comparisons of texts."""
        return _UNIT.findall(self.text)


@dataclass(frozen=True, slots=True)
class Reading:
    """A conversation prepared for the rules; `language` is `en` or `zh`."""

    users: tuple[Utterance, ...]
    assistants: tuple[Utterance, ...]
    end_reason: EndReason
    language: str
    end_prompt: str

    @property
    def sides(self) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
        return self.users, self.assistants


@dataclass(frozen=True, slots=True)
class Rule:
    """`side` is who is at fault; `either` means whoever speaks the turn that is found."""

    name: str
    description: str
    side: Side | Literal["either"]
    effect: Effect
    find: Callable[[Reading], Iterable[Fault]]


def read(turns: Sequence[Turn], *, end_reason: EndReason, language: str, end_prompt: str) -> Reading:
    """Fold each turn's text once; everything else is left to the rules."""
    users: list[Utterance] = []
    assistants: list[Utterance] = []
    for index, turn in enumerate(turns):
        text = fold(turn.content)
        if turn.role is Role.USER:
            users.append(Utterance(index, turn, text, _before_note(text)))
        else:
            assistants.append(Utterance(index, turn, text, text))
    return Reading(tuple(users), tuple(assistants), end_reason, language, end_prompt)


def fold(text: str) -> str:
    return text.lower().replace("\u2019", "'")


def units_of(text: str) -> list[str]:
    return _UNIT.findall(fold(text))


def each(utterances: Iterable[Utterance], look: Callable[[Utterance], str | None]) -> Iterator[Fault]:
    """Apply `look` to each utterance; what it returns is the fault's detail, None is no fault."""
    for utterance in utterances:
        detail = look(utterance)
        if detail is not None:
            yield utterance.index, detail


def without_code(text: str) -> str:
    """`text` without what stands in code fences."""
    return _CODE.sub("", text) if "```" in text else text


def is_introduced(text: str, at: int) -> bool:
    """Whether the lines before position `at` lead to one that ends in a colon: a sample, a log, a list."""
    above = text[max(0, at - 600) : at].split("\n")
    for line in (line.strip(" *`") for line in reversed(above)):
        if line and not _LABELLED.match(line):
            return line[-1] in ":："
    return False


def _before_note(text: str) -> str:
    if not ("system" in text or "assistant" in text or "系统" in text or "助" in text):
        return text
    bare = without_code(text)
    for note in _NOTE.finditer(bare):
        if not is_introduced(bare, note.start()):
            return bare[: note.start() + 1]
    return text
