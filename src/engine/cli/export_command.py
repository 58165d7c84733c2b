"""`engine export`: the conversations of a run or file in a format for others, or as they came.

A run of the engine without further options is written as `conversations.jsonl`, an imported one byte for byte
as it was. Everything else goes through `dataset.export`, which writes a card, LICENSE and NOTICE beside it.
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from engine.annotation.people import FILE_NAME
from engine.annotation.stored import RunAnnotations
from engine.cli.dataset_argument import dataset_argument, find_dataset
from engine.cli.display import shape_table
from engine.cli.shared_options import json_option, runs_dir_option
from engine.clock import SystemClock
from engine.dataset.build import write_dataset
from engine.dataset.engine_record import ENGINE
from engine.dataset.export import VIEW_NAMES, ExportRequest, ExportResult, export_dataset
from engine.dataset.export_facts import ordered
from engine.dataset.export_folder import refuse_existing, refuse_folder
from engine.dataset.export_formats import FORMATS
from engine.dataset.import_export import default_export_name, write_as_imported
from engine.dataset.selection import Language, Selection, metric_named
from engine.dataset.source import Dataset, open_dataset
from engine.dataset.splits import NO_SPLIT, parse_ratio
from engine.errors import UsageError
from engine.journal.imports import ImportFacts, read_import_facts
from engine.journal.inputs import read_inputs
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader

AS_IMPORTED = "as-imported"


@click.command()
@dataset_argument
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help=f"{', '.join(FORMATS)}, engine or {AS_IMPORTED}; default: the engine's, or that of the import.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File or folder to write; default: in the run's export/."
)
@click.option("--force", is_flag=True, help="Replace what an export wrote there before.")
@click.option(
    "--kept/--raw", "only_kept", default=True, help="Without or with dropped ones.  [default: kept]"
)
@click.option("--include", type=click.Choice(["dropped"]), help="The same as --raw.")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="This task alone; may be repeated.")
@click.option(
    "--min-rating", "min_ratings", multiple=True, metavar="METRIC=N",
    help="Rated N or better; may be repeated.",
)  # fmt: skip
@click.option("--split", metavar="A:B:C", help="Parts train, validation and test (or train and test).")
@click.option(
    "--split-by", type=click.Choice(["profile"]), default="profile", show_default=True,
    help="No profile, by text, id or person, is in two parts.",
)  # fmt: skip
@click.option("--view", type=click.Choice(VIEW_NAMES), help="Cut the dataset for one use.")
@click.option(
    "--rows", type=click.Choice(["conversations", "utterances"]),
    help="This table alone, of CSV and Parquet.  [default: both]",
)  # fmt: skip
@click.option("--redact", is_flag=True, help="Replace personal data by marks.")
@click.option(
    "--language", type=click.Choice(["both", "en", "zh"]), default="both", show_default=True,
    help="Texts in one language; conversations without are left out.",
)  # fmt: skip
@click.option("--author", metavar="NAME", help="Whose labels are shown, e.g. dataset or judge:NAME.")
@click.option("--plain", is_flag=True, help="OpenAI's format: messages and nothing beside them.")
@click.option("--licence", metavar="NAME", help="Licence of the whole, for LICENSE and card, e.g. CC-BY-4.0.")
@runs_dir_option
@json_option
def export(
    dataset_name: str,
    form: str | None,
    out: Path | None,
    force: bool,
    only_kept: bool,
    include: str | None,
    tasks: tuple[str, ...],
    min_ratings: tuple[str, ...],
    split: str | None,
    split_by: str,
    view: str | None,
    rows: str | None,
    redact: bool,
    language: Language,
    author: str | None,
    plain: bool,
    licence: str | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Write the conversations of RUN_OR_FILE that have ended, at any moment, also while the run goes on.

    The records of an imported run come back as they came, byte for byte, unless a part is chosen.
    """
    dataset = open_dataset(find_dataset(runs_dir, dataset_name))
    facts = _import_facts(dataset) if dataset.is_run else None
    is_held = dataset.is_run and facts is None
    is_annotated = dataset.is_run and _is_annotated(dataset.path)
    only_kept = only_kept and include is None
    # A run's own folder of exports holds nothing but what can be made again.
    force = force or (out is None and dataset.is_run)
    selection = Selection(only_kept, tasks, dict(map(_min_rating, min_ratings)), language, author)
    ratio = NO_SPLIT if split is None else parse_ratio(split)
    chosen = _format_of(dataset, form, view, is_import=facts is not None)
    is_whole = selection.is_everything and ratio is NO_SPLIT and not redact and not plain and view is None
    if chosen == AS_IMPORTED and not is_whole:
        raise UsageError(
            f"--format {AS_IMPORTED}: gives all records back as they came. Name the format "
            f"({dataset.format}) to choose a part or to change texts."
        )
    if is_held and is_whole and chosen == ENGINE.name:
        return _export_run(dataset, out, only_kept=only_kept, force=force, as_json=as_json)
    as_it_came = chosen == AS_IMPORTED or (chosen == dataset.format and (form is None or not is_annotated))
    if facts is not None and is_whole and as_it_came:
        return _export_import(dataset, facts, out, force=force, as_json=as_json)
    request = ExportRequest(
        form=chosen, view=view, selection=selection, ratio=ratio, redact=redact, plain=plain, licence=licence,
        tables=(rows,) if rows else ("conversations", "utterances"),
        date=datetime.fromtimestamp(SystemClock().wall(), UTC).date().isoformat(),
    )  # fmt: skip
    path = out or _default_place(dataset, chosen, view)
    if not is_annotated:
        _say(export_dataset(dataset, request, path, force=force), as_json=as_json)
        return 0
    with closing(RunAnnotations(dataset.path)) as annotations:
        dataset = open_dataset(dataset.path, annotate=annotations)
        _say(export_dataset(dataset, request, path, force=force), as_json=as_json)
    return 0


def _import_facts(dataset: Dataset) -> ImportFacts | None:
    with closing(Reader(dataset.path / JOURNAL_NAME)) as reader:
        return read_import_facts(reader)


def _is_annotated(folder: Path) -> bool:
    """Whether judges or people said something of the run's conversations."""
    with closing(Reader(folder / JOURNAL_NAME)) as reader:
        # A stage's name is that of its annotator, and behind an @ that of its judge.
        return any("@" in stage for stage in reader.stages()) or (folder / FILE_NAME).is_file()


def _min_rating(text: str) -> tuple[str, int]:
    metric, _, least = text.rpartition("=")
    if not metric or not least.strip().isdigit():
        raise UsageError(f"--min-rating {text}: write it as METRIC=N, e.g. 'Detail Level=2'.")
    return metric_named(metric), int(least)


def _format_of(dataset: Dataset, form: str | None, view: str | None, *, is_import: bool) -> str:
    """The format to write, or UsageError where the dataset cannot be written in the one that was named."""
    own = dataset.format
    if form is None:
        return own if dataset.is_run and view is None else "jsonl"
    if form == AS_IMPORTED and not is_import:
        raise UsageError(f"--format {AS_IMPORTED}: {dataset.name} is no imported run.")
    known = dict.fromkeys([own, *FORMATS, *([AS_IMPORTED] if is_import else [])])
    if form not in known:
        raise UsageError(f"--format: {dataset.name} can be written as {', '.join(known)}; not as {form!r}.")
    return form


def _default_place(dataset: Dataset, form: str, view: str | None) -> Path:
    if not dataset.is_run:
        raise UsageError(f"--out: say where to write; {dataset.name} is a file, and lies in no run's folder.")
    return dataset.path / "export" / (f"{form}-{view}" if view else form)


def _export_run(dataset: Dataset, out: Path | None, *, only_kept: bool, force: bool, as_json: bool) -> int:
    path = out or dataset.path / "export" / "conversations.jsonl"
    refuse_folder(path)
    refuse_existing(path, force=force)
    with closing(Reader(dataset.path / JOURNAL_NAME)) as reader:
        counts = write_dataset(
            reader, read_inputs(reader), path, wanted=lambda record: record.is_kept or not only_kept
        )
    kept = counts.kept.row().conversations
    written = kept if only_kept else counts.conversations
    if as_json:
        described = {"file": str(path), "written": written, "kept": kept, "ended": counts.conversations}
        click.echo(json.dumps(described | {"planned": counts.planned}))
        return 0
    Console(highlight=False).print(shape_table(counts))
    click.echo(
        f"{written} conversations written to {path} ({counts.conversations} of {counts.planned} ended)"
    )
    return 0


def _export_import(
    dataset: Dataset, facts: ImportFacts, out: Path | None, *, force: bool, as_json: bool
) -> int:
    path = out or dataset.path / "export" / default_export_name(facts)
    refuse_existing(path, force=force)
    written = write_as_imported(dataset.path, path)
    if as_json:
        click.echo(json.dumps({"file": str(path), "written": written, "format": dataset.format}))
    else:
        click.echo(f"{written} records written to {path}, as they came ({dataset.format})")
    return 0


def _say(result: ExportResult, *, as_json: bool) -> None:
    counts, scan = result.counts, result.scan
    if as_json:
        click.echo(json.dumps({
            "file": str(result.path), "written": counts.conversations, "licence": result.licence,
            "counts": counts.as_dict(), "personal_data": dict(scan.in_utterances + scan.elsewhere),
        }))  # fmt: skip
        return
    click.echo(f"{counts.conversations} conversations written to {result.path}")
    for table, rows in counts.rows.items():
        by = ", ".join(f"{part} {number}" for part, number in ordered(rows).items() if part)
        click.echo(f"  {table:<16} {rows.total()}{by and f' ({by})'}")
    for reason, number in counts.left_out.most_common():
        click.echo(f"  left out         {number} ({reason})")
    found = scan.in_utterances + scan.elsewhere
    if found:
        pieces = ", ".join(f"{number} {kind}" for kind, number in found.most_common())
        click.echo(f"  personal data    {pieces}; the card says more, --redact replaces them")
    if result.licence == "unknown":
        click.echo("  licence          none chosen; --licence NAME writes one into card and LICENSE")
