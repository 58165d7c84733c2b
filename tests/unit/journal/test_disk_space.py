"""The disk: what a run is estimated to need, and the reserve that it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DiskFull, EngineError
from engine.journal import disk_space
from engine.journal.disk_space import Space, SpaceGuard, estimate, refuse_too_little

GB = 10**9


def test_estimate_is_assumed_first_and_measured_later() -> None:
    assumed = estimate(planned=100, ended=0, journal_bytes=0, dataset_bytes=0)
    assert not assumed.is_measured
    assert assumed.needed == 100 * (disk_space.JOURNAL_BYTES + disk_space.DATASET_BYTES)
    measured = estimate(planned=100, ended=50, journal_bytes=500_000, dataset_bytes=100_000)
    assert measured.is_measured
    # 50 more in the journal; the dataset of all 100 is written beside the old one.
    assert measured.needed == 50 * 10_000 + 100 * 2_000


def test_a_plan_that_does_not_fit_beside_the_reserve_is_refused() -> None:
    space = Space(free=2 * GB, size=100 * GB)
    few = estimate(planned=1_000, ended=0, journal_bytes=0, dataset_bytes=0)
    refuse_too_little(Path("runs/x"), space, few, conversations=1_000)
    many = estimate(planned=100_000, ended=0, journal_bytes=0, dataset_bytes=0)
    with pytest.raises(DiskFull, match=r"2\.0 GB are free.*5\.7 GB.*--no-disk-check"):
        refuse_too_little(Path("runs/x"), space, many, conversations=100_000)


@pytest.mark.parametrize(("size", "reserve"), [(10**12, 200 * 1024**2), (GB, GB // 100)])
def test_reserve_is_one_percent_of_a_small_disk(size: int, reserve: int) -> None:
    assert Space(0, size).reserve == reserve


def test_guard_speaks_once_and_only_when_little_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [GB, 100]
    monkeypatch.setattr(disk_space, "read_space", lambda folder: Space(free.pop(0), 10 * GB))
    said: list[EngineError] = []
    (journal := tmp_path / "journal.sqlite").touch()
    guard = SpaceGuard(journal, said.append)
    guard.look()
    assert said == []
    guard.look()
    guard.look()
    (error,) = said
    assert error.exit_code == 74


def test_guard_tells_of_a_journal_that_is_gone(tmp_path: Path) -> None:
    said: list[EngineError] = []
    guard = SpaceGuard(tmp_path / "journal.sqlite", said.append)
    guard.look()
    guard.look()
    (error,) = said
    assert error.exit_code == 73
    assert "journal.sqlite: is no longer there" in str(error)


def test_space_of_a_real_folder_is_read(tmp_path: Path) -> None:
    space = disk_space.read_space(tmp_path)
    assert 0 <= space.free <= space.size
