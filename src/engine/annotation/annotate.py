"""From what was asked for to the stages that do it, over the conversations of a run that have ended.

Conversations that failed are left out: they may be taken up again and become others. Those that validation
dropped are left out unless asked for. A preference summary is followed by the merging of its synonyms, which
reads what the summaries brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import orjson

from engine.annotation import synonyms
from engine.annotation.annotator import Annotator, Judge, annotation_stage, stage_name
from engine.annotation.context import Room
from engine.annotation.profile_judges import read_vocabulary
from engine.annotation.prompts import Prompts, load_prompts
from engine.annotation.registry import configured, judge_of
from engine.annotation.stored import collect_phrases
from engine.config.settings import RunConfig
from engine.dataset.source import Dataset, open_dataset
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.llm.caller import reserved_tokens
from engine.runner.stage import Stage
from engine.scenarios.catalog import Catalog
from engine.scenarios.places import find_folder
from engine.schema.conversation import EndReason
from engine.schema.dataset import Conversation
from engine.wire.message_log import MessageLog

_LOOKUP = 200


@dataclass(frozen=True, slots=True)
class Work:
    """One annotator's work by one judge."""

    annotator: Annotator
    judge: Judge
    prompts: Prompts
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """Its key in the journal."""
        return stage_name(self.annotator.name, self.judge.name)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What work would ask: of `conversations`, those that are done left out. Re-asks are not foreseen."""

    conversations: int = 0
    done: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    cut: int = 0


def plan_work(
    names: Sequence[str], judges: Sequence[Judge], config: RunConfig, config_dir: Path | None
) -> list[Work]:
    """Each annotator by each judge; without judges by whoever the configuration says.

    Raises ConfigError where no model is named, BadInput where a template is missing or broken.
    """
    work = []
    for name in dict.fromkeys(names):
        options: dict[str, object] = {}
        if name == "preferences":
            options["merge_aspects"] = merge_aspects(config, config_dir)
        elif name in ("profile", "recovery"):
            # As text: the order of labels is that of the prompt, and so is identity.
            options["vocabulary"] = orjson.dumps(read_vocabulary(config.templates, config_dir)).decode()
        annotator = configured(name, options)
        prompts = load_prompts(name, config.templates, config_dir)
        asked = judges or (judge_of(config, annotator.role),)
        work += [Work(annotator, judge, prompts, options) for judge in asked]
    return work


def merge_aspects(config: RunConfig, config_dir: Path | None) -> dict[str, str]:
    """Which aspect of the profile each task's summaries are merged with, by the task's name."""
    folder = config.templates or find_folder("templates", config_dir)
    tasks = Catalog.load(folder, config.language).tasks.values()
    return {task.name: task.merge_aspect for task in tasks if task.merge_aspect is not None}


def ended_conversations(
    dataset: Dataset, *, only_kept: bool = True, limit: int | None = None
) -> Iterator[Conversation]:
    """The conversations to annotate, in the dataset's order; `limit` of them at most."""
    found = (
        each
        for each in dataset
        if each.turns and each.end_reason != EndReason.FAILED and (each.is_kept or not only_kept)
    )
    return islice(found, limit)


def stages_of(
    folder: Path,
    work: Iterable[Work],
    config: RunConfig,
    config_dir: Path | None,
    *,
    only_kept: bool = True,
    limit: int | None = None,
) -> list[Stage]:
    """The stages in the order in which they are worked on."""
    dataset = open_dataset(folder)
    conversations: Callable[[], Iterable[Conversation]] = partial(
        ended_conversations, dataset, only_kept=only_kept, limit=limit
    )
    stages = []
    for each in work:
        stages.append(annotation_stage(each.annotator, each.judge, each.prompts, conversations, each.options))
        if each.annotator.name == "preferences":
            prompts = load_prompts(synonyms.NAME, config.templates, config_dir)
            phrases = partial(collect_phrases, folder, each.judge.name)
            stages.append(synonyms.synonym_stage(each.judge, prompts, phrases))
    return stages


def estimate(folder: Path, work: Work, *, only_kept: bool = True, limit: int | None = None) -> Estimate:
    """What is still to be asked, counted by writing every first question; nothing is sent."""
    settings = work.judge.settings
    room = Room.of(settings.context_tokens, settings.max_tokens)
    conversations = ended_conversations(open_dataset(folder), only_kept=only_kept, limit=limit)
    total = Estimate()
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        while batch := list(islice(conversations, _LOOKUP)):
            done = reader.outcomes(work.stage, [each.conversation_id for each in batch])
            calls = tokens = cut = 0
            for each in batch:
                if each.conversation_id in done:
                    continue
                for question in work.annotator.questions(each, work.prompts, room):
                    messages = MessageLog()
                    messages.extend(work.prompts.messages(question.system, question.material, 0))
                    calls += 1
                    tokens += reserved_tokens(messages, 0)
                    cut += bool(question.cut)
            total = Estimate(
                total.conversations + len(batch), total.done + len(done), total.calls + calls,
                total.prompt_tokens + tokens, total.cut + cut,
            )  # fmt: skip
    return total
