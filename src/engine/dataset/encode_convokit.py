"""ConvoKit's corpus folder: utterances as JSON Lines; speakers, conversations, corpus and index as JSON.

An utterance's labels are its meta data. A conversation's first utterance bears the conversation's id, as
ConvoKit has it; the user's side is one speaker for each profile or person, the assistant's one for each
model. Memory grows with the distinct profiles, by their ids. The layout follows ConvoKit's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from engine.dataset.export_folder import create
from engine.dataset.tabular import conversation_table
from engine.dataset.utterance import utterances
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

_LEFT_TO_CONVOKIT = ("at", "content")


class ConvoKitFolder:
    """Writes one corpus; `close` needs what the corpus as a whole says."""

    def __init__(self, folder: Path, author: str | None = None) -> None:
        self._folder, self._author = folder, author
        self._utterances = create(folder / "utterances.jsonl")
        self._conversations = _Objects(folder / "conversations.json")
        self._speakers = _Objects(folder / "speakers.json")
        self._known: set[str] = set()
        self._types: dict[str, dict[str, set[str]]] = {"utterances": {}, "speakers": {}, "conversations": {}}
        self._table = conversation_table(author)

    def add(self, conversation: Conversation, part: str) -> int:
        """Write one conversation; how many utterances it has."""
        conversation_id, before = conversation.conversation_id, None
        speakers = {Role.USER.value: _user(conversation), Role.ASSISTANT.value: _assistant(conversation)}
        (row,) = self._table.rows(conversation)
        meta = {key: value for key, value in row.items() if key not in ("id", "turns")}
        if part:
            meta["split"] = part
        # A conversation of no utterance would be one that ConvoKit does not know.
        if conversation.turns:
            self._conversations.add(
                conversation_id, {"meta": self._seen("conversations", meta), "vectors": []}
            )
        for utterance in utterances(conversation, self._author):
            speaker, about = speakers[utterance.role]
            if speaker not in self._known:
                self._known.add(speaker)
                self._speakers.add(speaker, {"meta": self._seen("speakers", about), "vectors": []})
            fields = utterance._asdict()
            said = {key: value for key, value in fields.items() if key not in _LEFT_TO_CONVOKIT}
            name = conversation_id if before is None else f"{conversation_id}#{utterance.at}"
            record: dict[str, object] = {
                "id": name,
                "conversation_id": conversation_id,
                "text": utterance.content,
                "speaker": speaker,
                "meta": self._seen("utterances", said),
                "reply-to": before,
                "timestamp": None,
                "vectors": [],
            }
            self._utterances.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            before = name
        return len(conversation.turns)

    def close(self, corpus: Mapping[str, object]) -> None:
        """End every file. `corpus` is the meta data of the corpus."""
        self._utterances.close()
        self._conversations.close()
        self._speakers.close()
        index: dict[str, object] = {
            f"{kind}-index": {name: sorted(found) for name, found in sorted(types.items())}
            for kind, types in self._types.items()
        }
        index["overall-index"] = {name: [str(type(value))] for name, value in corpus.items()}
        index |= {"version": 1, "vectors": []}
        for name, document in (("corpus.json", corpus), ("index.json", index)):
            with create(self._folder / name) as file:
                file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def _seen(self, kind: str, meta: dict[str, object]) -> dict[str, object]:
        for name, value in meta.items():
            types = self._types[kind].setdefault(name, set())
            if value is not None:
                types.add(str(type(value)))
        return meta


class _Objects:
    """One JSON object of many fields, written as they come."""

    def __init__(self, path: Path) -> None:
        self._file = create(path)
        self._next = b"{\n"

    def add(self, name: str, value: object) -> None:
        self._file.write(self._next + orjson.dumps(name) + b": " + orjson.dumps(value))
        self._next = b",\n"

    def close(self) -> None:
        self._file.write((b"{" if self._next == b"{\n" else b"") + b"\n}\n")
        self._file.close()


def _user(conversation: Conversation) -> tuple[str, dict[str, object]]:
    profile = conversation.profile
    about: dict[str, object] = {"side": "user"}
    if conversation.person:
        return f"person:{conversation.person}", about
    if profile.profile_id:
        return f"profile:{profile.profile_id}", about | {"profile": profile.text}
    return f"user of {conversation.conversation_id}", about | {"profile": profile.text}


def _assistant(conversation: Conversation) -> tuple[str, dict[str, object]]:
    model = conversation.models.get("assistant", "")
    return f"assistant:{model}" if model else "assistant", {"side": "assistant", "model": model or None}
