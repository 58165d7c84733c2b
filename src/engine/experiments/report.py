"""The report of an experiment: Markdown, CSV and JSON, every number traceable to the cells it is from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from engine.dataset.build import replacing
from engine.experiments.baseline import USES
from engine.experiments.claims import REHEARSAL
from engine.experiments.experiment import CannotRunRow, Result, SplitResult
from engine.experiments.intervals import Interval
from engine.experiments.paper_figures import BEST_ACCURACY, BEST_MACRO_F1, NOTES
from engine.experiments.splits import SplitKind
from engine.experiments.table import GROUPS, MadeCell, Row
from engine.schema.annotation import PAPER_INTENTS

# The share of a test part from which on it is said that its words are unknown.
_MANY_UNKNOWN = 0.05
REPORT, TABLE, CELLS, FIGURES = "intents.md", "table4.csv", "cells.csv", "intents.json"

_SPLITS: Mapping[SplitKind, str] = {
    SplitKind.UTTERANCE: "the paper's recipe: utterances of one conversation lie in different parts",
    SplitKind.CONVERSATION: "whole conversations: no conversation lies in two parts",
    SplitKind.PROFILE: "whole profiles: no profile's text lies in two parts",
    SplitKind.FILE: "the parts that the split file gives; seeds are the models' own",
}


def write_report(result: Result, folder: Path, command: str) -> list[Path]:
    """Write all files, each replaced whole; their paths."""
    files = {
        REPORT: markdown(result, command).encode(),
        TABLE: _csv(_table_rows(result)).encode(),
        CELLS: _csv(_cell_rows(result)).encode(),
        FIGURES: orjson.dumps(_figures(result, command), option=orjson.OPT_INDENT_2),
    }
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)
    return [folder / name for name in files]


def markdown(result: Result, command: str) -> str:
    """The whole report."""
    data = result.data
    lines = [
        "# Intent detection",
        "",
        f"{len(data.samples)} user utterances, data `{data.digest}`, {result.found + result.made} cells."
        + "".join(f" Left out: {count} {reason}." for reason, count in sorted(data.left_out.items())),
        "",
    ]
    if data.labels != PAPER_INTENTS.labels:
        lines += ["The intents are not the paper's: its figures are beside ours, and cannot be compared.", ""]
    if data.is_rehearsal:
        lines += ["**Rehearsal data: canned text, which says nothing about any model or user.**", ""]
    for split in result.splits:
        lines += _split_section(split)
    return "\n".join([*lines, *_provenance(result, command)]) + "\n"


def _split_section(split: SplitResult) -> list[str]:
    reproduced = [row for row in split.rows if row.group != "baseline"]
    apart = [row for row in split.rows if row.group == "baseline"]
    seed = "" if split.split.seed is None else f", seed {split.split.seed}"
    lines = [
        f"## Split by {split.kind}",
        "",
        f"8:1:1, {_SPLITS[split.kind]}.",
        "",
        f"### Table 3: intents of each part{seed}",
        "",
        *table3_lines(split),
        "",
        "### Table 4: accuracy / macro-F1",
        "",
        *table4_lines(reproduced, split.cannot_run),
        "",
        f"The paper's best: accuracy {BEST_ACCURACY[1]} ({BEST_ACCURACY[0]}), macro-F1 {BEST_MACRO_F1}. A"
        " dash: not in the paper, or its figure is not known here. The last column names each row's cells.",
        "",
    ]
    for row in reproduced:
        if row.name in NOTES and row.paper:
            lines.append(f"- {row.name}: {NOTES[row.name]}")
    lines += [f"- {line}" for line in answer_lines(reproduced)]
    lines += ["", "### The paper's claims, from these cells", "", *_claims(split), ""]
    if apart:
        lines += ["### Stronger baseline, no part of the reproduction", "", *_baseline(apart), ""]
    lines += ["### Differences between models, on the first seed's test part", "", *_comparisons(split), ""]
    lines += ["### Each intent, on the first seed's test part", ""]
    for row in split.rows:
        lines += [*_classes(row.label, row.cells[0]), ""]
    return lines


def table3_lines(split: SplitResult) -> list[str]:
    """Table 3 as Markdown."""
    labels = list(split.table3[0][1])
    return _markdown_table(
        ["part", *labels],
        [[part, *(str(counts[label]) for label in labels)] for part, counts in split.table3],
    )


def table4_lines(rows: Sequence[Row], cannot_run: Sequence[CannotRunRow] = ()) -> list[str]:
    """Table 4 as Markdown."""
    head = [
        "model", "paper", "first seed", "mean of seeds", "sd", "95 % accuracy", "95 % macro-F1", "interval",
        "cells",
    ]  # fmt: skip
    body = []
    for group, title in GROUPS.items():
        of_group = [row for row in rows if row.group == group]
        without = [row for row in cannot_run if row.group == group]
        if of_group or without:
            body.append([f"**{title}**", *([""] * (len(head) - 1))])
        for row in of_group:
            first = row.cells[0].scores
            body.append(
                [
                    row.label,
                    _pair(*row.paper) if row.paper else "-",
                    _pair(first.accuracy, first.macro_f1),
                    f"{_pair(row.accuracy, row.macro_f1)} ({len(row.cells)})",
                    "-" if row.accuracy_sd is None else _pair(row.accuracy_sd, row.macro_f1_sd or 0.0),
                    _span(row.accuracy_interval),
                    _span(row.macro_f1_interval),
                    row.interval_kind,
                    " ".join(cell.cell.cell_id[:6] for cell in row.cells),
                ]
            )
        body += [[row.label, "-", row.reason, *([""] * (len(head) - 3))] for row in without]
    return _markdown_table(head, body)


def answer_lines(rows: Sequence[Row]) -> list[str]:
    """What a reader of the rows must know: what could not be read, by a model or of it, and what it took."""
    lines = _unknown_words(rows)
    for row in rows:
        said = []
        if row.unanswered or row.group == "llm":
            asked = sum(len(cell.cell.gold) for cell in row.cells)
            said.append(
                f"{row.unanswered} of {asked} answers ({row.unanswered / asked:.1%}) name no intent and count"
                " as wrong"
            )
        if row.group == "llm":
            notes = row.cells[0].cell.notes
            cost = "cost unknown" if notes["cost_usd"] is None else f"{notes['cost_usd']:.4f} USD"
            said.append(
                f"the first seed took {notes['asked']} calls, {notes['prompt_tokens']:,} tokens in, "
                f"{notes['completion_tokens']:,} out, {cost}, answered by {', '.join(notes['served_models'])}"
            )
        if row.name == REHEARSAL:
            said.append("**canned answers, which say nothing about any model**")
        if said:
            lines.append(f"{row.label}: {'; '.join(said)}.")
    return lines


def _unknown_words(rows: Sequence[Row]) -> list[str]:
    # All traditional models see the same words, so one line says it for all.
    for row in rows:
        cell = row.cells[0].cell
        unknown = cell.notes.get("without_known_words", 0)
        if unknown > _MANY_UNKNOWN * len(cell.gold):
            return [
                f"Traditional models: {unknown} of {len(cell.gold)} utterances (first seed) have no word of"
                " the training part and look all alike to them. Words are cut at spaces and punctuation, as"
                " in the paper; Chinese, for one, has no spaces."
            ]
    return []


def _claims(split: SplitResult) -> list[str]:
    return _markdown_table(
        ["claim", "verdict", "rule (by accuracy and by macro-F1)"],
        [[claim.claim, f"**{claim.verdict}**", claim.rule] for claim in split.claims],
    )


def _baseline(rows: Sequence[Row]) -> list[str]:
    lines = [*table4_lines(rows), "", f"It uses: {USES}."]
    for row in rows:
        errors = [cell.calibration_error for cell in row.cells if cell.calibration_error is not None]
        if errors:
            mean = sum(errors) / len(errors)
            lines += [f"Calibration error (ten bins, mean of {len(errors)} cells): {mean:.3f}."]
    return lines


def _comparisons(split: SplitResult) -> list[str]:
    if not split.comparisons:
        return ["One model alone: nothing to compare."]
    body = [
        [
            f"{tested.first} / {tested.second}",
            f"{tested.comparison.only_first_right} / {tested.comparison.only_second_right}",
            _p(tested.mcnemar_p),
            f"{tested.comparison.f1_difference:+.4f}",
            _span(tested.comparison.f1_interval),
            _p(tested.f1_p),
        ]
        for tested in split.comparisons
    ]
    head = ["models", "only one right", "McNemar p", "macro-F1 difference", "95 %", "bootstrap p"]
    note = "Exact McNemar test; paired bootstrap by conversation, 2,000 draws; p corrected by Holm's method."
    return [*_markdown_table(head, body), "", note]


def _classes(label: str, cell: MadeCell) -> list[str]:
    scores = cell.scores
    names = [each.label for each in scores.classes]
    unread = ["no label"] if scores.unanswered else []
    head = [label, "precision", "recall", "F1", "n", *(f"as {name}" for name in [*names, *unread])]
    body = [
        [each.label, *(f"{value:.3f}" for value in (each.precision, each.recall, each.f1)), str(each.support)]
        + [str(count) for count in row[: len(names) + len(unread)]]
        for each, row in zip(scores.classes, scores.confusion, strict=True)
    ]
    return _markdown_table(head, body)


def _provenance(result: Result, command: str) -> list[str]:
    cells = [cell for split in result.splits for row in split.rows for cell in row.cells]
    versions = sorted({f"{k} {v}" for cell in cells for k, v in cell.cell.key["versions"].items()})
    commands = sorted({cell.cell.command for cell in cells})
    return [
        "## Where the numbers come from",
        "",
        f"- data `{result.data.digest}`",
        f"- versions: {', '.join(versions)}",
        *(f"- cells made by `{each}`" for each in commands),
        f"- this report made by `{command}`",
        f"- `{CELLS}` lists each cell with its seed, split, parameters, versions and command; `cells/` holds"
        " their answers",
    ]


def _table_rows(result: Result) -> Iterable[dict[str, object]]:
    for split in result.splits:
        for row in split.rows:
            yield {
                "split": str(split.kind),
                "group": row.group,
                "model": row.name,
                "mode": row.mode,
                "paper_accuracy": row.paper.accuracy if row.paper else "",
                "paper_macro_f1": row.paper.macro_f1 if row.paper else "",
                "first_seed": row.cells[0].cell.key["seed"],
                "first_accuracy": round(row.cells[0].scores.accuracy, 4),
                "first_macro_f1": round(row.cells[0].scores.macro_f1, 4),
                "cells": len(row.cells),
                "accuracy": round(row.accuracy, 4),
                "macro_f1": round(row.macro_f1, 4),
                "accuracy_sd": "" if row.accuracy_sd is None else round(row.accuracy_sd, 4),
                "macro_f1_sd": "" if row.macro_f1_sd is None else round(row.macro_f1_sd, 4),
                "accuracy_low": round(row.accuracy_interval.low, 4),
                "accuracy_high": round(row.accuracy_interval.high, 4),
                "macro_f1_low": round(row.macro_f1_interval.low, 4),
                "macro_f1_high": round(row.macro_f1_interval.high, 4),
                "interval": row.interval_kind,
                "unanswered": row.unanswered,
                "data": result.data.digest,
                "cell_ids": " ".join(cell.cell.cell_id for cell in row.cells),
                "cannot_run": "",
            }
        for without in split.cannot_run:
            yield {
                "split": str(split.kind),
                "group": without.group,
                "model": without.name,
                "mode": without.mode,
                "data": result.data.digest,
                "cannot_run": without.reason,
            }


def _cell_rows(result: Result) -> Iterable[dict[str, object]]:
    for split in result.splits:
        for row in split.rows:
            for made in row.cells:
                key = made.cell.key
                yield {
                    "cell": made.cell.cell_id,
                    "model": row.label,
                    "split": str(split.kind),
                    "split_seed": "" if made.split.seed is None else made.split.seed,
                    "assignment": made.split.digest,
                    "seed": key["seed"],
                    "accuracy": round(made.scores.accuracy, 4),
                    "macro_f1": round(made.scores.macro_f1, 4),
                    "unanswered": made.scores.unanswered,
                    "seconds": made.cell.seconds,
                    "data": key["data"],
                    "params": orjson.dumps(key["params"]).decode(),
                    "versions": orjson.dumps(key["versions"]).decode(),
                    "notes": orjson.dumps(made.cell.notes).decode(),
                    "command": made.cell.command,
                }


def _figures(result: Result, command: str) -> dict[str, object]:
    return {
        "command": command,
        "data": result.data.digest,
        "samples": len(result.data.samples),
        "left_out": dict(result.data.left_out),
        "is_rehearsal": result.data.is_rehearsal,
        "splits": [
            {
                "kind": str(split.kind),
                "table3": dict(split.table3),
                "claims": [
                    {"claim": each.claim, "rule": each.rule, "verdict": each.verdict} for each in split.claims
                ],
                "comparisons": [
                    {
                        "models": [tested.first, tested.second],
                        "only_right": [
                            tested.comparison.only_first_right,
                            tested.comparison.only_second_right,
                        ],
                        "mcnemar_p": tested.mcnemar_p,
                        "macro_f1_difference": tested.comparison.f1_difference,
                        "bootstrap_p": tested.f1_p,
                    }
                    for tested in split.comparisons
                ],
            }
            for split in result.splits
        ],
        "table4": list(_table_rows(result)),
    }


def _csv(rows: Iterable[Mapping[str, object]]) -> str:
    text, rows = io.StringIO(), list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _markdown_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---", *(["---:"] * (len(head) - 1))]
    # An imported label may hold anything, and a cell of a Markdown table is one line.
    rows = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in (head, rule, *body))
    return ["| " + " | ".join(row) + " |" for row in rows]


def _pair(accuracy: float, macro_f1: float) -> str:
    return f"{accuracy:.4f} / {macro_f1:.4f}"


def _span(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
