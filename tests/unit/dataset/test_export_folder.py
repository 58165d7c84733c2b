"""Folders take their place whole or not at all; nothing of others' is replaced."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.dataset.export_folder import MANIFEST, create, refuse_existing, replacing_folder
from engine.errors import CannotWrite, DiskFull, UsageError


def fill(folder: Path, text: str) -> None:
    with replacing_folder(folder) as temporary:
        for name in (MANIFEST, "deep/data"):
            with create(temporary / name) as file:
                file.write(text.encode())


def test_a_folder_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "deep" / "data").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    with pytest.raises(CannotWrite), replacing_folder(tmp_path / "out") as temporary:
        (temporary / "a file" / "in it").write_text("x")
    assert (tmp_path / "out" / "deep" / "data").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EIO, CannotWrite)])
def test_errors_of_the_disk_are_told(tmp_path: Path, number: int, error: type[Exception]) -> None:
    with pytest.raises(error), replacing_folder(tmp_path / "out"):
        raise OSError(number, "no")
    assert list(tmp_path.iterdir()) == []


def test_left_overs_of_the_dead_are_undone(tmp_path: Path) -> None:
    nobody = 2**22 + 1  # above any process number
    (tmp_path / f".out.{nobody}.part").mkdir()
    aside = tmp_path / f".out.{nobody}.old"
    aside.mkdir()
    (aside / MANIFEST).write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "out"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / MANIFEST).read_text() == "old"


def test_only_what_an_export_made_may_be_replaced(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "new", force=False)
    (tmp_path / "empty").mkdir()
    refuse_existing(tmp_path / "empty", force=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").write_text("x")
    for force in (False, True):
        with pytest.raises(UsageError, match="no export made"):
            refuse_existing(tmp_path / "mine", force=force)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="Say --force"):
        refuse_existing(tmp_path / "link", force=False)
