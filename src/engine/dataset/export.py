"""Writes a dataset for others: selected, split, checked for personal data, with card, LICENSE and NOTICE.

One pass over the conversations (two where they are split), one conversation in memory at a time. Everything
is written beside its place and put there whole, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from engine.dataset.card import CardFacts, Config, write_card
from engine.dataset.encode_croissant import DescribedFile, describe
from engine.dataset.export_facts import ExportCounts, describe_source, ordered
from engine.dataset.export_folder import (
    MANIFEST,
    create,
    refuse_existing,
    replacing_folder,
    spare_folder,
    sync,
)
from engine.dataset.export_formats import FORMATS, SUFFIXES, TABULAR, Writer, make_writer
from engine.dataset.how_to_load import how_to_load
from engine.dataset.licence import UNKNOWN, licence_of, licence_text, licence_url, notice_text
from engine.dataset.personal_data import Scan, redacted
from engine.dataset.preference_pairs import finding_pairs
from engine.dataset.selection import Selection
from engine.dataset.source import Dataset
from engine.dataset.splits import NO_SPLIT, Ratio, Splitter
from engine.dataset.tabular import Row, Table
from engine.dataset.views import PAIR_COLUMNS, PAIRS_DESCRIPTION, PREFERENCE_PAIRS, VIEWS, View
from engine.errors import BadInput, UsageError
from engine.schema.dataset import Conversation

VIEW_NAMES = (*VIEWS, PREFERENCE_PAIRS)
_PLAIN_VIEWS = ("simulator",)
_COMPANIONS = ("README.md", "LICENSE", "NOTICE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is asked for. `tables` says which of `conversations` and `utterances` CSV and Parquet hold.

    `date` (ISO 8601) is the day of writing, which Croissant wants. `plain` is for OpenAI's format.
    """

    form: str
    view: str | None = None
    selection: Selection = field(default_factory=Selection)
    ratio: Ratio = NO_SPLIT
    redact: bool = False
    plain: bool = False
    tables: tuple[str, ...] = ("conversations", "utterances")
    licence: str | None = None
    date: str = ""

    @property
    def author(self) -> str | None:
        return self.selection.author


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written, and where."""

    path: Path
    counts: ExportCounts
    scan: Scan
    licence: str


def is_one_file(form: str, out: Path) -> bool:
    """Whether `out` names a file of this format rather than a folder."""
    return SUFFIXES.get(form) is not None and out.suffix == SUFFIXES[form]


def check_request(dataset: Dataset, request: ExportRequest, out: Path, *, force: bool) -> None:
    """Raise UsageError for what can be told before anything is read or written."""
    form, view = request.form, request.view
    if (
        view is not None
        and form not in TABULAR
        and not (view in _PLAIN_VIEWS and form in ("openai", "sharegpt"))
    ):
        chats = ", openai and sharegpt" if view in _PLAIN_VIEWS else ""
        raise UsageError(f"--view {view}: is written as {', '.join(TABULAR)}{chats}, not as {form}.")
    if view == PREFERENCE_PAIRS and (not dataset.is_run or dataset.format != "engine"):
        raise UsageError(
            f"--view {view}: is made from what gates refused while the engine held a run; {dataset.name} was "
            "not held by it."
        )
    if form not in FORMATS and request.selection.language != "both":
        raise UsageError(
            f"--language {request.selection.language}: records of {form} are written as they came; name "
            f"another --format ({', '.join(FORMATS)})."
        )
    if request.plain and form != "openai":
        raise UsageError("--plain: is for --format openai alone.")
    if is_one_file(form, out):
        if request.ratio is not NO_SPLIT:
            raise UsageError(f"--split: writes several files; name a folder with --out, not {out.name}.")
        if view is None and form in ("csv", "parquet") and len(request.tables) > 1:
            raise UsageError(
                f"--out {out.name}: is one file, and {form} writes two tables. Say --rows conversations or "
                "--rows utterances, or name a folder."
            )
        for path in (out, *_companions(out).values()):
            if path.is_dir():
                raise UsageError(f"{path} is a folder; name a file in it.")
            refuse_existing(path, force=force)
        return
    if out.suffix in SUFFIXES.values():
        ends = SUFFIXES.get(form)
        kind = f"a file that ends in {ends}, or a folder" if ends else "a folder"
        raise UsageError(f"--out {out}: --format {form} writes {kind}.")
    if out.is_file():
        raise UsageError(f"--out {out}: is a file, and --format {form} writes a folder here.")
    refuse_existing(out, force=force)


def export_dataset(
    dataset: Dataset, request: ExportRequest, out: Path, *, force: bool = False
) -> ExportResult:
    """Write `dataset` to `out`. Raises UsageError, BadInput (nothing to write), CannotWrite, DiskFull."""
    check_request(dataset, request, out, force=force)
    if not is_one_file(request.form, out):
        with replacing_folder(out) as folder:
            return _fill(dataset, request, folder, out)
    with spare_folder(out) as folder:
        result = _fill(dataset, request, folder, out)
        sync(folder)
        for name, path in _companions(out).items():
            (folder / name).replace(path)
        # The data last: whoever finds it finds what belongs to it.
        (written,) = (path for path in folder.iterdir() if path.suffix == out.suffix)
        written.replace(out)
    return result


def _companions(out: Path) -> dict[str, Path]:
    return {name: out.with_name(f"{out.stem}.{name}") for name in _COMPANIONS}


def _fill(dataset: Dataset, request: ExportRequest, folder: Path, out: Path) -> ExportResult:
    counts, scan = ExportCounts(), Scan()
    splitter = Splitter(request.ratio)
    if request.ratio is not NO_SPLIT:
        # Before anything is redacted, since marks would make different profiles alike.
        splitter.learn(request.selection.take(dataset, counts.left_out))
        counts.left_out.clear()
    with _view_table(dataset, request) as view:
        writer = make_writer(
            request.form, folder, own=dataset.format, view=view, author=request.author, plain=request.plain,
            tables=request.tables,
        )  # fmt: skip
        dropped = _noting_drops(dataset, request, counts)
        for conversation in request.selection.take(dropped, counts.left_out):
            part = splitter.part_of(conversation)
            cleared = scan.look(conversation)
            shown = cleared if request.redact else conversation
            rows = writer.write(shown, part)
            if view is not None and not any(rows.values()):
                counts.left_out["nothing for this view"] += 1
                continue
            counts.add(shown, part, request.author)
            for table, number in rows.items():
                counts.add_rows(table, part, number)
    licence = licence_of(counts, request.licence)
    writer.close(_corpus(dataset, counts, licence))
    if not counts.conversations:
        raise BadInput(_nothing_left(dataset, request, counts))
    _write_companions(dataset, request, folder, out, writer, counts, scan, splitter, licence)
    return ExportResult(out, counts, scan, licence)


def _noting_drops(dataset: Dataset, request: ExportRequest, counts: ExportCounts) -> Iterator[Conversation]:
    for conversation in dataset:
        if request.selection.only_kept and conversation.dropped_because:
            counts.dropped_because[conversation.dropped_because[0]] += 1
        yield conversation


@contextmanager
def _view_table(dataset: Dataset, request: ExportRequest) -> Iterator[Table | None]:
    if request.view is None:
        yield None
    elif request.view in VIEWS:
        yield VIEWS[request.view].table(request.view, request.author)
    else:
        with finding_pairs(dataset.path) as pairs:

            def rows(conversation: Conversation, author: str | None) -> Iterator[Row]:
                found = pairs.rows(conversation)
                # These texts come from the journal, not from the conversation that was cleared.
                return (redacted(row) if request.redact else row for row in found)

            yield View(PAIRS_DESCRIPTION, "", PAIR_COLUMNS, rows).table(PREFERENCE_PAIRS, request.author)


def _nothing_left(dataset: Dataset, request: ExportRequest, counts: ExportCounts) -> str:
    why = ", ".join(f"{number} {reason}" for reason, number in counts.left_out.most_common())
    message = (
        f"{dataset.name}: no conversation is left to write ({why or 'it holds none'}); nothing was written."
    )
    if "another task" in counts.left_out:
        message += f" Tasks there are: {', '.join(sorted(_tasks(dataset)))}."
    view = VIEWS.get(request.view or "")
    if view and "nothing for this view" in counts.left_out:
        message += f" --view {request.view} needs {view.needs}."
    if request.view == PREFERENCE_PAIRS:
        message += (
            " It needs a run with gates (`gates.use`) that asked for a turn again and then had a better one."
        )
    return message


def _tasks(dataset: Dataset) -> set[str]:
    found: set[str] = set()
    for conversation in dataset:
        found.add(conversation.task)
        if len(found) >= 20:
            break
    return found - {""}


def _write_companions(
    dataset: Dataset,
    request: ExportRequest,
    folder: Path,
    out: Path,
    writer: Writer,
    counts: ExportCounts,
    scan: Scan,
    splitter: Splitter,
    licence: str,
) -> None:
    """The card, LICENSE, NOTICE, the manifest and, for Croissant, its metadata."""
    source = describe_source(dataset)
    is_file = is_one_file(request.form, out)
    files = {written.table.name: written for written in writer.written}
    configs = _configs(writer) if request.form in ("huggingface", "csv", "parquet") and not is_file else []
    view = VIEWS.get(request.view or "")
    about = view.description if view else PAIRS_DESCRIPTION if request.view else ""
    description = f"{counts.conversations} conversations of {dataset.name}. {about}".strip()
    facts = CardFacts(
        name=f"{dataset.name}{f' ({request.view})' if request.view else ''}",
        form=request.form,
        source=source,
        counts=counts,
        scan=scan,
        is_redacted=request.redact,
        licence=licence,
        options=_options(request),
        view=about,
        configs=configs,
        how_to_load=how_to_load(
            request.form,
            out.name,
            table=next(iter(files), request.view or "conversations"),
            part=next(iter(ordered(counts.parts))),
            is_file=is_file,
        ),
        split_note=(
            f"Split by profile: conversations that share a profile's text, its id or the person who spoke "
            f"are in one part ({splitter.groups} groups)."
        ),
        fields=list(next(iter(files.values())).table.columns) if files else (),
    )
    documents = {
        "README.md": write_card(facts).encode(),
        "LICENSE": licence_text(licence, counts).encode(),
        "NOTICE": notice_text(dataset.name, counts, changes=_changes(dataset, request)).encode(),
    }
    if request.form == "croissant":
        described = describe(
            folder,
            [DescribedFile(folder / each.pattern, each.table.name, each.part, each.table.columns)
             for each in writer.written],
            name=dataset.name,
            description=description,
            licence=licence_url(licence),
            published=request.date,
            cite_as="; ".join(sorted({each for _, _, each in counts.origins if each})) or dataset.name,
        )  # fmt: skip
        documents["croissant.json"] = orjson.dumps(described, option=orjson.OPT_INDENT_2)
    manifest = {
        "format": request.form,
        "view": request.view,
        "options": _options(request),
        "source": source,
        "counts": counts.as_dict(),
        "personal_data": {
            "in_utterances": dict(scan.in_utterances), "elsewhere": dict(scan.elsewhere),
            "conversations": scan.conversations, "is_redacted": request.redact,
        },
        "licence": licence,
    }  # fmt: skip
    documents[MANIFEST] = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    for name, document in documents.items():
        with create(folder / name) as file:
            file.write(document)


def _configs(writer: Writer) -> Sequence[Config]:
    by_table: dict[str, dict[str, str]] = {}
    for written in writer.written:
        by_table.setdefault(written.table.name, {})[written.part or "train"] = written.pattern
    order = ("train", "validation", "test")
    return [
        Config(table, {split: files[split] for split in order if split in files})
        for table, files in by_table.items()
    ]


def _options(request: ExportRequest) -> dict[str, str]:
    selection = request.selection
    options = {
        "conversations": "kept ones" if selection.only_kept else "all, dropped ones too",
        "tasks": ", ".join(selection.tasks),
        "ratings": ", ".join(f"{metric} at least {least}" for metric, least in selection.min_ratings.items()),
        "language": "" if selection.language == "both" else selection.language,
        "labels by": selection.author or "",
        "split": ", ".join(f"{name} {share:.3g}" for name, share in request.ratio.shares.items() if name),
        "personal data": "replaced" if request.redact else "",
    }
    return {name: value for name, value in options.items() if value}


def _changes(dataset: Dataset, request: ExportRequest) -> list[str]:
    changes = []
    if request.form != dataset.format:
        changes.append(f"written as {request.form}")
    if request.view:
        changes.append(f"cut to the view {request.view}")
    if not request.selection.is_everything or request.ratio is not NO_SPLIT:
        changes.append("selected or split, as README.md says")
    if request.redact:
        changes.append("personal data replaced by marks")
    return changes


def _corpus(dataset: Dataset, counts: ExportCounts, licence: str) -> Mapping[str, object]:
    return {
        "name": dataset.name,
        "conversations": counts.conversations,
        "licence": "" if licence == UNKNOWN else licence,
        "attribution": sorted({each for _, _, each in counts.origins if each}),
    }
