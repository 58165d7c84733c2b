"""Events are JSON lines, and no secret is in them, in whatever form it came (P7)."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import logs
from engine.logs import FEW, REDACTED, EventLog, Secrets

SECRET = 'sk-"quoted"/+é??>>~~'
FORMS = {
    "raw": SECRET,
    "URL-encoded": quote(SECRET, safe=""),
    "JSON": json.dumps(SECRET)[1:-1],
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 without padding": base64.b64encode(SECRET.encode()).decode().rstrip("="),
    "URL-safe base64": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """The secrets that every log hides, for this test alone."""
    fresh = Secrets()
    monkeypatch.setattr(logs, "SECRETS", fresh)
    return fresh


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_secret_is_hidden_in_every_form(form: str) -> None:
    secrets = Secrets()
    secrets.add(SECRET)
    hidden = secrets.hide(f"before {form} after {form}")
    assert form.rstrip("=") not in hidden
    assert hidden.startswith(f"before {REDACTED}")


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "Basic", "ApiKey"])
def test_a_secret_is_hidden_with_and_without_its_scheme(scheme: str) -> None:
    secrets = Secrets()
    secrets.add(f"{scheme} sk-123456")
    assert secrets.hide(f"{scheme} sk-123456") == REDACTED
    assert secrets.hide("sk-123456") == REDACTED
    assert secrets.hide(f"{scheme} of news") == f"{scheme} of news"


def test_a_secret_inside_another_is_hidden_whole() -> None:
    secrets = Secrets()
    secrets.add("secret")
    secrets.add("secret-longer")
    assert secrets.hide("a secret-longer b secret c") == f"a {REDACTED} b {REDACTED} c"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30), st.text(), st.text())
def test_no_registered_value_is_left_in_a_text(secret: str, before: str, after: str) -> None:
    secrets = Secrets()
    secrets.add(secret)
    hidden = secrets.hide(before + secret + after)
    assert secret not in hidden.replace(REDACTED, "\0")
    assert REDACTED in hidden


def test_short_values_hide_no_words() -> None:
    secrets = Secrets()
    secrets.add("a")
    secrets.add("")
    assert secrets.hide("a day") == "a day"


def test_the_secrets_are_not_in_their_own_repr() -> None:
    secrets = Secrets()
    secrets.add("sk-123456")
    assert "123456" not in repr(secrets)


def test_events_are_appended_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for n in range(2):
        with EventLog(path) as log:
            log.event("run.started", jobs=n, path=tmp_path, note="línea\nnext")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["event"], row["jobs"]) for row in rows] == [("run.started", 0), ("run.started", 1)]
    assert rows[0]["path"] == str(tmp_path)
    assert rows[0]["note"] == "línea\nnext"
    assert rows[0]["timestamp"].endswith("Z")


def test_an_event_is_in_the_file_before_the_log_is_closed(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl") as log:
        log.event("run.started")
        assert "run.started" in (tmp_path / "events.jsonl").read_text()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_no_secret_reaches_the_file(tmp_path: Path, secrets: Secrets, form: str) -> None:
    secrets.add(SECRET)
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.event("call.failed", why=f"refused {form}", nested={"list": [form]})
    text = path.read_text()
    assert form.rstrip("=") not in text
    assert json.dumps(form, ensure_ascii=False)[1:-1] not in text
    assert text.count(REDACTED) == 2
    json.loads(text)


def test_the_file_is_private(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl"):
        assert stat.S_IMODE((tmp_path / "events.jsonl").stat().st_mode) == 0o600


def test_a_file_name_that_is_no_text_is_logged_all_the_same(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl") as log:
        log.event("run.started", path="a\udcffb")
    assert "a\\udcffb" in (tmp_path / "events.jsonl").read_text()


def test_without_a_file_events_go_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    with EventLog(None) as log:
        log.event("run.started")
    assert capsys.readouterr() == ("", "")


def test_a_file_has_a_largest_size_and_one_predecessor(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, max_bytes=2_000) as log:
        for n in range(200):
            log.event("run.signal", n=n, note="é" * 20)
    assert {file.name for file in tmp_path.iterdir()} == {"events.jsonl", "events.1.jsonl"}
    rows = []
    for file in (tmp_path / "events.1.jsonl", path):
        assert 1_000 < file.stat().st_size <= 2_000 or file == path
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        rows += [json.loads(line)["n"] for line in file.read_text().splitlines()]
    assert rows == list(range(rows[0], 200)), "no event is lost between the two"
    size = path.stat().st_size
    with EventLog(path, max_bytes=2_000) as log:
        log.event("run.signal", n=200)
    assert path.stat().st_size > size


def test_an_event_that_is_larger_than_the_file_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, max_bytes=100) as log:
        log.event("run.signal", note="x" * 1_000)
    assert len(path.read_text()) > 1_000


def test_an_event_that_comes_in_thousands_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    now = 0.0
    with EventLog(path, now=lambda: now) as log:
        for n in range(1_000):
            log.event_sparingly("conversation.failed", job_id=n)
        log.event("run.signal")
        now = 61.0
        for n in range(1_000, 1_030):
            log.event_sparingly("conversation.failed", job_id=n)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    written = [row["job_id"] for row in rows if "job_id" in row]
    assert written == [*range(FEW), *range(1_000, 1_000 + FEW)]
    assert [row["left_out"] for row in rows if "left_out" in row] == [1_000 - FEW, 30 - FEW]
    assert rows[FEW]["event"] == "run.signal"
