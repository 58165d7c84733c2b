"""One HTML page that needs nothing else: no network, no script, every text of others escaped.

Texts of language models are hostile: they may hold markup, control characters, or characters that turn the
direction of what follows. Markup is escaped by the template, the others are replaced here, and a content
security policy lets the page load nothing but the pictures within it and its own style, known by its digest.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from engine.analysis.sections import Section
from engine.schema.annotation import hallucination_of, intents_of, ratings_of
from engine.schema.dataset import Conversation, ConversationTurn

# Control characters, halves of characters, and those that change the direction of other text.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_MOST_CHARACTERS = 8_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture within the page; `kind`: `svg+xml` or `png`. As an image it can run nothing."""

    kind: str
    content: bytes
    alt: str


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the page."""

    title: str
    tables: tuple[Section, ...] = ()
    pictures: tuple[Picture, ...] = ()


def page(
    title: str,
    summary: Sequence[str],
    blocks: Iterable[Block],
    gallery: Sequence[Conversation],
    footer: str,
    author: str | None = None,
) -> bytes:
    """The whole page, UTF-8."""
    style = _file("report.css")
    text = _template().render(
        title=clean(title),
        summary=[clean(line) for line in summary],
        style=Markup(style),  # noqa: S704 - ours, packed beside this module
        style_digest=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        blocks=[_block(block) for block in blocks],
        gallery=[_conversation(conversation, author) for conversation in gallery],
        footer=clean(footer),
    )
    return text.encode("utf-8")


def clean(text: str) -> str:
    """The text without what a page must not hold; each such character becomes U+FFFD."""
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


def _block(block: Block) -> dict[str, object]:
    return {
        "title": clean(block.title),
        "pictures": [
            {
                "source": f"data:image/{picture.kind};base64,{b64encode(picture.content).decode()}",
                "alt": clean(picture.alt),
            }
            for picture in block.pictures
        ],
        "tables": [
            {
                "title": clean(table.title),
                "note": clean(table.note.replace("*", "")),
                "columns": [clean(column) for column in table.columns],
                "rows": [[clean(cell) for cell in row] for row in table.rows],
            }
            for table in block.tables
        ],
    }


def _conversation(conversation: Conversation, author: str | None) -> dict[str, object]:
    ratings = ratings_of(conversation.annotations, author)
    facts: Mapping[str, str] = {
        "scenario": conversation.scenario.text,
        "profile": conversation.profile.text
        or "\n".join(f"{key}: {text}" for key, text in conversation.profile.fields.items()),
        "ratings": ", ".join(f"{metric} {score}" for metric, score in ratings.items()),
        "ended": conversation.end_reason or "",
        "findings": ", ".join(conversation.flags),
    }
    task = conversation.task or "(no task)"
    return {
        "title": clean(f"{task}: {conversation.conversation_id}, {conversation.rounds} rounds"),
        "facts": [(name, _shortened(text)) for name, text in facts.items() if text],
        "turns": [
            {
                "side": turn.role.value,
                "heading": clean(", ".join((turn.role.value, *_labels(turn, author)))),
                "text": _shortened(turn.content),
            }
            for turn in conversation.turns
        ],
    }


def _labels(turn: ConversationTurn, author: str | None) -> list[str]:
    found = list(intents_of(turn.annotations, author))
    verdict = hallucination_of(turn.annotations, author)
    if verdict is not None and verdict.is_hallucinated:
        found.append(f"hallucination: {verdict.memo}")
    return found


def _shortened(text: str) -> str:
    text = clean(text)
    more = len(text) - _MOST_CHARACTERS
    return text if more <= 0 else f"{text[:_MOST_CHARACTERS]} ... ({more} characters more)"


@cache
def _file(name: str) -> str:
    return (resources.files("engine.analysis") / "pages" / name).read_text("utf-8")


def _template() -> Template:
    environment = Environment(
        loader=DictLoader({"report": _file("report.html.j2")}), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report")
