"""The record of a conversation: what one line of `conversations.jsonl` holds.

A record is a function of the job, its fixed texts and the replies, and of nothing that differs between
two ways of holding the same conversation: no times, tries, endpoints or cached tokens (P3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.dataset.rules import Finding
from engine.dataset.validation import RULES_VERSION, drop_reasons, validate
from engine.journal.inputs import RunInputs
from engine.journal.reader import Reader
from engine.llm.exchange import Exchange
from engine.schema.call import OutcomeRecord, Usage
from engine.schema.conversation import EndReason, Role, Turn
from engine.schema.gate import Firing
from engine.schema.job import Job

FORMAT = "recsim-conversation/1"
_SIDES = {Role.USER: "simulator", Role.ASSISTANT: "assistant"}


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """One conversation with its verdict. `fields` is the JSON object as it is written.

    `served_models` holds, for each side, the names under which models said to have answered; `judged` is how
    many of the simulator's turns passed the run's gates in the end, `firings` what they refused.
    """

    job: Job
    turns: Sequence[Turn]
    end_reason: EndReason
    findings: tuple[Finding, ...]
    dropped_because: tuple[str, ...]
    served_models: Mapping[str, tuple[str, ...]]
    fields: dict[str, object]
    judged: int = 0
    firings: tuple[Firing, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether it belongs to the dataset."""
        return not self.dropped_because


def replay_exchange(reader: Reader, inputs: RunInputs, job: Job, outcome: OutcomeRecord) -> Exchange:
    """The finished conversation of `job`, rebuilt from the journal's replies."""
    exchange = Exchange(job, inputs.prompts(job), inputs.rules(job), keeps_requests=False)
    exchange.replay(reader.calls(outcome.calls))
    if exchange.question is not None:
        exchange.end(EndReason(outcome.result))
    return exchange


def build_record(inputs: RunInputs, job: Job, exchange: Exchange) -> ConversationRecord:
    """The record of a finished conversation, validated by the present rules."""
    config, dialogue, cell = inputs.config, exchange.dialogue, inputs.cell(job)
    models = {variant.stage: variant.settings.model for variant in cell.sides.values()}
    scenario, profile = inputs.scenario(job), inputs.profile(job)
    end_reason = dialogue.end_reason or EndReason.FAILED
    findings: tuple[Finding, ...] = ()
    if config.validation.enabled:
        findings = validate(
            dialogue.turns,
            end_reason=end_reason,
            language=config.language,
            end_prompt=inputs.prompts(job).end_prompt,
        )
    dropped_because = drop_reasons(findings if config.validation.drop else (), end_reason)
    fields: dict[str, object] = {
        "format": FORMAT,
        "id": job.job_id,
        "task": job.task,
        "task_name": scenario.task_name,
        "language": scenario.language,
        "scenario": {
            "number": job.scenario_number,
            "variables": dict(scenario.variables),
            "text": scenario.text,
            "requirements": list(scenario.requirements),
        },
        "profile": {
            "id": profile.profile_id,
            "fields": dict(profile.aspects),
            "text": profile.render(config.language),
        },
        "history": [_message(turn) for turn in dialogue.turns],
        "end_reason": end_reason,
        "rounds": dialogue.rounds,
        # In the configuration's order, which is on record.
        "models": {stage: models[stage] for stage in (*config.stages, *models) if stage in models},
        "is_rehearsal": config.is_rehearsal or exchange.is_rehearsed,
        "usage": {
            "simulator": _usage(exchange.usage(Role.USER)),
            "assistant": _usage(exchange.usage(Role.ASSISTANT)),
        },
        "kept": not dropped_because,
        "dropped_because": list(dropped_because),
        "flags": [_flag(finding) for finding in findings],
        "rules_version": RULES_VERSION if config.validation.enabled else None,
    }
    if cell.name:
        fields["cell"] = {
            "name": cell.name, "simulator": cell.simulator.name, "assistant": cell.assistant.name,
        }  # fmt: skip
    if dialogue.debrief:
        fields["debrief"] = [
            {"side": answer.role, "question": answer.question, "answer": answer.answer}
            for answer in dialogue.debrief
        ]
    served = {_SIDES[role]: tuple(sorted(names - {""})) for role, names in exchange.served_models.items()}
    if any(len(names) > 1 for names in served.values()):
        fields["served_models"] = {side: list(names) for side, names in served.items()}
    if any(exchange.reasoned.values()):
        fields["reasoning"] = {_SIDES[role]: count for role, count in exchange.reasoned.items()}
    firings = tuple(dialogue.firings)
    if job.behaviour:
        fields["behaviour"] = inputs.catalog.levels_of(job.behaviour)
    if (items := inputs.catalog.tasks[job.task].items) is not None:
        said = [(turn.role.value, turn.content) for turn in dialogue.turns]
        fields["items"] = items.found_in(said, job.profile_id, job.scenario_number)
    if config.gates.use:
        fields["gates"] = [
            {"step": firing.step, "attempt": firing.attempt, "gates": list(firing.gates), "kept": firing.kept}
            for firing in firings
        ]
    return ConversationRecord(
        job, dialogue.turns, end_reason, findings, dropped_because, served, fields, dialogue.judged, firings
    )


def _message(turn: Turn) -> dict[str, object]:
    message: dict[str, object] = {"role": turn.role, "content": turn.content}
    if turn.flags:
        message["flags"] = list(turn.flags)
    return message


def _usage(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}


def _flag(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "effect": finding.effect,
        "side": finding.side,
        "turn": finding.turn_index,
        "detail": finding.detail,
    }
