"""All annotations of a run, read alike: what judges said, from the journal; what people said, beside it.

`RunAnnotations(folder)` is what `open_dataset` takes as `annotate`. It looks up one conversation at a time,
and needs neither templates nor the conversation itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson

from engine.annotation import synonyms
from engine.annotation.annotator import OPTION, Annotator, read_annotations, stage_name
from engine.annotation.people import people_of
from engine.annotation.prompts import version_of
from engine.annotation.registry import ANNOTATORS, configured
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.runner.stage import recorded_items
from engine.schema.annotation import Annotation, Kind


class RunAnnotations:
    """The annotations of the run in `folder` by conversation; as they are when they are asked for.

    With `author` (`judge:NAME`, `human:NAME`) that one's alone.
    """

    def __init__(self, folder: Path, author: str | None = None) -> None:
        self._folder = folder
        self._author = author
        self._reader = Reader(folder / JOURNAL_NAME)
        self._stages = [(name, *name.split("@", 1)) for name in self._reader.stages() if _is_annotation(name)]
        self._annotators = {name: stored_annotator(self._reader, name) for name, _, _ in self._stages}
        self._versions = {name: stored_version(self._reader, name) for name, _, _ in self._stages}
        self._merged = {judge: merged_phrases(self._reader, judge) for _, _, judge in self._stages}

    def __call__(self, conversation_id: str) -> list[Annotation]:
        """Everything that was said of a conversation or its turns."""
        found = [
            self._with_merged(annotation, judge)
            for name, _, judge in self._stages
            for recorded in recorded_items(self._reader, name, [conversation_id])
            for annotation in read_annotations(self._annotators[name], judge, self._versions[name], recorded)
        ]
        found += people_of(self._folder, conversation_id)
        return [each for each in found if self._author in (None, each.author)]

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()

    def _with_merged(self, annotation: Annotation, judge: str) -> Annotation:
        """Preference summaries also say what each phrase was merged to."""
        if annotation.kind != Kind.PREFERENCE_SUMMARY or not isinstance(annotation.value, list):
            return annotation
        becomes = self._merged[judge].get(str(annotation.details.get("task", "")))
        if becomes is None:
            return annotation
        merged = [becomes.get(phrase, phrase) for phrase in annotation.value]
        return replace(annotation, details={**annotation.details, "merged": merged})

    def __repr__(self) -> str:
        return f"RunAnnotations({self._folder.name}, {', '.join(name for name, _, _ in self._stages)})"


def stored_annotator(reader: Reader, stage: str) -> Annotator:
    """The annotator of a stage with the options that it was made with."""
    options = {
        field.removeprefix(OPTION): orjson.loads(value)
        for field, value in reader.identity(stage).items()
        if field.startswith(OPTION)
    }
    return configured(stage.partition("@")[0], options)


def stored_version(reader: Reader, stage: str) -> str:
    """The version of the prompts that a stage was made with."""
    texts = {
        field.rpartition("/")[2]: orjson.loads(value)
        for field, value in reader.identity(stage).items()
        if field.startswith("template ")
    }
    return version_of(texts)


def merged_phrases(reader: Reader, judge: str) -> dict[str, dict[str, str]]:
    """Task to what phrases became, by the latest merging of each; empty before the first."""
    latest: dict[str, dict[str, str]] = {}
    for note in merging_notes(reader, judge):
        merged = note.get("merged")
        if isinstance(merged, dict):
            latest[str(note.get("task", ""))] = merged
    return latest


def merging_notes(reader: Reader, judge: str) -> Iterator[Mapping[str, object]]:
    """What each merging came to, oldest first."""
    for outcome in reader.all_outcomes(stage_name(synonyms.NAME, judge)):
        note = orjson.loads(outcome.note) if outcome.note else {}
        if "merged" in note:
            yield note


def collect_phrases(folder: Path, judge: str) -> dict[str, Counter[str]]:
    """How often each phrase is in the preference summaries by one judge, by task."""
    name = stage_name("preferences", judge)
    found: dict[str, Counter[str]] = {}
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        version = stored_version(reader, name)
        for outcome in reader.all_outcomes(name):
            for recorded in recorded_items(reader, name, [outcome.item]):
                if recorded.outcome.seq != outcome.seq:
                    continue  # taken up again later
                for each in read_annotations(ANNOTATORS["preferences"], judge, version, recorded):
                    if isinstance(each.value, list):
                        task = str(each.details.get("task", ""))
                        found.setdefault(task, Counter()).update(map(str, each.value))
    return found


def _is_annotation(stage: str) -> bool:
    annotator, _, judge = stage.partition("@")
    return bool(judge) and annotator in ANNOTATORS
