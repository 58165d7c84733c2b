"""LLMs as makers of cells: asked about each test utterance, as they are or after some examples.

A question is a function of the prompt, the examples and the utterance, so answers are journalled by these: an
utterance that several splits test is asked about once. What could not be read is an answer, a wrong one; a
call that failed is none, and its cell is not made before it is asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median_low

import orjson

from engine.config.identity import canonical, model_fields
from engine.config.model_settings import ModelSettings
from engine.dataset.tokens import count_tokens
from engine.errors import CallFailed
from engine.experiments.cells import CannotRun, Predictions
from engine.experiments.examples import draw_examples
from engine.experiments.llm_prompt import LlmPrompt, read_answer, read_llm_prompt
from engine.experiments.plm import Mode
from engine.experiments.plm_prompt import PROMPTS
from engine.experiments.splits import SplitSamples
from engine.journal.reader import Reader
from engine.llm.prices import PRICES, decode_prices, usd
from engine.runner.stage import DONE, Ask, End, Recorded, Stage, StageItem, Steps, recorded_items
from engine.schema.call import NO_USAGE, CallKind, Usage
from engine.wire.formats import decode_recorded
from engine.wire.reply_schema import ReplySchema

GROUP = "llm"
MODES = (Mode.ZERO_SHOT, Mode.FEW_SHOT)
# Raised when what is asked, or how a reply is read, changes in this module: answers are then asked for anew.
_VERSION = "1"
# Beside the texts a request has role names and separators.
_TOKENS_A_MESSAGE = 8

AskStage = Callable[[Stage], Path]
"""Does what has not ended of a stage, in a folder's journal, and gives the journal's path.

Raises what stopped it; the same stage later goes on.
"""


@dataclass(frozen=True, slots=True)
class LlmModel:
    """One model in one mode. `name` is the table's; `seed` the one that the calls' own come from."""

    name: str
    settings: ModelSettings
    use: Mode
    ask: AskStage = field(repr=False)
    prompts: Path = PROMPTS
    examples_per_label: int = 2
    seed: int = 0
    group: str = GROUP

    @property
    def mode(self) -> str:
        return str(self.use)

    @property
    def is_seeded(self) -> bool:
        return self.use is Mode.FEW_SHOT

    @property
    def params(self) -> Mapping[str, object]:
        shown = {"examples_per_label": self.examples_per_label} if self.use is Mode.FEW_SHOT else {}
        return {
            **model_fields(self.settings),
            "prompt": read_llm_prompt(self.prompts).digest,
            "call_seed": self.seed,
            **shown,
        }

    @property
    def versions(self) -> Mapping[str, str]:
        return {"llm-questions": _VERSION}

    def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        """Ask about each test utterance. Raises CannotRun where they do not fit, or calls failed."""
        prompt = read_llm_prompt(self.prompts)
        shown = draw_examples(samples, seed, self.examples_per_label) if self.use is Mode.FEW_SHOT else []
        texts = [sample.text for sample in samples.test]
        self._refuse_too_long(prompt, texts, samples.labels, shown)
        stage = self._stage(prompt, texts, samples.labels, shown)
        items = [item.item_id for item in stage.items()]
        with closing(Reader(self.ask(stage))) as reader:
            recorded = {each.outcome.item: each for each in recorded_items(reader, stage.name, items)}
            price = decode_prices(reader.meta(PRICES)).get(self.settings.model)
        failed = [name for name in items if name not in recorded or recorded[name].outcome.result != DONE]
        if failed:
            raise CannotRun(f"/ ({len(failed)} of {len(items)} calls failed; the same command asks again)")
        notes = {name: orjson.loads(each.outcome.note) for name, each in recorded.items()}
        full = sum(note.get("unread") == "context_full" for note in notes.values())
        if full > len(items) / 2:
            raise CannotRun(f"/ (the context was full for {full} of {len(items)} utterances)")
        predicted = tuple(str(notes[_item_id(text)].get("intent", "")) for text in texts)
        usage, served = _account(recorded.values())
        return Predictions(
            predicted,
            notes={
                "unread": sum(not label for label in predicted),
                "context_full": full,
                "asked": len(items),
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cost_usd": None if price is None else usd(price.cost(usage)),
                "served_models": served,
            },
        )

    def _stage(
        self,
        prompt: LlmPrompt,
        texts: Sequence[str],
        labels: Sequence[str],
        shown: Sequence[tuple[str, str]],
    ) -> Stage:
        identity = {
            **self.params,
            "name": self.name,
            "labels": list(labels),
            "examples": [list(each) for each in shown],
            "version": _VERSION,
        }
        digest = hashlib.sha256(orjson.dumps(canonical(identity), option=orjson.OPT_SORT_KEYS)).hexdigest()
        unique = {_item_id(text): text for text in texts}
        return Stage(
            # Whatever decides an answer is in the name: other examples are another stage.
            name=f"intents@{self.name}/{self.mode}/{digest[:12]}",
            role="intent",
            settings=self.settings,
            items=lambda: (
                StageItem(name, partial(_ask_one, prompt, text, labels, shown))
                for name, text in unique.items()
            ),
            identity=identity,
            schema=_schema(labels),
            noun="utterances",
        )

    def _refuse_too_long(
        self,
        prompt: LlmPrompt,
        texts: Sequence[str],
        labels: Sequence[str],
        shown: Sequence[tuple[str, str]],
    ) -> None:
        # As for pretrained models: a few long utterances may not fit, but the median one must.
        possible = self.settings.context_tokens
        if possible is None:
            return
        median = median_low(
            sum(
                count_tokens(content) + _TOKENS_A_MESSAGE
                for _, content in prompt.messages(text, labels, shown)
            )
            for text in texts
        )
        needed = median + self.settings.max_tokens
        if needed > possible:
            raise CannotRun(f"/ (about {needed} tokens needed, {possible} possible)")


def _ask_one(prompt: LlmPrompt, text: str, labels: Sequence[str], shown: Sequence[tuple[str, str]]) -> Steps:
    try:
        reply = yield Ask("intent", prompt.messages(text, labels, shown))
    except CallFailed as failure:
        if failure.reason != "context_full":
            raise
        return _note("unread", "context_full")
    label = read_answer(reply.text, labels)
    return _note("unread", reply.finish_reason) if label is None else _note("intent", label)


def _note(key: str, value: str) -> End:
    return End(DONE, orjson.dumps({key: value}).decode())


def _item_id(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _schema(labels: Sequence[str]) -> ReplySchema:
    return ReplySchema(
        "intent",
        {
            "type": "object",
            "properties": {"intent": {"type": "string", "enum": list(labels)}},
            "required": ["intent"],
            "additionalProperties": False,
        },
    )


def _account(recorded: Iterable[Recorded]) -> tuple[Usage, list[str]]:
    """What the answers took, and the names under which models gave them."""
    usage, served = NO_USAGE, set()
    for each in recorded:
        for call in each.calls:
            if call.kind == CallKind.REPLY:
                usage = usage.plus(Usage(call.prompt_tokens, call.completion_tokens, call.cached_tokens))
                served.add(decode_recorded(call.reply).served_model)
    return usage, sorted(served)
