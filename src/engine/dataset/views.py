"""The dataset cut for one use: recommendation, profiling, a simulator's training, hallucination, pairs.

A view is a table whose rows come from one conversation at a time. What a rule decides and no annotator (which
turn recommends, what was accepted) is told in the view's description, and the card repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from engine.dataset.encode_jsonl import summary_of
from engine.dataset.tabular import ColumnKind, Row, Table, as_json
from engine.dataset.utterance import Utterance, utterances
from engine.schema.annotation import Kind, find
from engine.schema.conversation import EndReason, Role
from engine.schema.dataset import Conversation, ConversationTurn

END_TOKEN = "[END]"  # noqa: S105
_HEAD: Mapping[str, ColumnKind] = {"conversation_id": "text", "task": "text", "language": "text"}
_LABELS: Mapping[str, ColumnKind] = {
    "intent": "texts", "intent_en": "texts", "intent_zh": "texts",
    "hallucination": "bool", "reason": "text", "reason_en": "text", "reason_zh": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """`columns` and `rows` as of a table; `description` is for the card, `needs` for when there is no row."""

    description: str
    needs: str
    columns: Mapping[str, ColumnKind]
    rows: Callable[[Conversation, str | None], Iterable[Row]]

    def table(self, name: str, author: str | None) -> Table:
        """The view as a table."""
        return Table(
            name,
            {**_HEAD, **self.columns},
            lambda conversation: (_head(conversation) | row for row in self.rows(conversation, author)),
        )


def _head(conversation: Conversation) -> Row:
    return {
        "conversation_id": conversation.conversation_id,
        "task": conversation.task,
        "language": conversation.language,
    }


def messages_before(conversation: Conversation, at: int) -> list[Row]:
    """The turns before `at` as chat messages."""
    return [_message(turn.role, turn.content) for turn in conversation.turns[:at]]


def _message(role: str, content: str) -> Row:
    return {"role": str(role), "content": content}


def _recommendations(conversation: Conversation, author: str | None) -> Iterator[Row]:
    turns = conversation.turns
    said = list(utterances(conversation, author))
    has_intents = any(utterance.intent for utterance in said)
    for request, reply in pairwise(said):
        if (request.role, reply.role) != (Role.USER, Role.ASSISTANT):
            continue
        offered = items_offered(reply.content)
        is_asked = any("Recommendation" in label for label in request.intent_en)
        if not (is_asked if has_intents else len(offered) > 1):
            continue
        later = [turn.content for turn in turns[reply.at + 1 :] if turn.role is Role.USER]
        accepted = [item for item in offered if any(_names(text, item) for text in later)]
        yield {
            "turn": reply.at,
            "profile": conversation.profile.text,
            "scenario": conversation.scenario.text,
            "context": messages_before(conversation, request.at),
            "request": request.content,
            "reply": reply.content,
            "offered": offered,
            "reaction": later[0] if later else None,
            "accepted": accepted,
            "is_accepted": bool(accepted) if later and offered else None,
        } | _labels(request, reply)


def _labels(request: Utterance | None, reply: Utterance) -> Row:
    asked = request._asdict() if request else {}
    told = reply._asdict()
    intents = {name: asked.get(name, []) for name in ("intent", "intent_en", "intent_zh")}
    return intents | {name: told[name] for name in ("hallucination", "reason", "reason_en", "reason_zh")}


_ITEM = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+)?(?:[-*•][ \t]+|[0-9]{1,2}[.)、][ \t]*)(.+)$", re.MULTILINE)
_BOLD = re.compile(r"^\*\*(.{1,80}?)\*\*|^__(.{1,80}?)__")
_HEAD_END = re.compile(r"[:：—–(（]| - ")
_LONGEST_ITEM = 60
_REFUSED = re.compile(
    r"\b(?:not|no|never|without|instead of|rather than|don't|doesn't|isn't|won't|skip|avoid|dislike)\b"
    "|不|别|没",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?;\n。！？；]+")


def items_offered(reply: str) -> list[str]:
    """The heads of a reply's list items, each once: what is bold, or before a colon, dash or bracket."""
    found = []
    for match in _ITEM.finditer(reply):
        bold = _BOLD.match(match[1])
        text = (bold[1] or bold[2]) if bold else match[1]
        head = _HEAD_END.split(text, maxsplit=1)[0].strip(" *_.,，。:：")
        if 1 < len(head) <= _LONGEST_ITEM:
            found.append(head)
    return list(dict.fromkeys(found))


def _names(text: str, item: str) -> bool:
    """Whether a sentence of the text names the item and holds no word of refusal before it."""
    sought = item.casefold()
    for sentence in _SENTENCE.findall(text.casefold()):
        at = sentence.find(sought)
        if at >= 0 and not _REFUSED.search(sentence, 0, at):
            return True
    return False


def _profiles(conversation: Conversation, author: str | None) -> Iterator[Row]:
    profile = conversation.profile
    if not (profile.text or profile.fields):
        return
    mapped = find(conversation.annotations, Kind.PROFILE_MAPPED, author)
    yield {
        "dialogue": messages_before(conversation, len(conversation.turns)),
        "profile_id": profile.profile_id,
        "profile": profile.text,
        "profile_en": profile.text if conversation.language == "en" else profile.translations.get("en"),
        "profile_zh": profile.text if conversation.language == "zh" else profile.translations.get("zh"),
        "fields": as_json(dict(profile.fields)),
        "profile_mapped": as_json(mapped.value) if mapped else None,
        "preference_summary": summary_of(conversation, author),
    }


def _simulator(conversation: Conversation, author: str | None) -> Iterator[Row]:
    turns = list(conversation.turns)
    if not any(turn.role is Role.USER for turn in turns):
        return
    messages = [_message("system", _role_play(conversation))]
    if turns[0].role is Role.USER:
        messages.append(_message("user", _KICK_OFF["zh" if conversation.language == "zh" else "en"]))
    messages += [_flipped(turn) for turn in turns]
    is_ended = conversation.end_reason in (None, EndReason.GOODBYE.value)
    if is_ended and turns[-1].role is Role.ASSISTANT:
        messages.append(_message("assistant", END_TOKEN))
    yield {"messages": messages, "end_reason": conversation.end_reason}


_KICK_OFF = {"en": "Hello! What can I do for you?", "zh": "你好！有什么可以帮你的吗？"}
_ROLE_PLAY = {
    "en": (
        "Play the user whose profile and situation follow, and talk to an assistant until the goal is "
        f"reached. Then answer {END_TOKEN}.\n\n# Situation\n{{scenario}}\n\n# Profile\n{{profile}}"
    ),
    "zh": (
        f"请扮演下面这位用户，与助手对话，直到达成目标，然后回答 {END_TOKEN}。\n\n"
        "# 情境\n{scenario}\n\n# 用户画像\n{profile}"
    ),
}


def _role_play(conversation: Conversation) -> str:
    profile = conversation.profile.text or "\n".join(
        f"{key}: {text}" for key, text in conversation.profile.fields.items()
    )
    text = _ROLE_PLAY["zh" if conversation.language == "zh" else "en"]
    # Not `format`: texts may hold braces.
    return text.replace("{scenario}", conversation.scenario.text, 1).replace("{profile}", profile, 1)


def _flipped(turn: ConversationTurn) -> Row:
    return _message("assistant" if turn.role is Role.USER else "user", turn.content)


def _hallucinations(conversation: Conversation, author: str | None) -> Iterator[Row]:
    before: Utterance | None = None
    for utterance in utterances(conversation, author):
        if utterance.role == Role.ASSISTANT and utterance.hallucination is not None:
            request = before if before and before.role == Role.USER else None
            yield {
                "turn": utterance.at,
                "context": messages_before(conversation, utterance.at),
                "reply": utterance.content,
                "reply_en": utterance.content_en,
                "reply_zh": utterance.content_zh,
            } | _labels(request, utterance)
        before = utterance


PAIR_COLUMNS: Mapping[str, ColumnKind] = {
    "step": "text", "prompt": "messages", "chosen": "text", "rejected": "text",
    "chosen_attempt": "int", "rejected_attempt": "int", "gates": "texts",
}  # fmt: skip
PREFERENCE_PAIRS = "preference-pairs"
PAIRS_DESCRIPTION = (
    "Replies of the user simulator that a gate refused (`rejected`, with the gates that fired), each with "
    "the reply that passed when the same question was asked again (`chosen`), after the same `prompt`."
)
VIEWS: Mapping[str, View] = {
    "recommendation": View(
        "One row for each reply to a turn whose intent is a recommendation (where no turn has an intent: "
        "each reply that lists two things or more). `offered` are the heads of the reply's list items, "
        "`accepted` those that a later user turn names in a sentence without a word of refusal before it, "
        "`reaction` is the next user turn; `is_accepted` is null where nothing was offered or the user said "
        "nothing more. A rule by wording, not a person's judgement.",
        "turns with the intent Recommendation, or replies that list things",
        {
            "turn": "int", "profile": "text", "scenario": "text", "context": "messages", "request": "text",
            "reply": "text", "offered": "texts", "reaction": "text", "accepted": "texts",
            "is_accepted": "bool", **_LABELS,
        },
        _recommendations,
    ),
    "profiling": View(
        "One row for each conversation with a profile: the dialogue, and the profile to be found from it.",
        "conversations with a profile",
        {
            "dialogue": "messages", "profile_id": "text", "profile": "text", "profile_en": "text",
            "profile_zh": "text", "fields": "json", "profile_mapped": "json", "preference_summary": "texts",
        },
        _profiles,
    ),
    "simulator": View(
        "One row for each conversation, to train a user simulator: a system message with situation and "
        "profile, and the turns with their roles flipped, so that the model's part (`assistant`) is the "
        f"user's. It ends with {END_TOKEN} where the user ended it (end reason goodbye, or none "
        "given).",
        "turns of a user",
        {"messages": "messages", "end_reason": "text"},
        _simulator,
    ),
    "hallucination": View(
        "One row for each reply on which there is a verdict: what was said before, the reply, whether it is "
        "hallucinated, and why.",
        "replies with a verdict on hallucination",
        {
            "turn": "int", "context": "messages", "reply": "text", "reply_en": "text", "reply_zh": "text",
            **_LABELS,
        },
        _hallucinations,
    ),
}  # fmt: skip
