"""`engine report`, `compare`, `agreement` and `baseline` as a user runs them, on files and on a run."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine, records

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="the reference data is not beside the project"
)


def table(page: str, title: str) -> tuple[list[str], dict[str, list[str]]]:
    """(columns, row name to cells) of the table with this title."""
    text = re.search(rf'aria-label="{re.escape(title)}"><table>(.*?)</table>', page, re.S)
    assert text is not None
    columns = [unescape(cell) for cell in re.findall(r'<th scope="col">(.*?)</th>', text[1])][1:]
    rows = re.findall(r'<tr><th scope="row"><bdi>(.*?)</bdi></th>(.*?)</tr>', text[1])
    return columns, {unescape(name): re.findall(r"<td>(.*?)</td>", cells) for name, cells in rows}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsed run, a baseline from templates, and two people's labels of the same conversations."""
    path = tmp_path_factory.mktemp("analysis")
    assert engine("run", "--limit", "44", "--run", "rehearsed", "--runs-dir", path / "runs") == 0
    assert engine("baseline", "--limit", "44", "--out", path / "templates.jsonl") == 0
    for name, verdicts in (("ann", [True, False, False, True]), ("bob", [True, False, True, True])):
        lines = [
            {
                "id": f"c{i}", "task": "t", "task_context": "s",
                "history": [
                    {"role": "user", "content": "ask", "intent": "Search"},
                    {"role": "assistant", "content": "r", "hallucination": {"hallucination": each}},
                ],
            }
            for i, each in enumerate(verdicts)
        ]  # fmt: skip
        (path / f"{name}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return path


def test_a_run_is_reported_into_its_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("report", "rehearsed", "--runs-dir", folder / "runs", "--figures", folder / "figures") == 0
    page = (folder / "runs" / "rehearsed" / "report.html").read_text("utf-8")
    for part in ("Table 1", "Cost and throughput", "End reasons", "LLM-LLM", "rehearsal-simulator"):
        assert part in page
    written = {path.name for path in (folder / "figures").iterdir()}
    assert {"rounds.svg", "rounds.png", "throughput.svg", "end-reasons.png"} <= written
    assert "conversations reported in" in capsys.readouterr().out


def test_a_report_stands_several_datasets_beside_each_other(folder: Path) -> None:
    out = folder / "page.html"
    templates = folder / "templates.jsonl"
    assert (
        engine("report", templates, "--out", out, "--beside", "rehearsed", "--runs-dir", folder / "runs") == 0
    )
    page = out.read_text("utf-8")
    assert "templates.jsonl" in page
    assert "rehearsed" in page
    assert "Cost and throughput" not in page


def test_a_baseline_is_a_dataset_of_its_own_construction(folder: Path) -> None:
    found = records(folder / "templates.jsonl")
    assert len(found) == 44
    assert {record["construction"] for record in found} == {"templates"}
    assert len({record["id"] for record in found}) == 44


def test_a_run_is_compared_with_the_baseline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, runs = folder / "compared.md", folder / "runs"
    arguments = ("compare", "rehearsed", folder / "templates.jsonl", "--runs-dir", runs)
    capsys.readouterr()
    assert engine(*arguments, "--out", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["first"]["construction"].keys() == {"LLM-LLM"}
    assert found["second"]["construction"].keys() == {"templates"}
    tokens = next(row for row in found["rows"] if row["measure"] == "tokens of a user turn")
    assert tokens["high"] < 0
    assert "| Cliff's delta |" in out.read_text("utf-8")
    assert engine(*arguments, "--task", "travel planning") == 0
    assert "travel planning" in capsys.readouterr().out


def test_a_task_that_nobody_has_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    templates = folder / "templates.jsonl"
    assert engine("compare", templates, templates, "--task", "sailing") == 65
    assert "no kept conversation of 'sailing'" in capsys.readouterr().err


def test_two_files_of_the_same_conversations_agree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "agreement.json"
    capsys.readouterr()
    assert engine("agreement", folder / "ann.jsonl", folder / "bob.jsonl", "--out", out) == 0
    shown = capsys.readouterr().out
    assert "dataset@ann.jsonl / dataset@bob.jsonl" in shown
    found = {each["question"]: each for each in json.loads(out.read_bytes())}
    coefficients = found["hallucination"]["pairs"][0]["coefficients"]
    assert coefficients["percent"]["value"] == 0.75
    assert coefficients["Cohen's kappa"]["value"] == pytest.approx(0.5)
    assert found["intent"]["pairs"][0]["coefficients"]["Cohen's kappa"]["value"] is None


def test_a_judge_and_a_person_of_a_run_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The person says what the judge said, so both agree; in all that reads runs both are there."""
    runs = ("--runs-dir", folder / "runs")
    exported, labels = folder / "judge.jsonl", folder / "person.jsonl"
    assert engine("annotate", "rehearsed", "--with", "intent", "--limit", "10", *runs) == 0
    assert engine("annotate", "rehearsed", "--export", exported, *runs) == 0
    rows = [record | {"author": "human:ann"} for record in records(exported)]
    labels.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    assert engine("annotate", "rehearsed", "--import", labels, *runs) == 0
    capsys.readouterr()
    assert engine("agreement", "rehearsed", "--json", *runs) == 0
    found = json.loads(capsys.readouterr().out)
    pair = found[0]["pairs"][0]
    assert (pair["relation"], pair["coefficients"]["Cohen's kappa"]["value"]) == ("judge-human", 1.0)
    out = folder / "judged.html"
    assert engine("report", "rehearsed", "--author", "human:ann", "--out", out, *runs) == 0
    assert "Table 3: intents" in out.read_text("utf-8")


def test_one_author_alone_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("agreement", folder / "ann.jsonl") == 65
    assert "judged by two authors" in capsys.readouterr().err


def test_a_font_that_is_none_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("report", folder / "templates.jsonl", "--font", folder / "ann.jsonl") == 65
    assert "cannot be read as a font" in capsys.readouterr().err


@needs_reference
def test_the_reference_comes_out_in_the_report_as_in_the_paper(tmp_path: Path) -> None:
    out = tmp_path / "reference.html"
    file = REFERENCE / "recllmsim-conversations.jsonl.gz"
    assert engine("report", file, "--paper", "--out", out, "--figures", tmp_path / "figures") == 0
    page = out.read_text("utf-8")
    expected = json.loads((REFERENCE / "reference-figures.json").read_bytes())["developers_part"]
    tasks, ratings = table(page, "Table 2: mean ratings")
    for task, means in expected["table2"].items():
        at = tasks.index(task)
        assert {metric: cells[at] for metric, cells in ratings.items()} == {
            metric: f"{mean:.3f}" for metric, mean in means.items()
        }
    scores, counts = table(page, "Figure 6: scores")
    for metric, by_score in expected["figure6_counts"].items():
        shown = {score: int(n) for score, n in zip(scores, counts[metric], strict=True) if n}
        assert shown == by_score
    labels, intents = table(page, "Table 3: intents")
    assert dict(zip(labels, map(int, intents["all"]), strict=True)) == expected["intent_counts"]
    assert table(page, "Hallucinated replies")[1]["all"][0] == str(expected["hallucinated_replies"])
    assert len(list((tmp_path / "figures").iterdir())) == 18


@needs_reference
@pytest.mark.slow
def test_llm_users_are_told_from_the_reference_s_people(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    models, people = (REFERENCE / f"recllmsim-{part}.jsonl.gz" for part in ("conversations", "human"))
    assert engine("compare", models, people, "--sample", "400", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"]["language"], found["first"]["is_translated"]) == ("zh", True)
    assert found["second"]["users"] == 25
    assert found["likeness"][0]["auc"] > 0.95
    assert found["intents"]["is_coarse"]
    rows = {row["measure"]: row for row in found["rows"]}
    assert rows["tokens of a user turn"]["high"] < -100
