"""The tables of a report: the paper's, and what else is worth knowing of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.analysis.intent_flow import END, LAST_TURN
from engine.analysis.report_tally import ReportTally, RunFacts
from engine.analysis.sections import Section, number, section
from engine.analysis.statistics import Statistics
from engine.analysis.table1 import LAST_POSITION
from engine.schema.dataset import Construction

PHRASES = 15
# Who speaks in each way of making conversations: the paper's Figure 1.
_WAYS: Mapping[str, tuple[str, str]] = {
    Construction.HUMAN_HUMAN: ("a person", "a person"),
    Construction.HUMAN_LLM: ("a person", "an LLM"),
    Construction.LLM_LLM: ("an LLM (simulator)", "an LLM"),
    Construction.TEMPLATES: ("templates", "templates"),
    Construction.UNKNOWN: ("not recorded", "not recorded"),
}


def figure1(datasets: Sequence[tuple[str, Statistics]]) -> Section:
    """Figure 1 as a table: how the conversations of each dataset were made, and how they come out."""
    rows = []
    for name, statistics in datasets:
        row = statistics.kept.row(statistics.definitions)
        for way in statistics.construction:
            user, assistant = _WAYS.get(way, ("", ""))
            rows.append(
                (
                    name, way, user, assistant, str(statistics.construction[way]),
                    str(len(statistics.kept.by_task)), number(row.mean_rounds, 2),
                    number(row.mean_user_tokens, 1), number(row.mean_assistant_tokens, 1),
                )
            )  # fmt: skip
    return section(
        "Figure 1: how the conversations were made",
        (
            "dataset", "construction", "user", "assistant", "conversations", "tasks", "rounds",
            "tokens of a user turn", "of an assistant turn",
        ),
        rows,
    )  # fmt: skip


def table1(tally: ReportTally) -> Section:
    """Table 1: raw, kept, and kept by task."""
    statistics = tally.statistics
    definitions, raw, kept = statistics.definitions, statistics.raw(), statistics.kept
    rows = [("raw", raw.row(definitions)), ("kept", kept.row(definitions))]
    rows += [(named(task), kept.row(definitions, task)) for task in sorted(kept.by_task)]
    without = ", ".join(sorted(definitions.averages_without))
    return section(
        "Table 1: conversations and their lengths",
        ("", "scenarios", "conversations", "utterances", "rounds", "tokens", "user's", "assistant's"),
        [
            (
                name, str(row.scenarios), str(row.conversations), number(row.mean_utterances, 2),
                number(row.mean_rounds, 2), number(row.mean_tokens, 1), number(row.mean_user_tokens, 1),
                number(row.mean_assistant_tokens, 1),
            )
            for name, row in rows
        ],
        "Means per conversation; the last two columns are tokens (cl100k_base) of one utterance."
        + (f" Averages of the first two rows are without {without}." if without else ""),
    )  # fmt: skip


def rounds(tally: ReportTally) -> Section:
    """Conversations by number of rounds."""
    kept = tally.statistics.kept
    counted = {"all": kept.rounds()} | {named(t): kept.by_task[t].rounds for t in sorted(kept.by_task)}
    numbers = sorted(kept.rounds().counts)
    return section(
        "Rounds",
        ("", *map(str, numbers)),
        [(name, *(str(each.counts[n] or "") for n in numbers)) for name, each in counted.items()],
        "Conversations by number of rounds, kept ones.",
    )


def tokens(tally: ReportTally) -> Section:
    """Tokens of an utterance by its position."""
    by_side = tally.statistics.kept.tokens_by_position()
    positions = sorted({position for found in by_side.values() for position in found})
    return section(
        "Tokens by position",
        ("", *(f"{p}+" if p == LAST_POSITION else str(p) for p in positions)),
        [
            (role.value, *(number(found[p].mean, 1) if p in found else "" for p in positions))
            for role, found in by_side.items()
        ],
        "Mean tokens of an utterance by its position among its side's.",
    )


def table2(tally: ReportTally) -> Section:
    """Table 2: mean ratings by task."""
    means = tally.statistics.ratings.table2(tally.statistics.definitions)
    metrics = list(dict.fromkeys(metric for row in means.values() for metric in row))
    return section(
        "Table 2: mean ratings",
        ("", *map(named, means)),
        [(metric, *(number(row.get(metric)) for row in means.values())) for metric in metrics],
    )


def figure6(tally: ReportTally) -> Section:
    """Figure 6's counts."""
    counts = tally.statistics.ratings.figure6()
    scores = sorted({score for found in counts.values() for score in found})
    return section(
        "Figure 6: scores",
        ("", *map(str, scores)),
        [(metric, *(str(found.get(score, "")) for score in scores)) for metric, found in counts.items()],
        "Conversations with each score.",
    )


def table3(tally: ReportTally) -> Section:
    """Table 3: intents, all and by task."""
    intents = tally.statistics.intents
    labels = list(intents.ordered(intents.totals))
    rows = [("all", intents.totals), *((named(t), intents.by_task[t]) for t in sorted(intents.by_task))]
    return section(
        "Table 3: intents",
        ("", *labels),
        [(name, *(str(counts[label]) for label in labels)) for name, counts in rows] if labels else [],
        f"{intents.labelled} of {intents.utterances} user utterances are labelled, {intents.several} with "
        "several labels, each of which counts.",
    )


def intent_flow(tally: ReportTally) -> Section:
    """Intents by user turn."""
    flow, labels = tally.flow, list(tally.statistics.intents.ordered(tally.statistics.intents.totals))
    turns = sorted(flow.by_turn)
    return section(
        "Intents by turn",
        ("user turn", *(f"{t}+" if t == LAST_TURN else str(t) for t in turns)),
        [(label, *(str(flow.by_turn[turn][label] or "") for turn in turns)) for label in labels],
    )


def transitions(tally: ReportTally) -> Section:
    """Which intent follows which, in shares of each row."""
    labels = list(tally.statistics.intents.ordered(tally.statistics.intents.totals))
    columns = (*labels, END)
    rows = []
    for label in labels:
        after: Mapping[str, int] = tally.flow.transitions.get(label, {})
        total = sum(after.values())
        shares = (number(after.get(c, 0) / total, 2) if total else "" for c in columns)
        rows.append((label, *shares))
    return section("Intents that follow", ("after", *columns), rows, "Shares of each row.")


def hallucinations(tally: ReportTally) -> Section:
    """Hallucinated replies."""
    found = tally.statistics.hallucinations
    rows: list[tuple[str, ...]] = []
    if found.judged:
        rows.append(
            (
                "all", str(found.hallucinated), str(found.judged), str(found.cannot_tell),
                str(found.conversations_with_any),
            )
        )  # fmt: skip
        rows += [(named(task), str(n), "", "", "") for task, n in sorted(found.by_task.items())]
    columns = ("", "hallucinated", "judged", "cannot tell", "conversations with any")
    return section("Hallucinated replies", columns, rows)


def end_reasons(tally: ReportTally) -> Section:
    """End reasons by task."""
    return _by_task("End reasons", tally, tally.end_reasons, "How conversations ended, raw.")


def defects(tally: ReportTally) -> Section:
    """What validation or the import noticed."""
    return _by_task("Defects", tally, tally.flags, "Conversations with each finding, kept or dropped.")


def dropped(tally: ReportTally) -> Section:
    """Why conversations were dropped."""
    rows = [(name, str(count)) for name, count in tally.dropped_because.most_common()]
    return section("Dropped because", ("", "conversations"), rows)


def phrases(tally: ReportTally, task: str) -> Section:
    """A task's most frequent preferences."""
    found = tally.preferences
    of_profiles: Mapping[str, int] = found.from_profiles.get(task, {})
    return section(
        f"Figure 5: preferences, {named(task)}",
        ("", "conversations", "of them by the profile alone"),
        [(p, str(n), str(of_profiles.get(p, 0) or "")) for p, n in found.most_common(task, PHRASES)],
        f"The {PHRASES} most frequent of {len(found.by_task[task])} phrases.",
    )


def run_facts(facts: RunFacts, conversations: int) -> Section:
    """What a run took."""
    minutes = facts.duration_s / 60
    rows = [
        ("calls", f"{facts.calls:,}"),
        ("failed calls", f"{facts.failed_calls:,}"),
        ("prompt tokens", f"{facts.prompt_tokens:,}"),
        ("of them cached", f"{facts.cached_tokens:,}"),
        ("completion tokens", f"{facts.completion_tokens:,}"),
        ("sessions", str(facts.sessions)),
        ("time at work (s)", number(facts.duration_s, 1)),
    ]
    if minutes > 0:
        rows += [
            ("conversations a minute", number(conversations / minutes, 1)),
            ("calls a second", number(facts.calls / facts.duration_s, 1)),
            ("completion tokens a second", number(facts.completion_tokens / facts.duration_s, 1)),
        ]
    if facts.cost_usd is not None:
        rows.append(("cost (USD)", number(facts.cost_usd, 4)))
    return section("Cost and throughput", ("", ""), rows)


def named(task: str) -> str:
    """A task's name as tables show it."""
    return task or "(no task)"


def _by_task(title: str, tally: ReportTally, counts: Mapping[str, Mapping[str, int]], note: str) -> Section:
    tasks = sorted(tally.statistics.raw().by_task)
    ordered = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return section(
        title,
        ("", "all", *map(named, tasks)),
        [
            (name, str(sum(found.values())), *(str(found.get(task, "") or "") for task in tasks))
            for name, found in ordered
        ],
        note,
    )
