"""What the reading commands say of an imported run, which has records and no plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import orjson

from engine.cli.plain_text import plain
from engine.dataset.formats import format_of_settings
from engine.dataset.record_format import NotARecord, Place, decode
from engine.dataset.source import named
from engine.errors import BadInput, JournalDamaged
from engine.journal.imports import (
    ImportFacts,
    count_imports,
    damaged_imports,
    find_import,
    read_import_facts,
    stream_imports,
)
from engine.journal.reader import Reader
from engine.runner.run_folder import RunFolder, existing_folder
from engine.schema.annotation import Annotation


def if_imported(
    runs_dir: Path, run_name: str, say: Callable[[RunFolder, Reader, ImportFacts], int]
) -> int | None:
    """What `say` returns for an imported run; None for a run that the engine held."""
    folder = existing_folder(runs_dir, run_name)
    with closing(Reader(folder.journal)) as reader:
        facts = read_import_facts(reader)
        return None if facts is None else say(folder, reader, facts)


def imported_status(folder: RunFolder, reader: Reader, facts: ImportFacts) -> dict[str, object]:
    """The facts behind `status` and `runs`."""
    records, bad = count_imports(reader)
    state = "being worked on" if folder.is_held() else "complete" if facts.is_complete else "stopped"
    return {
        "run": folder.name,
        "state": state,
        "imported": facts.settings["format"],
        "files": [file.name for file in facts.files],
        "planned": records - bad,
        "ended": records - bad,
        "unusable": bad,
    }


def status_if_imported(folder: RunFolder) -> dict[str, object] | None:
    """As `imported_status`; None for a run that the engine held."""
    with closing(Reader(folder.journal)) as reader:
        facts = read_import_facts(reader)
        return None if facts is None else imported_status(folder, reader, facts)


def say_status(folder: RunFolder, reader: Reader, facts: ImportFacts, *, as_json: bool) -> int:
    """`engine status`."""
    status = imported_status(folder, reader, facts)
    if as_json:
        click.echo(json.dumps(status))
        return 0
    click.echo(f"run {folder.name}: import {status['state']}")
    click.echo(f"  conversations  {status['ended']}, in the format {status['imported']}")
    click.echo(f"  files          {', '.join(file.name for file in facts.files)}")
    if status["unusable"]:
        click.echo(f"  unusable       {status['unusable']} records, kept as they came")
    if status["state"] == "stopped":
        click.echo("  go on with     the `engine import` command that began it")
    return 0


def say_conversation(
    folder: RunFolder, reader: Reader, facts: ImportFacts, conversation_id: str, *, as_json: bool
) -> int:
    """`engine show`: the record as it came with --json, else its texts."""
    row = find_import(reader, conversation_id)
    if row is None:
        example = next((f"ids look like {row.item}" for row in stream_imports(reader)), "it holds none")
        raise BadInput(f"there is no conversation {conversation_id!r} in this run; {example}.")
    if as_json or row.problem:
        click.echo(row.record.decode("utf-8", "replace"))
        return 0
    place = Place(facts.files[row.file].name, row.line, row.path)
    conversation = named(decode(format_of_settings(facts.settings), row.record, place), row.item)
    lines = [f"{conversation.conversation_id}: {conversation.task or '(no task)'}"]
    lines += [f"\n{text}" for text in (conversation.scenario.text, conversation.profile.text) if text]
    for turn in conversation.turns:
        lines.append(f"\n[{turn.role.value}]\n{turn.content}")
        lines += [f"  {_said(annotation)}" for annotation in turn.annotations]
    lines += map(_said, conversation.annotations)
    if conversation.flags:
        lines.append(f"flags: {', '.join(conversation.flags)}")
    click.echo(plain("\n".join(lines)))
    return 0


def _said(annotation: Annotation) -> str:
    return f"{annotation.kind} ({annotation.author}): {orjson.dumps(annotation.value).decode()}"


def say_verified(folder: RunFolder, reader: Reader, facts: ImportFacts, *, as_json: bool) -> int:
    """`engine verify`: every row's checksum, and that each record still reads as a conversation."""
    problems = [*reader.damaged_rows(), *damaged_imports(reader)]
    checked = 0
    if not problems:
        form = format_of_settings(facts.settings)
        for row in stream_imports(reader):
            try:
                decode(form, row.record, Place(facts.files[row.file].name, row.line, row.path))
            except NotARecord as problem:
                if not row.problem:
                    problems.append(f"{row.item}: this record {problem}")
            checked += 1
    if as_json:
        click.echo(json.dumps({"run": folder.name, "conversations": checked, "problems": problems}))
    else:
        for line in problems:
            click.echo(line)
        click.echo(f"{checked} imported records read, {len(problems)} problems")
    return JournalDamaged.exit_code if problems else 0
