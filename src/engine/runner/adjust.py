"""Changes a run while it goes on: limits, concurrency, budget, a pause.

The change is written into the run's `run.yaml`, where a resume finds it too, and SIGUSR1 tells the process
that works on the run to read it again. Nothing that decides content can be changed in this way. A pause is
no setting: a resumed run goes on. A limit that could not admit one of the run's calls is refused before
anything is written, by the rule that the process itself keeps to (`runner/reservations.py`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from pydantic import ValidationError

from engine.config.endpoint_settings import LimitSettings, ModelLimitSettings
from engine.config.identity import identity_fields
from engine.config.matrix import variants_of
from engine.config.settings import BudgetSettings, RunConfig
from engine.errors import EngineError, RunLocked, UsageError
from engine.journal.inputs import read_inputs
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.journal.run_lock import find_holder
from engine.llm.budget import Budget
from engine.llm.endpoint import Endpoint
from engine.llm.limits import Admission
from engine.llm.prices import PRICES, decode_prices, prices_of
from engine.logs import EventLog
from engine.runner.reservations import Reservations, fewest_from_journal
from engine.runner.run_folder import RunFolder
from engine.runner.scheduler import Concurrency
from engine.runner.spending import change_budget, check_prices

SIGNAL = signal.SIGUSR1


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is to be changed; None = as it is. A limit of 0 takes the limit away, of the budget as well.

    Limits are those of `model` at `endpoint`, or with None those of the endpoint as a whole.
    """

    concurrency: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    endpoint: str | None = None
    model: str | None = None
    pause: bool | None = None
    max_cost_usd: float | None = None
    max_tokens: int | None = None

    @property
    def budget(self) -> dict[str, float | int | None]:
        """The budget's limits that change; None takes one away."""
        wanted = {"max_cost_usd": self.max_cost_usd, "max_tokens": self.max_tokens}
        return {name: value or None for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What came of it: (key, then, now) of each change, and the process that was told, or None."""

    changes: tuple[tuple[str, object, object], ...]
    pid: int | None


def adjust(folder: RunFolder, wanted: Adjustment) -> Adjusted:
    """Write the change and tell the run's process. Raises UsageError for what cannot be changed.

    Raises RunLocked where a process holds the run and cannot be told: it is only starting, or not ours.
    """
    with folder.settings_lock():
        return _adjust(folder, wanted)


def _adjust(folder: RunFolder, wanted: Adjustment) -> Adjusted:
    holder = find_holder(folder.path)
    if holder is None and wanted.pause is not None:
        raise UsageError(
            f"no process works on run {folder.name}, so there is nothing to pause or go on with."
        )
    if holder is not None and (holder.pid is None or not holder.is_ready):
        raise RunLocked(
            f"run {folder.name} is just starting or stopping, or belongs to another user or machine: nothing "
            "was changed. Try again in a moment."
        )
    config, was_paused = folder.read_live_settings()
    changed, changes = apply_to_config(config, wanted)
    for name, endpoint in changed.endpoints.items():
        if endpoint.limits != config.endpoints[name].limits:
            _refuse_too_few_tokens(folder, changed, name)
    if changed.budget != config.budget:
        _refuse_unpriced(folder, changed)
    is_paused = was_paused if wanted.pause is None else wanted.pause
    if is_paused != was_paused:
        changes.append(("paused", was_paused, is_paused))
    assert identity_fields(changed) == identity_fields(config)
    folder.change_settings(changed, is_paused=is_paused and holder is not None)
    if holder is not None and holder.pid is not None:
        try:
            os.kill(holder.pid, SIGNAL)
        except ProcessLookupError:  # it ended meanwhile: the file is what counts
            return Adjusted(tuple(changes), None)
        return Adjusted(tuple(changes), holder.pid)
    return Adjusted(tuple(changes), None)


def apply_to_config(
    config: RunConfig, wanted: Adjustment
) -> tuple[RunConfig, list[tuple[str, object, object]]]:
    """The changed configuration and (key, then, now) for each value that differs."""
    changes: list[tuple[str, object, object]] = []
    update: dict[str, object] = {}
    if wanted.concurrency is not None:
        update["concurrency"] = wanted.concurrency
        changes.append(("concurrency", config.concurrency, wanted.concurrency))
    if wanted.budget:
        try:
            update["budget"] = BudgetSettings.model_validate(config.budget.model_dump() | wanted.budget)
        except ValidationError:
            given = ", ".join(f"{key} {value}" for key, value in wanted.budget.items())
            raise UsageError(f"{given}: write a finite number; 0 takes the limit away.") from None
        changes += [
            (f"budget.{key}", getattr(config.budget, key), value) for key, value in wanted.budget.items()
        ]
    if wanted.limits:
        name = _endpoint_name(config, wanted.endpoint)
        if wanted.model is not None:
            _refuse_unasked(config, name, wanted.model)
        before = config.endpoints[name].limits
        limits = _changed(before, wanted)
        endpoint = config.endpoints[name].model_copy(update={"limits": limits})
        update["endpoints"] = {**config.endpoints, name: endpoint}
        place = f"endpoints.{name}.limits" + ("" if wanted.model is None else f".per_model.{wanted.model}")
        changes += [
            (f"{place}.{key}", before.of(wanted.model)[key], limits.of(wanted.model)[key])
            for key in wanted.limits
        ]
    elif wanted.endpoint is not None or wanted.model is not None:
        option = "--endpoint" if wanted.endpoint is not None else "--model"
        raise UsageError(f"{option}: say which of its limits to change.")
    return config.model_copy(update=update), [change for change in changes if change[1] != change[2]]


def _endpoint_name(config: RunConfig, name: str | None) -> str:
    if not config.endpoints:
        raise UsageError(
            "the run's endpoint is the engine's own and has no limits; --concurrency can change."
        )
    known = ", ".join(config.endpoints)
    if name is None and len(config.endpoints) > 1:
        raise UsageError(f"there are several endpoints: say which one with --endpoint. Known: {known}.")
    if name is not None and name not in config.endpoints:
        raise UsageError(f"--endpoint: there is no endpoint {name!r}. Known: {known}.")
    return name or next(iter(config.endpoints))


def _changed(limits: LimitSettings, wanted: Adjustment) -> LimitSettings:
    values = limits.of(wanted.model) | {key: value or None for key, value in wanted.limits.items()}
    if wanted.model is None:
        return LimitSettings.model_validate({**values, "per_model": limits.per_model})
    per_model = {**limits.per_model, wanted.model: ModelLimitSettings.model_validate(values)}
    if not any(values.values()):
        del per_model[wanted.model]
    return limits.model_copy(update={"per_model": per_model})


def _refuse_unasked(config: RunConfig, endpoint: str, model: str) -> None:
    asking = [*config.stages.values(), *(each.settings for each in variants_of(config))]
    asked = {each.model for each in asking if endpoint in each.endpoint_names}
    if model not in asked:
        raise UsageError(
            f"--model: no stage of the run asks endpoint {endpoint} for {model!r}. "
            f"It is asked for: {', '.join(sorted(asked)) or 'nothing'}."
        )


def _refuse_unpriced(folder: RunFolder, config: RunConfig) -> None:
    """Raise ConfigError where money is to be limited and a price is not known."""
    models = [variant.settings for variant in variants_of(config)]
    with closing(Reader(folder.journal)) as reader:
        prices = decode_prices(reader.meta(PRICES)) | prices_of(config, models, config.endpoints)
        check_prices(config, models, prices)


def _refuse_too_few_tokens(folder: RunFolder, config: RunConfig, name: str) -> None:
    limits = config.endpoints[name].limits
    with closing(Reader(folder.journal)) as reader:
        inputs = read_inputs(reader)
        for model in (None, *limits.per_model):
            fewest = fewest_from_journal(reader, inputs, config, name, model)
            if (kind := fewest.refuses(limits.of(model))) is None:
                continue
            needed = getattr(fewest, kind)
            raise UsageError(
                f"--{kind.replace('_', '-')}: {limits.of(model)[kind]:,} would stop "
                f"{'' if model is None else f'model {model} at '}endpoint {name} for good, since one call of "
                f"this run reserves up to {needed:,} {kind.removesuffix('_per_min').replace('_', ' ')} (its "
                f"prompt, and max_tokens for the reply). Nothing was changed: give {needed:,} or more, or 0 "
                "for no limit."
            )


class LiveSettings:
    """What of a running session follows `run.yaml`; `apply` is called for each SIGUSR1."""

    def __init__(
        self,
        folder: RunFolder,
        endpoints: Mapping[str, Endpoint],
        concurrency: Concurrency,
        journal: Journal,
        reservations: Reservations,
        log: EventLog,
        budget: Budget | None = None,
    ) -> None:
        self._folder = folder
        self._budget = budget
        self._limits = folder.read_settings()[0].budget
        self._endpoints = endpoints
        self._concurrency = concurrency
        self._journal = journal
        self._reservations = reservations
        self._log = log
        self.is_paused = False

    async def apply(self) -> None:
        """Read the file again and do what it says. A file that cannot be read changes nothing."""
        try:
            config, is_paused = self._folder.read_live_settings()
        except EngineError as error:
            self._log.event("run.adjust_refused", error=str(error))
            return
        if config.concurrency != self._concurrency.wanted:
            self._log.event("run.adjusted", concurrency=config.concurrency, before=self._concurrency.wanted)
            # Recorded first: at a kill it bounds the calls that may have been in the air.
            await self._journal.note_concurrency(config.concurrency)
            self._concurrency.change(config.concurrency)
            for endpoint in self._endpoints.values():
                for admission in (endpoint.admission, *(lane.admission for lane in endpoint.lanes.values())):
                    if admission.governor is not None:
                        admission.governor.most = config.concurrency
        if config.budget != self._limits and self._budget is not None:
            await self._set_budget(self._budget, config)
        for name, endpoint in self._endpoints.items():
            if name in config.endpoints:
                self._set_limits(config, name, None, endpoint.admission)
                for model, lane in endpoint.lanes.items():
                    self._set_limits(config, name, model, lane.admission)
        if is_paused != self.is_paused:
            self._set_pause(is_paused=is_paused)
            await self._journal.put_meta("paused", "yes" if is_paused else "no")

    async def _set_budget(self, budget: Budget, config: RunConfig) -> None:
        try:
            await change_budget(budget, self._journal, config)
        except EngineError as error:
            self._log.event("run.adjust_refused", error=str(error))
            return
        now, before = (each.model_dump() for each in (config.budget, self._limits))
        self._log.event("run.adjusted", budget=now, before=before)
        self._limits = config.budget

    def _set_limits(self, config: RunConfig, name: str, model: str | None, admission: Admission) -> None:
        before, now = admission.limits, config.endpoints[name].limits.of(model)
        if now == before:
            return
        fewest = self._reservations.fewest(config, name, model)
        whose = {"endpoint": name} if model is None else {"endpoint": name, "model": model}
        if (kind := fewest.refuses(now)) is not None:
            # Its requests could never be sent again, which ends a run: a slip in a file that was edited by
            # hand, since `adjust` refuses it.
            self._log.event("run.adjust_refused", **whose, limits=now, fewest_tokens=getattr(fewest, kind))
            return
        admission.set_limits(**now)
        self._log.event("run.adjusted", **whose, limits=now, before=before)

    def _set_pause(self, *, is_paused: bool) -> None:
        self.is_paused = is_paused
        for endpoint in self._endpoints.values():
            if is_paused:
                endpoint.admission.pause()
            else:
                # What failed before the pause says nothing about how long it has failed now.
                endpoint.failing_since = None
                endpoint.admission.go_on()
        self._log.event("run.paused" if is_paused else "run.unpaused", run=self._folder.name)
