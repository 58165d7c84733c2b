"""What goes wrong is said in a paragraph, with the right exit code, and costs nothing.

The messages and codes are those of docs/bad-input.md: each row there has its case here, and each case its
row. After each case the cause is mended, and the run ends in the same bytes as one that was never disturbed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import NamedTuple

import apsw
import orjson
import pytest
import yaml
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine, records
from tests.doubles.labelled_conversations import as_reference, labelled

from engine.experiments.cells import CellFolder
from engine.journal.journal import JOURNAL_NAME
from engine.journal.run_lock import LOCK_NAME
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.runner import first_answers

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "bad-input.md"
PLANNED = 4
POOL = b"\n".join((ROOT / "profiles" / "pool.en.jsonl").read_bytes().splitlines()[:2]) + b"\n"


class Row(NamedTuple):
    """A line of the page: the parts of the message in their order, and the exit code."""

    parts: list[str]
    code: int


def rows() -> dict[str, Row]:
    found = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| (\d+) \|$", PAGE.read_text("utf-8"), re.M)
    return {did: Row([part.strip() for part in text.split("...")], int(code)) for did, text, code in found}


Trouble = Callable[[dict[str, object]], Reply | None]


@dataclass
class World:
    """A study of four conversations, a healthy server, and whatever a case does to them."""

    folder: Path
    server: RehearsalServer
    trouble: list[Trouble] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "engine.yaml"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def profiles(self) -> Path:
        return self.folder / "profiles.jsonl"

    def mend(self) -> None:
        """Everything as it should be."""
        self.trouble.clear()
        shutil.rmtree(self.folder / "templates", ignore_errors=True)
        shutil.copytree(ROOT / "templates", self.folder / "templates")
        self.profiles.write_bytes(POOL)
        self.configure()

    def configure(self, **changes: object) -> None:
        model = {"endpoint": "default", "temperature": 0.5}
        stages = {"simulator": {**model, "model": "s"}, "assistant": {**model, "model": "a"}}
        config: dict[str, object] = {
            "tasks": ["travel"], "limit": PLANNED, "profiles": "profiles.jsonl", "concurrency": 2,
            "retry_attempts": 2, "conversation": {"max_rounds": 2},
            "endpoints": {"default": {"base_url": self.server.base_url}}, "stages": stages,
        }  # fmt: skip
        for path, value in changes.items():
            section = config
            *above, name = path.split("__")
            for key in above:
                section = section[key]  # type: ignore[assignment]
            section[name] = value
        self.config.write_text(yaml.safe_dump(config))

    def run(self, *options: str | Path) -> int:
        return engine("run", self.config, "--run", "r", "--runs-dir", self.runs, *options)

    def resume(self, *options: str | Path) -> int:
        return engine("resume", "r", "--runs-dir", self.runs, *options)

    def begin(self) -> None:
        """A run of which a part is done."""
        assert self.run("--limit", "2") == 0

    def dataset(self) -> bytes:
        return (self.runs / "r" / "conversations.jsonl").read_bytes()


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    troubles: list[Trouble] = []

    def reply(request: dict[str, object], raw: bytes) -> Reply | None:
        return troubles[0](request) if troubles else None

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(replier=reply)) as server:
        world = World(folder, server, troubles)
        world.mend()
        yield world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with world_in(tmp_path_factory.mktemp("undisturbed")) as world:
        assert world.run() == 0
        return world.dataset()


# --- the cases -----------------------------------------------------------------------------------------

Case = Callable[[World], int | tuple[int, ...]]
CASES: dict[str, Case] = {}
MARKED: dict[str, Case] = {}


def case(did: str, cases: dict[str, Case] = CASES) -> Callable[[Case], Case]:
    def add(act: Case) -> Case:
        assert did not in cases
        cases[did] = act
        return act

    return add


def with_text(did: str, text: str) -> None:
    """A case of a configuration that says `text`."""

    def act(world: World) -> int:
        world.config.write_text(text)
        return world.run()

    case(did)(act)


def with_settings(did: str, **changes: object) -> None:
    def act(world: World) -> int:
        world.configure(**changes)
        return world.run()

    case(did)(act)


def with_options(did: str, *options: str) -> None:
    case(did)(lambda world: world.run(*options))


def with_profiles(did: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    def act(world: World) -> int:
        world.profiles.write_bytes(b"".join(change(POOL.splitlines(keepends=True))))
        return world.run()

    case(did)(act)


def with_template(did: str, line: str) -> None:
    def act(world: World) -> int:
        path = world.folder / "templates" / "travel" / "description.en.jinja"
        first, rest = path.read_text().split("\n", 1)
        path.write_text(f"{first}\n{line}\n{rest}")
        return world.run()

    case(did)(act)


def with_jobs(did: str, line: str) -> None:
    def act(world: World) -> int:
        jobs = world.folder / "jobs.jsonl"
        jobs.write_text(line)
        return world.run("--jobs", jobs)

    case(did)(act)


def with_other_content(
    did: str, change: Callable[[World], None], edit: tuple[str, str] | None = None
) -> None:
    """A run that has begun, then `change`; for `resume`, `edit` does the same to its run.yaml."""

    def act(world: World) -> tuple[int, ...]:
        world.begin()
        asked = world.server.stats.requests
        change(world)
        codes = [world.run()]
        if edit is not None:
            settings = world.runs / "r" / "run.yaml"
            text = settings.read_text()
            assert edit[0] in text
            settings.write_text(text.replace(*edit, 1))
        codes.append(world.resume())
        assert world.server.stats.requests == asked, "something was sent"
        return tuple(codes)

    case(did)(act)


def with_trouble(did: str, trouble: Trouble, begin: bool = True) -> None:
    """A server that fails each request from the 8th on, then `resume` while it still does."""

    def act(world: World) -> int:
        asked = 0

        def late(request: dict[str, object]) -> Reply | None:
            nonlocal asked
            asked += 1
            return trouble(request) if asked > (7 if begin else 0) else None

        world.trouble.append(late)
        return world.run()

    case(did)(act)


def error(status: int, message: str, code: str | None = None) -> Trouble:
    body = orjson.dumps({"error": {"message": message, "code": code}})
    return lambda request: Reply(status, body)


def page(status: int, title: str) -> Trouble:
    body = f"<!doctype html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return lambda request: Reply(status, body.encode(), (("content-type", "text/html"),))


def completion(request: dict[str, object], text: str, **more: object) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return Reply(200, orjson.dumps({"model": request["model"], "choices": [choice], "usage": usage} | more))


def last_message(request: dict[str, object]) -> str:
    messages = request["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


@case("a configuration file that is not there")
def _no_configuration(world: World) -> int:
    world.config.unlink()
    return world.run()


with_text("broken YAML", "seed: 1\nlimit: 4\n  tasks: [travel\n")
with_text("a word where a list belongs", "tasks: travel\n")
with_text("a word that YAML takes for false", "language: no\n")
for _did, _limit in (("a limit below one reply", 500), ("a limit below one request", 1100)):
    with_settings(_did, endpoints__default__limits={"tokens_per_min": _limit})
with_text("a misspelt key", "seed: 1\nconcurency: 3\n")
with_text("a value of the wrong kind", "seed: 1\nlimit: many\n")
with_text("an unknown preset", "presets: {cheap: {model: m}}\nstages: {simulator: {preset: cheep}}\n")
with_text("an unknown gate", "gates: {use: [roel]}\n")
with_settings("an unknown format", endpoints__default__format="claude")
with_settings(
    "streaming in a format without it",
    endpoints__default={"base_url": "http://h", "format": "gemini", "stream": True},
)
with_settings("a key in an address's query", endpoints__default__query={"key": "abc"})
with_options("gates with the paper's validation", "--paper", "--gates")
with_settings("an unknown endpoint", stages__assistant={"endpoint": "lob", "model": "a"})
with_settings("no model named", stages={"simulator": {"model": "s"}})
with_settings("a key's variable that is not set", endpoints__default__key_env="NO_SUCH_KEY")


@case("a key that is too short to be hidden")
def _short_key(world: World) -> int:
    world.configure(endpoints__default__key_env="SHORT_KEY")
    os.environ["SHORT_KEY"] = "abc12"
    try:
        return world.run()
    finally:
        del os.environ["SHORT_KEY"]


with_settings("an unknown task", tasks=["travle"])
with_template("a template with an undefined variable", "Go in {{ sesaon }}.")
with_template("a template that breaks Jinja's syntax", "Go in {% if %}.")
with_profiles("an empty profile file", lambda lines: [])
with_profiles("a profile line that is not JSON", lambda lines: [lines[0], b'{"id": "p002",,\n'])
with_profiles(
    "a profile without an aspect",
    lambda lines: [lines[0], re.sub(rb'"travel_habits": ?"[^"]*", ?', b"", lines[1])],
)
with_profiles("two profiles with one id", lambda lines: [lines[0], lines[1].replace(b'"p002"', b'"p001"')])
with_options("a profile file that is not there", "--profiles", "nowhere.jsonl")
with_settings("a program for on_end that is not there", on_end=["no-such-program-anywhere"])
with_options("a device as job list", "--jobs", "/dev/zero")


def with_pipe(did: str, name: str, run: Callable[[World, Path], int]) -> None:
    """A pipe that nobody writes to: to open it would wait for ever."""

    def act(world: World) -> int:
        path = world.folder / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        code = run(world, path)
        path.unlink()
        return code

    case(did)(act)


with_pipe(
    "a pipe as configuration", "piped.yaml",
    lambda world, path: engine("run", path, "--run", "r", "--runs-dir", world.runs),
)  # fmt: skip
with_pipe("a pipe as profile file", "piped.jsonl", lambda world, path: world.run("--profiles", path))
with_pipe("a pipe as job list", "jobs.jsonl", lambda world, path: world.run("--jobs", path))
with_pipe("a pipe as template", "templates/travel/description.en.jinja", lambda world, path: world.run())
with_jobs("a job list with a wrong line", '{"profile": "p001", "task": "travel"}\n')
with_jobs(
    "a job whose profile is not in the pool", '{"profile": "nobody", "task": "travel", "scenario": 11}\n'
)
with_jobs(
    "a job with an unknown behaviour",
    '{"profile": "p001", "task": "travel", "scenario": 11, "behaviour": "hurry"}\n',
)


def with_items(did: str, **files: str) -> None:
    """A case of a task that brings a list of items, in files of these texts."""

    def act(world: World) -> int:
        task = world.folder / "templates" / "travel"
        with (task / "task.yaml").open("a") as file:
            file.write("items: {file: {en: items.csv}, targets: targets.jsonl}\n")
        (task / "items.csv").write_text(files["items"])
        (task / "targets.jsonl").write_text(files.get("targets", ""))
        return world.run()

    case(did)(act)


with_items("a list of items with an empty name", items="id,name\nr1,The Blue Door\nr2,\n")
with_items("two items of one name", items="id,name\nr1,The Blue Door\nr2,blue door\n")
with_items("a target that is no item", items="id,name\nr1,Olive\n", targets='{"targets": ["r2"]}\n')
with_options("an unknown option", "--concurency", "3")
with_options("an option's value that cannot be", "--limit", "0")
with_options("an unknown language", "--language", "de")
case("a name that cannot name a run")(
    lambda world: engine("run", world.config, "--run", "../r", "--runs-dir", world.runs)
)


_PRICES = {name: {"input": 1, "output": 4} for name in "sa"}
with_options("a limit in money without a price", "--max-cost", "1")
with_options("a limit that is none", "--max-cost", "0")
with_options("a limit without an end", "--max-cost", "inf")
with_settings("a negative price", prices={"s": {"input": -1, "output": 1}})
with_settings("a price beyond all prices", prices={"s": {"input": 1e30, "output": 1}})
with_settings("a number beyond all numbers", stages__simulator__max_tokens=10**30)
case("nothing to estimate from (`engine estimate`)")(
    lambda world: engine("estimate", world.config, "--run", "r", "--runs-dir", world.runs)
)


def with_budget(did: str, *limit: str) -> None:
    """A run that uses up its budget, which stays with it until it is taken away there."""

    def act(world: World) -> tuple[int, ...]:
        world.configure(prices=_PRICES)
        codes = world.run(*limit), world.run()
        settings = world.runs / "r" / "run.yaml"
        document = yaml.safe_load(settings.read_text())
        document["config"]["budget"] = {}
        settings.write_text(yaml.safe_dump(document))
        return codes

    case(did)(act)


with_budget("a used-up budget", "--max-cost", "0.01")
with_budget("a used-up budget of tokens", "--max-tokens", "3000")


@case("an assistant's text that is not there (`matrix`)")
def _no_assistant_text(world: World) -> int:
    world.configure(matrix={"assistants": {"plain": {}, "poor": {"prompt": "inatentive"}}})
    return world.run()


@case("a side of the matrix without a model")
def _matrix_without_model(world: World) -> int:
    endpoint = {"endpoint": "default"}
    world.configure(
        stages={"simulator": {**endpoint, "model": "s"}},
        matrix={"assistants": {"one": {**endpoint, "model": "a"}, "other": endpoint}},
    )
    return world.run()


@case("an empty matrix")
def _empty_matrix(world: World) -> int:
    world.configure(matrix={})
    return world.run()


@case("an unknown run")
def _unknown_run(world: World) -> tuple[int, ...]:
    world.begin()
    commands = [["status"], ["resume"], ["export"], ["verify"], ["show"]]
    ids = {"show": ["travel-11-p001-0"]}
    return tuple(
        engine(*command, "nope", *ids.get(command[0], []), "--runs-dir", world.runs) for command in commands
    )


@case("an unknown conversation")
def _unknown_conversation(world: World) -> int:
    world.begin()
    return engine("show", "r", "travel-11-nobody-0", "--runs-dir", world.runs)


@case("nothing to resume")
def _nothing_to_resume(world: World) -> int:
    assert world.run() == 0
    return engine("resume", "--runs-dir", world.runs)


@case("a folder that cannot be written")
def _unwritable(world: World) -> tuple[int, ...]:
    (world.folder / "file").write_text("")
    codes = [engine("run", world.config, "--run", "r", "--runs-dir", world.folder / "file")]
    if os.geteuid() != 0:  # whom no mode keeps out
        world.runs.mkdir(mode=0o500)
        codes.append(world.run())
        world.runs.chmod(0o700)
    return tuple(codes)


@case("a limit that a call does not fit into (`engine adjust`)")
def _hopeless_limit(world: World) -> int:
    world.begin()
    return engine("adjust", "r", "--tokens-per-min", "1030", "--runs-dir", world.runs)


@case("a run that another process works on")
def _locked(world: World) -> tuple[int, ...]:
    world.begin()
    asked = world.server.stats.requests
    with (world.runs / "r" / LOCK_NAME).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        codes = world.run(), world.resume()
    assert world.server.stats.requests == asked
    return codes


def made_file(world: World, lines: bytes) -> Path:
    path = world.folder / "made.jsonl"
    path.write_bytes(lines)
    return path


ONE = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'


@case("labels of one author alone (`engine agreement`)")
def _one_author(world: World) -> int:
    return engine("agreement", made_file(world, ONE))


@case("a run without a matrix (`engine matrix`)")
def _no_matrix(world: World) -> int:
    world.begin()
    return engine("matrix", "r", "--runs-dir", world.runs)


@case("a baseline that no cell has (`engine matrix`)")
def _no_baseline(world: World) -> int:
    world.configure(matrix={"assistants": {"plain": {}, "poor": {"prompt": "inattentive"}}})
    assert engine("run", world.config, "--run", "m", "--runs-dir", world.runs, "--limit", "1") == 0
    return engine("matrix", "m", "--baseline", "good", "--runs-dir", world.runs)


@case("a latency that cannot be (`engine rehearse`)")
def _no_latency(world: World) -> int:
    return engine("rehearse", "--port", "0", "--latency", "nan")


@case("an author who said nothing (`engine matrix`)")
def _no_author(world: World) -> int:
    world.configure(matrix={"assistants": {"plain": {}, "poor": {"prompt": "inattentive"}}})
    assert engine("run", world.config, "--run", "m", "--runs-dir", world.runs, "--limit", "1") == 0
    return engine("matrix", "m", "--author", "judge:nobody", "--runs-dir", world.runs)


@case("a task that a dataset does not have (`engine compare`)")
def _no_such_task(world: World) -> int:
    made = made_file(world, ONE)
    return engine("compare", made, made, "--task", "sailing")


@case("an annotator that is not there (`engine annotate`)")
def _no_annotator(world: World) -> int:
    world.begin()
    return engine("annotate", "r", "--runs-dir", world.runs, "--with", "mood")


@case("a judge that is no preset (`engine annotate`)")
def _no_judge(world: World) -> int:
    world.begin()
    return engine("annotate", "r", "--runs-dir", world.runs, "--with", "ratings", "--judge", "strict")


@case("an edited prompt of a judge's work (`engine annotate`)")
def _edited_prompt(world: World) -> int:
    world.begin()
    command = ("annotate", "r", "--runs-dir", world.runs, "--with", "ratings", "--judge", "simulator")
    engine(*command)
    file = world.folder / "templates" / "_annotation" / "ratings" / "system.jinja"
    file.write_text(file.read_text("utf-8").replace("You rate", "Please rate"), "utf-8")
    return engine(*command)


@case("a file of annotations with a wrong value (`engine annotate`)")
def _wrong_annotation(world: World) -> int:
    world.begin()
    file = world.folder / "said.csv"
    file.write_text("kind,conversation,turn,author,value\nsatisfaction,x,0,ada,9\n", "utf-8")
    return engine("annotate", "r", "--runs-dir", world.runs, "--import", file)


@case("a font that is none (`engine report`)")
def _no_font(world: World) -> int:
    made = made_file(world, ONE)
    return engine("report", made, "--font", made)


@case("a dataset without conversations (`engine report`)")
def _nothing_to_report(world: World) -> int:
    world.configure(endpoints__default__base_url="http://127.0.0.1:9/v1")
    world.run()
    return engine("report", "r", "--runs-dir", world.runs)


def generated(world: World, *more: str | Path) -> int:
    """A pool of ten profiles by the rehearsal."""
    return engine(
        "profiles", "generate", "--count", "10", "--run", "p", "--runs-dir", world.runs,
        "--out", world.folder / "pool.jsonl", *more,
    )  # fmt: skip


@case("a version of the aspects that is not there (`engine profiles`)")
def _no_version(world: World) -> int:
    return generated(world, "--aspects", "ten-aspects")


@case("two aspects with one label (`engine profiles`)")
def _two_labels(world: World) -> int:
    lines = "title: t\naspects:\n- {key: a, en: Age, zh: 年龄}\n- {key: b, en: age, zh: 岁数}\n"
    (world.folder / "aspects.yaml").write_text(lines, "utf-8")
    return generated(world, "--aspects", world.folder)


@case("a target of ages that are no band (`engine profiles`)")
def _no_band(world: World) -> int:
    target = world.folder / "target.yaml"
    target.write_text("age: {old: 1, 18-30: 1}\n")
    return generated(world, "--target", target)


@case("no model for profiles (`engine profiles`)")
def _no_profile_model(world: World) -> int:
    return generated(world, "--config", world.config)


@case("a context without room for a question (`engine profiles`)")
def _no_room(world: World) -> int:
    world.configure(stages__profiles={"model": "m", "max_tokens": 4096, "context_tokens": 1024})
    return generated(world, "--config", world.config)


@case("another batch in a run that is there (`engine profiles`)")
def _other_batch(world: World) -> int:
    assert generated(world) == 0
    return generated(world, "--batch", "5")


@case("a model that writes no profile (`engine profiles`)")
def _no_profile(world: World) -> int:
    message = {"role": "assistant", "content": "It depends."}
    body = orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
    world.trouble.append(lambda request: Reply(body=body))
    return generated(world, "--base-url", world.server.base_url, "--model", "m")


@case("a pool with a broken line (`engine profiles check`)")
def _broken_line(world: World) -> int:
    return engine("profiles", "check", made_file(world, POOL + b"{\n"))


@case("a profile that is not there (`engine profiles show`)")
def _no_such_profile(world: World) -> int:
    return engine("profiles", "show", made_file(world, POOL), "nobody")


@case("a plot of another kind (`engine profiles stats`)")
def _no_plot(world: World) -> int:
    return engine("profiles", "stats", made_file(world, POOL), "--plot", "plot.gif")


@case("reviews of nobody (`engine profiles derive`)")
def _nobody(world: World) -> int:
    reviews = made_file(world, b'{"text":"Good pan"}\n')
    return engine("profiles", "derive", reviews, "--out", world.folder / "p.jsonl", "--runs-dir", world.runs)


@case("a decision on a profile that is not there (`engine profiles refine`)")
def _no_candidate(world: World) -> int:
    decisions = made_file(world, b'{"id":"nobody","decision":"accept"}\n')
    return engine("profiles", "refine", world.folder / "refined", "--decisions", decisions)


@case("decisions that are not there (`engine profiles refine`)")
def _no_decisions(world: World) -> int:
    code = engine("profiles", "refine", world.folder / "refined", "--decisions", world.folder / "no.jsonl")
    assert not list(world.folder.rglob("journal.sqlite"))  # it was said before a pool was paid for
    return code


@case("a file where versions belong (`engine profiles refine`)")
def _no_folder(world: World) -> int:
    return engine("profiles", "refine", made_file(world, b"{}\n"))


@case("a reference without a profile (`engine profiles check`)")
def _no_reference(world: World) -> int:
    assert generated(world) == 0
    return engine("profiles", "check", world.folder / "pool.jsonl", "--reference", made_file(world, b"{}\n"))


def experiment(world: World, *more: str | Path) -> int:
    data = as_reference(labelled(20), world.folder / "gifts.jsonl")
    out = world.folder / "out"
    return engine(
        "experiment", "intents", data, "--model", "BernoulliNB", "--seeds", "1", "--out", out, *more
    )


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """As if these packages were not installed."""
    hidden: dict[str, ModuleType | None] = {name: sys.modules.get(name) for name in packages}
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@case("data without intents (`engine experiment`)")
def _no_intents(world: World) -> int:
    return engine("experiment", "intents", made_file(world, ONE))


@case("without scikit-learn (`engine experiment`)")
def _no_sklearn(world: World) -> int:
    with without("sklearn"):
        return experiment(world)


@case("a pretrained model without torch (`engine experiment`)")
def _no_torch(world: World) -> int:
    with without("torch"):
        return experiment(world, "--plm", "google-bert/bert-base-uncased")


case("an unknown traditional model (`engine experiment`)")(lambda world: experiment(world, "--model", "SVN"))
case("an LLM without an endpoint (`engine experiment`)")(lambda world: experiment(world, "--llm", "gpt-4o"))


@case("an LLM that the endpoint does not know (`engine experiment`)")
def _unknown_llm(world: World) -> int:
    world.trouble.append(error(404, "The model `m` does not exist."))
    return experiment(world, "--llm", "m", "--base-url", world.server.base_url)


@case("a split file that is none (`engine experiment`)")
def _no_split_file(world: World) -> int:
    split = world.folder / "split.json"
    split.write_text("[]")
    return experiment(world, "--split-file", split)


@case("a split of too few profiles (`engine experiment`)")
def _few_profiles(world: World) -> int:
    data = as_reference(labelled(20, profiles=4), world.folder / "few.jsonl")
    return engine("experiment", "intents", data, "--split", "profile", "--out", world.folder / "out")


@case("a second experiment in one folder (`engine experiment`)")
def _second_experiment(world: World) -> int:
    with CellFolder(world.folder / "out" / "cells").alone():
        return experiment(world)


@case("a prompt without its places (`engine experiment`)")
def _no_places(world: World) -> int:
    (world.folder / "llm.yaml").write_text("system: none\nuser: none\nexample: none\n")
    return experiment(world, "--llm", "rehearsal", "--prompts", world.folder)


def edit_template(world: World) -> None:
    path = world.folder / "templates" / "travel" / "description.en.jinja"
    path.write_text(path.read_text().replace("{{", "soon {{", 1))


def edit_profile(world: World) -> None:
    world.profiles.write_bytes(re.sub(rb'"age": ?"\d+"', b'"age": "99"', POOL, count=1))


with_other_content(
    "another model", lambda world: world.configure(stages__assistant__model="b"), ("model: a\n", "model: b\n")
)
with_other_content(
    "another temperature", lambda world: world.configure(stages__simulator__temperature=0.9),
    ("temperature: 0.5", "temperature: 0.9"),
)  # fmt: skip
with_other_content("another seed", lambda world: world.configure(seed=7), ("seed: 0", "seed: 7"))
with_other_content(
    "another way to hold conversations", lambda world: world.configure(conversation={"max_rounds": 3}),
    ("max_rounds: 2", "max_rounds: 3"),
)  # fmt: skip
with_other_content("an edited template", edit_template)
with_other_content("an edited profile", edit_profile)


@case("no server there")
def _no_server(world: World) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world.configure(unreachable_after_s=0.0)
    return world.run("--base-url", f"http://127.0.0.1:{port}/v1")


with_trouble("a refused key (401)", error(401, "Incorrect API key provided."))
with_trouble("an unknown model (404)", error(404, "The model `s` does not exist", "model_not_found"))
with_trouble("a base URL that leads to a page (404)", page(404, "Not Found"), begin=False)
with_trouble("a base URL that takes no POST (405)", page(405, "Method Not Allowed"), begin=False)
with_trouble("a base URL that answers with a page (200)", page(200, "Welcome"), begin=False)
with_trouble(
    "a server that speaks another format",
    lambda request: Reply(200, b'{"type": "message", "content": [{"type": "text", "text": "Hello!"}]}'),
    begin=False,
)
with_trouble("a server that answers in plain text", lambda request: Reply(200, b"Hello there!"), begin=False)
with_trouble("a used-up quota", error(429, "You exceeded your current quota.", "insufficient_quota"))


@case("a plain server under https://")
def _no_tls(world: World) -> int:
    def answer() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=answer)
        thread.start()
        code = world.run("--base-url", f"https://127.0.0.1:{listening.getsockname()[1]}/v1")
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    return code


with_trouble(
    "a model whose replies are all empty",
    lambda request: Reply(200, b'{"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}'),
    begin=False,
)


@case("a server that breaks off every stream")
def _broken_streams(world: World) -> int:
    world.configure(endpoints__default__stream=True)
    begun = b'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
    world.trouble.append(lambda request: Reply(200, begun))
    return world.run()


@case("a field that the model does not know (400)")
def _unknown_field(world: World) -> int:
    return refused_alike(world, "Unsupported parameter: 'max_tokens' is not supported with this model.")


@case("prompts that do not fit into the model's context")
def _small_context(world: World) -> int:
    return refused_alike(world, "This model's maximum context length is 512 tokens.")


def refused_alike(world: World, message: str) -> int:
    few, first_answers.FEW = first_answers.FEW, 3  # a plan of four is too small for more
    world.trouble.append(error(400, message))
    try:
        return world.run()
    finally:
        first_answers.FEW = few


@case("a full disk")
def _full_disk(world: World) -> int:
    def fill(connection: apsw.Connection) -> None:
        # What SQLite says when the disk is full, said at a size of its own.
        connection.execute("PRAGMA max_page_count=9")

    apsw.connection_hooks.append(fill)
    try:
        return world.run()
    finally:
        apsw.connection_hooks.remove(fill)


@case("reasoning inside the reply", MARKED)
def _reasoning(world: World) -> int:
    world.trouble.append(
        lambda request: completion(
            request,
            f"<think>secret {len(last_message(request))}</think>\n\nI say {len(last_message(request))}.",
        )
    )
    code = world.run()
    first, *_ = found = records(world.runs / "r" / "conversations.jsonl")
    assert all(record["reasoning"] == {"simulator": 2, "assistant": 2} for record in found)
    assert b"secret" not in world.dataset()
    assert re.search(rb'"content":"I say \d+\."', world.dataset())
    shown = ("show", "r", str(first["id"]), "--runs-dir", world.runs)
    assert engine(*shown, "--raw") == 0
    assert engine(*shown, "--as-sent", "simulator") == 0
    return code


@case("another served model in mid-run", MARKED)
def _served_model(world: World) -> int:
    day = 1

    def reply(request: dict[str, object]) -> Reply:
        text = f"On day {day} I say {len(last_message(request))}."
        return completion(request, text, model=f"{request['model']}-day-{day}")

    world.trouble.append(reply)
    world.begin()
    day = 2
    code = world.run()
    events = [orjson.loads(line) for line in (world.runs / "r" / "events.jsonl").read_bytes().splitlines()]
    changes = [
        (event["side"], event["before"], event["now"])
        for event in events
        if event["event"] == "model.changed"
    ]
    assert sorted(changes) == [("assistant", "a-day-1", "a-day-2"), ("simulator", "s-day-1", "s-day-2")]
    summary = orjson.loads((world.runs / "r" / "summary.json").read_bytes())
    assert summary["served_model_changed"] is True
    assert summary["served_models"]["assistant"] == {"a-day-1": 2, "a-day-2": 2}
    return code


@case("a full context", MARKED)
def _full_context(world: World) -> int:
    full = error(400, "This model's maximum context length is 4096 tokens.", "context_length_exceeded")
    world.configure(conversation={"max_rounds": 9})
    # What a context of some thousand characters does: the simulator's requests reach it first.
    world.trouble.append(lambda request: full(request) if len(str(request["messages"])) > 8_000 else None)
    code = world.run()
    found = records(world.runs / "r" / "conversations.jsonl")
    cut = [record for record in found if record["end_reason"] == "context_full"]
    assert cut
    assert all(record["rounds"] for record in cut)
    assert any(record["kept"] for record in cut), [record["dropped_because"] for record in cut]
    return code


# --- the tests -----------------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def assert_says(output: str, row: Row) -> None:
    at = 0
    for part in row.parts:
        found = output.find(part, at)
        assert found >= 0, f"{part!r} is not (in this order) in: {output}"
        at = found + len(part)
    assert "Traceback" not in output
    assert "bug" not in output


def test_page_and_cases_are_the_same() -> None:
    assert set(rows()) == set(CASES) | set(MARKED)
    assert not set(CASES) & set(MARKED)


@pytest.mark.parametrize("did", CASES)
def test_what_goes_wrong_is_said_and_costs_nothing(
    world: World, undisturbed: bytes, capsys: pytest.CaptureFixture[str], did: str
) -> None:
    row = rows()[did]
    codes = CASES[did](world)
    output = said(capsys)
    assert ({codes} if isinstance(codes, int) else set(codes)) == {row.code}, output
    assert_says(output, row)
    world.mend()
    has_begun = (world.runs / "r" / JOURNAL_NAME).is_file()
    asked = world.server.stats.requests
    assert world.run() in (0, 3)
    assert world.resume("--retry-failed") == 0
    assert world.dataset() == undisturbed
    if not has_begun:
        assert world.server.stats.requests - asked == sum(
            step_count(record) for record in records(world.runs / "r" / "conversations.jsonl")
        )


def step_count(record: dict[str, object]) -> int:
    history = record["history"]
    assert isinstance(history, list)
    return len(history) + (record["end_reason"] == "goodbye")


@pytest.mark.parametrize("did", MARKED)
def test_what_is_no_error_is_marked(world: World, capsys: pytest.CaptureFixture[str], did: str) -> None:
    row = rows()[did]
    assert MARKED[did](world) == row.code
    assert_says(said(capsys), row)
    assert engine("verify", "r", "--runs-dir", world.runs) == 0
