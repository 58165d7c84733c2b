"""Personal data in texts: e-mail addresses, phone, identity and card numbers; found, counted, replaced.

Numbers that carry a check digit (cards by Luhn, Chinese identity numbers by ISO 7064) count only where it
holds, so that prices and order numbers pass. Phone numbers have none: those of China and North America and
international ones are told by their form. A scan finds what has such a form and nothing else: names and
addresses of people pass, and a real number may be made up. Full-width digits and signs count as plain ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import NamedTuple, TypeVar

import orjson

from engine.dataset.record_format import parse
from engine.schema.annotation import Annotation
from engine.schema.dataset import Conversation, ConversationTurn

KINDS = ("email", "identity number", "card number", "phone number")
_MARKS = {"email": "[EMAIL]", "identity number": "[ID]", "card number": "[CARD]", "phone number": "[PHONE]"}
_WIDE = {0xFF10 + digit: str(digit) for digit in range(10)} | {
    0xFF20: "@",
    0xFF0E: ".",
    0xFF0D: "-",
    0xFF0B: "+",
}
_IS_WIDE = re.compile("[０-９＠]")
_MAY_HOLD_NUMBER = re.compile(r"[0-9](?:[ .()-]{0,2}[0-9]){6}")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
)
_CHINESE_ID = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_SOCIAL_SECURITY = re.compile(r"(?<![0-9-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9-])")
_CARD = re.compile(r"(?<![0-9.])[2-6](?:[ -]?[0-9]){12,18}(?![0-9])")
_PHONES = (
    re.compile(r"(?<![0-9+])\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}(?![0-9])"),
    re.compile(r"(?<![0-9.])1[3-9][0-9](?:[ -]?[0-9]{4}){2}(?![0-9])"),
    re.compile(r"(?<![0-9.-])0[1-9][0-9]{1,2}-[0-9]{7,8}(?![0-9-])"),
    re.compile(
        r"(?<![0-9.-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}(?![0-9-])"
    ),
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_LONGEST_NUMBER = 10**19
ValueT = TypeVar("ValueT")


class Found(NamedTuple):
    """One piece of personal data: its kind and where it stands in the text."""

    kind: str
    start: int
    end: int


def find_personal_data(text: str) -> list[Found]:
    """All of them in order, none within another."""
    if _IS_WIDE.search(text):
        text = text.translate(_WIDE)  # sign for sign, so that places stay
    found = [Found("email", *match.span()) for match in _EMAIL.finditer(text)] if "@" in text else []
    if _MAY_HOLD_NUMBER.search(text):
        found += [Found("identity number", *m.span()) for m in _CHINESE_ID.finditer(text) if _is_id(m[0])]
        found += [Found("identity number", *m.span()) for m in _SOCIAL_SECURITY.finditer(text)]
        found += [Found("card number", *m.span()) for m in _CARD.finditer(text) if _is_card(m[0])]
        found += [Found("phone number", *m.span()) for each in _PHONES for m in each.finditer(text)]
    apart: list[Found] = []
    for each in found:  # the surer kinds come first and win
        if all(each.end <= other.start or other.end <= each.start for other in apart):
            apart.append(each)
    return sorted(apart, key=lambda each: each.start)


class Scan:
    """Counts personal data in the conversations that go by, and gives them back without it.

    `in_utterances` and `elsewhere` (profile, scenario, annotations and further fields) count pieces by kind,
    `conversations` how many conversations hold any.
    """

    def __init__(self) -> None:
        self.in_utterances: Counter[str] = Counter()
        self.elsewhere: Counter[str] = Counter()
        self.conversations = 0

    def look(self, conversation: Conversation) -> Conversation:
        """Count what the conversation holds; the same conversation with it replaced by marks."""
        before = self.in_utterances.total() + self.elsewhere.total()
        turns = tuple(self._turn(turn) for turn in conversation.turns)
        profile, scenario = conversation.profile, conversation.scenario
        fields = _mapped(profile.fields, self._unseen)  # the same words as the profile's text
        conversation_id = self._other(conversation.conversation_id)
        changed = replace(
            conversation,
            turns=turns,
            profile=replace(
                profile,
                text=self._other(profile.text),
                translations=_mapped(profile.translations, self._other),
                fields=fields,
            ),
            scenario=replace(
                scenario,
                text=self._other(scenario.text),
                translations=_mapped(scenario.translations, self._other),
                variables=_mapped(scenario.variables, self._other),
            ),
            person=self._other(conversation.person),
            annotations=self._annotations(conversation.annotations, self._other),
            extra=_mapped(conversation.extra, self._other),
        )
        if conversation_id != conversation.conversation_id:
            # Still one of its own: others may hold the same kind of data.
            changed = replace(changed, conversation_id=f"{conversation_id}~{conversation.origin.line}")
        if self.in_utterances.total() + self.elsewhere.total() == before:
            return conversation
        self.conversations += 1
        raw = conversation.source_bytes
        return replace(changed, source_bytes=orjson.dumps(redacted(parse(raw))) if raw else raw)

    def _turn(self, turn: ConversationTurn) -> ConversationTurn:
        content = self._uttered(turn.content)
        translations = _mapped(turn.translations, self._uttered)
        return replace(
            turn,
            content=content,
            translations=translations,
            # A translation is an annotation as well; its text is counted once.
            annotations=self._annotations(turn.annotations, self._unseen),
            extra=_mapped(turn.extra, self._other),
        )

    def _annotations(
        self, annotations: tuple[Annotation, ...], change: Callable[[str], str]
    ) -> tuple[Annotation, ...]:
        return tuple(
            replace(each, value=_mapped(each.value, change), details=_mapped(each.details, change))
            for each in annotations
        )

    def _uttered(self, text: str) -> str:
        return _replaced(text, self.in_utterances)

    def _other(self, text: str) -> str:
        return _replaced(text, self.elsewhere)

    def _unseen(self, text: str) -> str:
        return _replaced(text, Counter())


def redacted(value: ValueT) -> ValueT:
    """A JSON value with all personal data in its texts, names of fields and whole numbers replaced."""
    return _mapped(value, lambda text: _replaced(text, Counter()))


def _replaced(text: str, counts: Counter[str]) -> str:
    found = find_personal_data(text)
    if not found:
        return text
    counts.update(each.kind for each in found)
    parts, at = [], 0
    for each in found:
        parts += [text[at : each.start], _MARKS[each.kind]]
        at = each.end
    return "".join(parts) + text[at:]


def _mapped(value: ValueT, change: Callable[[str], str]) -> ValueT:
    changed: object = value
    if isinstance(value, str):
        changed = change(value)
    elif isinstance(value, Mapping):
        changed = {_mapped(key, change): _mapped(each, change) for key, each in value.items()}
    elif isinstance(value, list | tuple):
        changed = type(value)(_mapped(each, change) for each in value)
    elif isinstance(value, int) and not isinstance(value, bool) and 10**6 < value < _LONGEST_NUMBER:
        text = str(value)
        told = change(text)
        changed = value if told == text else told
    return changed  # type: ignore[return-value]


def _is_id(text: str) -> bool:
    """Whether the date of birth exists and the check digit holds (ISO 7064, modulo 11-2)."""
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    remainder = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, text, strict=False)) % 11
    return "10X98765432"[remainder] == text[-1].upper()


def _is_card(text: str) -> bool:
    """Whether Luhn's check digit holds; one digit again and again is no card."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    if len(set(digits)) == 1:
        return False
    doubled = [
        digit if index % 2 == 0 else sum(divmod(2 * digit, 10)) for index, digit in enumerate(digits[::-1])
    ]
    return sum(doubled) % 10 == 0
