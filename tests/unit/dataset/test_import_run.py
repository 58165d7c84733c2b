"""Imports into a run: lossless, resumable, unique ids, and nothing but what the run was made of."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from engine.clock import SystemClock
from engine.dataset import import_run
from engine.dataset.import_export import write_as_imported
from engine.dataset.import_run import ImportCounts, default_import_name, describe_files, import_files
from engine.dataset.source import open_dataset
from engine.errors import BadInput, UsageError
from engine.journal.imports import ImportRow, append_imports, count_imports, read_import_facts
from engine.journal.journal import JOURNAL_NAME, Journal
from engine.journal.reader import Reader
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.dataset import Construction

SETTINGS = {"format": "openai"}


def chat(name: str, *texts: str) -> bytes:
    messages = [{"role": "user" if i % 2 == 0 else "assistant", "content": t} for i, t in enumerate(texts)]
    return orjson.dumps({"id": name, "messages": messages})


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


async def import_into(folder: Path, *files: Path, **settings: str) -> ImportCounts:
    return await import_files(folder, files, describe_files(files, SETTINGS | settings), SystemClock())


def ids(folder: Path) -> list[str]:
    return [conversation.conversation_id for conversation in open_dataset(folder)]


@pytest.mark.asyncio
async def test_bad_lines_are_named_and_come_back_with_the_others(tmp_path: Path) -> None:
    lines = [chat("a", "x", "y"), b'{"no": "messages"}', b"{", b'{ "id":"b",  "messages":[]}']
    source = write(tmp_path / "chats.jsonl", *lines)
    counts = await import_into(tmp_path / "run", source)
    assert (counts.conversations, counts.bad, counts.flags) == (2, 2, {"no_turns": 1})
    assert [problem.partition(":")[0] for problem in counts.problems] == [
        "chats.jsonl, line 2", "chats.jsonl, line 3"
    ]  # fmt: skip
    assert ids(tmp_path / "run") == ["a", "b"]
    assert open_dataset(tmp_path / "run").size == 2
    assert write_as_imported(tmp_path / "run", tmp_path / "out.jsonl") == 4
    assert (tmp_path / "out.jsonl").read_bytes() == source.read_bytes()


@pytest.mark.asyncio
async def test_repeated_ids_are_told_apart_across_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_run, "_BATCH", 2)
    names = ["a", "a", "b", "a", "a~2", "b"]
    source = write(tmp_path / "chats.jsonl", *(chat(name, "x", "y") for name in names))
    counts = await import_into(tmp_path / "run", source)
    found = list(open_dataset(tmp_path / "run"))
    assert [each.conversation_id for each in found] == ["a", "a~2", "b", "a~3", "a~2~2", "b~2"]
    assert counts.flags["duplicate_id"] == 4
    assert ["duplicate_id" in each.flags for each in found] == [False, True, False, True, True, True]


@pytest.mark.asyncio
async def test_an_import_that_was_cut_off_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_run, "_BATCH", 2)
    source = write(tmp_path / "chats.jsonl", *(chat(f"c{i}", "x", "y") for i in range(7)))
    passed: list[int] = []

    async def dies_after_two(journal: Journal, rows: Sequence[ImportRow]) -> None:
        if len(passed) == 2:
            raise KeyboardInterrupt
        passed.append(len(rows))
        await append_imports(journal, rows)

    monkeypatch.setattr(import_run, "append_imports", dies_after_two)
    with pytest.raises(KeyboardInterrupt):
        await import_into(tmp_path / "run", source)
    monkeypatch.setattr(import_run, "append_imports", append_imports)
    assert len(ids(tmp_path / "run")) == 4
    counts = await import_into(tmp_path / "run", source)
    assert (counts.already_there, counts.conversations, counts.was_complete) == (4, 3, False)
    assert ids(tmp_path / "run") == [f"c{i}" for i in range(7)]
    again = await import_into(tmp_path / "run", source)
    assert (again.conversations, again.was_complete) == (0, True)


@pytest.mark.asyncio
async def test_files_may_be_added_and_never_changed(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.jsonl", chat("a", "x")), write(tmp_path / "2.jsonl", chat("b", "x"))
    run = tmp_path / "run"
    await import_into(run, one)
    assert (await import_into(run, one, two)).conversations == 1
    assert ids(run) == ["a", "b"]
    with pytest.raises(UsageError, match="other files"):
        await import_into(run, two)
    with pytest.raises(UsageError, match="another licence"):
        await import_into(run, one, two, licence="MIT")
    write(one, chat("a", "changed"))
    with pytest.raises(UsageError, match="have changed"):
        await import_into(run, one, two)
    assert write_as_imported(run, tmp_path / "out") == 2
    assert (tmp_path / "out" / "2.jsonl").read_bytes() == two.read_bytes()


@pytest.mark.asyncio
async def test_a_run_that_the_engine_held_is_not_imported_into(tmp_path: Path) -> None:
    async with Journal(tmp_path / "run", SystemClock()) as journal:
        await journal.put_meta("plan", "{}")
    with pytest.raises(UsageError, match="held by the engine"):
        await import_into(tmp_path / "run", write(tmp_path / "1.jsonl", chat("a", "x")))
    with pytest.raises(UsageError, match="was not imported"):
        write_as_imported(tmp_path / "run", tmp_path / "out")


@pytest.mark.asyncio
async def test_what_stands_before_a_broken_end_is_kept(tmp_path: Path) -> None:
    (tmp_path / "chats.json").write_bytes(b"[" + chat("a", "x") + b',\n{"id": "b", "messages": [')
    for _ in range(2):
        with pytest.raises(BadInput, match=r"chats\.json, line 2: is no JSON"):
            await import_into(tmp_path / "run", tmp_path / "chats.json")
        assert ids(tmp_path / "run") == ["a"]


@pytest.mark.asyncio
async def test_a_json_array_comes_back_as_one(tmp_path: Path) -> None:
    first, second = chat("a", "x"), b'{"id": "b",\n "messages": []}'
    (tmp_path / "chats.json").write_bytes(b"[" + first + b",   " + second + b"]")
    await import_into(tmp_path / "run", tmp_path / "chats.json")
    write_as_imported(tmp_path / "run", tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == b"[\n" + first + b",\n" + second + b"\n]\n"


@pytest.mark.asyncio
async def test_what_is_told_about_the_data_is_carried(tmp_path: Path) -> None:
    source = write(tmp_path / "1.jsonl", chat("a", "x"))
    told = {"task": "cooking", "licence": "MIT", "construction": "human-LLM", "language": "en"}
    await import_into(tmp_path / "run", source, **told)
    (found,) = open_dataset(tmp_path / "run")
    assert (found.task, found.language, found.origin.licence) == ("cooking", "en", "MIT")
    assert found.construction is Construction.HUMAN_LLM
    assert (found.origin.file, found.origin.line) == ("1.jsonl", 1)
    with closing(Reader(tmp_path / "run" / JOURNAL_NAME)) as reader:
        facts = read_import_facts(reader)
        assert facts is not None
        assert facts.is_complete
        assert count_imports(reader) == (1, 0)


def test_the_default_name_is_that_of_the_content(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", chat("a", "x"))
    (tmp_path / "other").mkdir()
    same = write(tmp_path / "other" / "2.jsonl", chat("a", "x"))
    name = default_import_name(describe_files([one], SETTINGS))
    assert name == default_import_name(describe_files([same], SETTINGS))
    assert name.startswith("openai-")
    assert name != default_import_name(describe_files([one], SETTINGS | {"task": "t"}))


def test_a_file_is_a_dataset_without_an_import(tmp_path: Path) -> None:
    source = write(tmp_path / "1.jsonl", chat("a", "x"), chat("b", "y"))

    def annotate(conversation_id: str) -> list[Annotation]:
        return [Annotation(Kind.INTENT, Target(conversation_id, 0), [conversation_id], author="judge:m")]

    dataset = open_dataset(source, annotate=annotate, only_kept=True)
    assert (dataset.name, dataset.format, dataset.is_run, dataset.size) == ("1.jsonl", "openai", False, None)
    for _ in range(2):
        assert [each.turns[0].annotations[0].value for each in dataset] == [["a"], ["b"]]


def test_a_bad_record_of_a_file_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "1.jsonl", chat("a", "x"), b"[]")
    with pytest.raises(BadInput, match=r"1\.jsonl, line 2: this record is a JSON array"):
        list(open_dataset(source))
    with pytest.raises(BadInput, match="in no format that is known"):
        open_dataset(write(tmp_path / "2.jsonl", b'{"x": 1}'))
    with pytest.raises(BadInput, match="holds no record"):
        open_dataset(write(tmp_path / "3.jsonl", b""))
    with pytest.raises(BadInput, match="Name it with --format"):
        open_dataset(write(tmp_path / "4.jsonl", b"text"))
