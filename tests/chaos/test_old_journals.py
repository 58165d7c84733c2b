"""A journal of each released version is resumed by this one: its replies are used, only the rest is asked."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from tests.doubles.command_line import engine, records

from engine.config.identity import identity_fields
from engine.journal.inputs import read_inputs
from engine.journal.reader import Reader
from engine.runner.run_folder import RunFolder
from engine.schema.conversation import STAGE
from engine.version import __version__

JOURNALS = Path(__file__).resolve().parents[1] / "data" / "journals"
VERSIONS = sorted(path.parent.name for path in JOURNALS.glob("*/journal.sqlite"))


def test_there_is_a_journal_of_this_version() -> None:
    assert __version__ in VERSIONS, "python tests/data/journals/make.py keeps one"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_journal_of_each_version_resumes(tmp_path: Path, version: str) -> None:
    study = tmp_path / "study"
    shutil.copytree(JOURNALS / version, study)
    folder = RunFolder(tmp_path / "old")
    folder.make()
    shutil.copy(study / "journal.sqlite", folder.journal)
    with closing(Reader(folder.journal)) as reader:
        config = read_inputs(reader).config
        before = {call.seq: call for call in reader.calls_from(0)}
        ended = reader.counts_by_result(STAGE)
        unfinished = [item for _, item in reader.unfinished()]
    folder.write_settings(
        config.model_copy(update={"templates": study / "templates", "profiles": study / "profiles.jsonl"}),
        identity_fields(config),
        study,
    )
    assert sum(ended.values()) == 4
    assert len(unfinished) == 2
    assert engine("resume", "old", "--runs-dir", tmp_path) == 0
    assert engine("verify", "old", "--runs-dir", tmp_path) == 0
    with closing(Reader(folder.journal)) as reader:
        after = list(reader.calls_from(0))
    assert {call.seq: call for call in after if call.seq in before} == before
    keys = [call[1:5] for call in after]
    assert len(keys) == len(set(keys)), "nothing was asked again"
    then, now = (records(place / "conversations.jsonl") for place in (study, folder.path))
    assert [record["id"] for record in now] == [record["id"] for record in then]
    # What a rehearsed model says may differ by version; what had ended is as it was.
    same = [a["history"] == b["history"] for a, b in zip(then, now, strict=True)]
    assert sum(same) >= 4
