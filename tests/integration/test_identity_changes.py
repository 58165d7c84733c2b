"""Whatever decides content and is changed between two sessions is refused before any call, by its name.

The changes are made up from what a real run is made of: each parameter of each model, each way of holding a
conversation, each text of each template, each aspect of each profile. The run's endpoint does not exist, so
that a call which was sent would be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson
import pytest
from tests.doubles.command_line import engine

from engine.clock import SystemClock
from engine.config.settings import RunConfig
from engine.errors import IdentityChanged
from engine.journal.inputs import RunInputs, read_inputs
from engine.journal.reader import Reader
from engine.logs import EventLog
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.rehearsal.settings import RehearsalSettings
from engine.runner.prepare import prepare
from engine.runner.progress import RunProgress
from engine.runner.run import work_on_run
from engine.runner.run_folder import RunFolder
from engine.scenarios.catalog import Catalog

SEED = 20261125
# (what is changed, inputs with the change, what the refusal has to name)
Mutation = tuple[str, RunInputs, str]
VALUES: dict[str, tuple[object, ...]] = {
    "model": ("n", "m ", "M", "m-2026-11-25"),
    "temperature": (None, 0.0, 0.5000001, 0.51, 2.0),
    "top_p": (0.1, 0.999, 1.0),
    "max_tokens": (1, 1_023, 1_025, 64_000),
    "stop": (["\n"], ["goodbye"], ["a", "b"]),
    "send_seed": (False,),
    "extra": ({"top_k": 1}, {"top_k": 40}, {"reasoning": {"effort": "low"}}),
}
CONVERSATION: dict[str, tuple[object, ...]] = {
    "setup": ("paper",), "opener": ("assistant",), "max_rounds": (1, 9, 11, 40), "end_check": ("paper",),
    "assistant_prompt": (False,),
    "debrief": (
        [{"side": "user", "question": "q"}], [{"side": "assistant", "question": "q"}],
        [{"side": "user", "question": "q"}, {"side": "user", "question": "r"}],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunInputs]:
    """A run that was stopped among its conversations by a used-up quota, and what it was made from."""
    runs = tmp_path_factory.mktemp("runs")
    return RunFolder(runs / "r"), anyio.run(_hold_a_part, runs)


async def _hold_a_part(runs: Path) -> RunInputs:
    asked = 0

    def use_up(request: dict[str, object], raw: bytes) -> Reply | None:
        nonlocal asked
        asked += 1
        body = b'{"error": {"code": "insufficient_quota", "message": "used up"}}'
        return Reply(429, body) if asked > 60 else None

    async with serve(RehearsalSettings(), replier=use_up) as server:
        config = RunConfig.model_validate(
            {
                "endpoints": {"default": {"base_url": server.base_url}}, "limit": 66, "concurrency": 4,
                "stages": {"simulator": {"model": "m"}, "assistant": {"model": "m"}},
            }
        )  # fmt: skip
        inputs = prepare(config)
        result = await _work(RunFolder(runs / "r"), inputs)
    assert result.stopped_by is not None
    return inputs


async def _work(folder: RunFolder, inputs: RunInputs) -> Any:
    folder.make()
    with EventLog(folder.events) as log:
        return await work_on_run(
            folder, inputs, inputs.config.endpoints, clock=SystemClock(), progress=RunProgress(), log=log,
            guards_disk=False,
        )  # fmt: skip


def of_config(inputs: RunInputs) -> Iterator[Mutation]:
    document = inputs.config.model_dump(mode="json")

    def changed(**changes: object) -> RunInputs:
        return replace(inputs, config=RunConfig.model_validate(document | changes))

    random = Random(SEED)
    for seed in (1, -1, 2**31, *(random.randrange(2, 10**6) for _ in range(7))):
        yield f"seed {seed}", changed(seed=seed), "seed"
    yield "language", changed(language="zh"), "language"
    for stage in ("simulator", "assistant"):
        for name, values in VALUES.items():
            for value in values:
                stages = document["stages"] | {stage: document["stages"][stage] | {name: value}}
                yield f"{stage}.{name} {value}", changed(stages=stages), f"{stage}.{name}"
    for name, values in CONVERSATION.items():
        for value in values:
            conversation = document["conversation"] | {name: value}
            yield f"{name} {value}", changed(conversation=conversation), f"conversation.{name}"
    for gates in (["parrot"], ["repeat"], ["parrot", "repeat"]):
        yield f"gates {gates}", changed(gates={"use": gates, "regenerate": 2}), "gates.use"


def of_templates(inputs: RunInputs) -> Iterator[Mutation]:
    random = Random(SEED)
    sources = dict(inputs.catalog.sources())
    for name, text in sources.items():
        for number, other in enumerate(_other_texts(name, text, random)):
            catalog = Catalog.from_sources(sources | {name: other}, inputs.config.language)
            yield f"{name} {number}", replace(inputs, catalog=catalog), f"template {name}"


def _other_texts(name: str, text: str, random: Random) -> Iterator[str]:
    if name.endswith("/task"):
        document = orjson.loads(text)
        yield orjson.dumps(
            document | {"title": document["title"] + "."}, option=orjson.OPT_SORT_KEYS
        ).decode()
        return
    yield text + " "
    yield text + "\nOne more rule."
    letters = [i for i, letter in enumerate(text) if letter.isalpha() and "{" not in text[max(0, i - 40) : i]]
    for at in random.sample(letters, min(3, len(letters))):
        yield text[:at] + text[at].swapcase() + text[at + 1 :]


def of_profiles(inputs: RunInputs) -> Iterator[Mutation]:
    profiles = dict(inputs.profiles)
    for name in inputs.plan.profile_ids_used():
        profile = profiles[name]
        for aspect, value in profile.aspects.items():
            for other in (value + ".", value[:-1], f"Not: {value}"):
                changed = replace(profile, aspects={**profile.aspects, aspect: other})
                yield (
                    f"{name} {aspect}",
                    replace(inputs, profiles=profiles | {name: changed}),
                    f"profile {name}, {aspect}",
                )
        without = dict(list(profile.aspects.items())[1:])
        yield (
            f"{name} without an aspect",
            replace(inputs, profiles=profiles | {name: replace(profile, aspects=without)}),
            f"profile {name}, {next(iter(profile.aspects))}",
        )


def calls_of(folder: RunFolder) -> tuple[object, ...]:
    with closing(Reader(folder.journal)) as reader:
        return reader.last(), reader.totals(), len(reader.sessions())


def test_each_change_of_what_decides_content_is_refused_by_name(
    stopped: tuple[RunFolder, RunInputs],
) -> None:
    folder, inputs = stopped
    before = calls_of(folder)
    mutations = [*of_config(inputs), *of_templates(inputs), *of_profiles(inputs)]
    assert len({what for what, _, _ in mutations}) >= 100

    async def refuse_all() -> None:
        for what, mutated, field in mutations:
            # The endpoint is gone: whatever was sent would end otherwise than by a refusal.
            with pytest.raises(IdentityChanged) as refusal:
                await _work(folder, mutated)
            named = [name for name, _, _ in refusal.value.differences]
            assert field in named, (what, named)
            assert field in str(refusal.value)
            assert "Nothing was sent" in str(refusal.value)

    anyio.run(refuse_all)
    print(f"{len(mutations)} changes refused")
    assert len(mutations) >= 200
    assert calls_of(folder) == before


def test_what_decides_no_content_may_change_freely(tmp_path: Path) -> None:
    async def hold() -> None:
        seen = 0

        def stop_the_first(request: dict[str, object], raw: bytes) -> Reply | None:
            nonlocal seen
            seen += 1
            body = b'{"error": {"code": "insufficient_quota", "message": "used up"}}'
            return Reply(429, body) if seen > 60 else None

        folders = [RunFolder(tmp_path / name) for name in ("changed", "plain")]
        async with serve(replier=stop_the_first) as first, serve() as second:
            start = {
                "endpoints": {"default": {"base_url": first.base_url}}, "limit": 22,
                "stages": {stage: {"model": "m"} for stage in ("simulator", "assistant")},
            }  # fmt: skip
            limits = {"requests_per_min": 90_000, "tokens_per_min": 90_000_000, "max_in_flight": 3}
            elsewhere = {"model": "m", "endpoint": "elsewhere", "max_tokens_field": "max_completion_tokens"}
            other = {
                "endpoints": {
                    "elsewhere": {
                        "base_url": second.base_url, "limits": limits, "headers": {"X-Title": "t"},
                        "call_timeout_s": 9, "connect_timeout_s": 3,
                    }
                },
                "stages": dict.fromkeys(("simulator", "assistant"), elsewhere),
                "concurrency": 3, "transport": "httpx", "retry_attempts": 2, "unreachable_after_s": 5,
                "drain_s": 1, "adaptive": False, "limit": 30, "prices": {"m": {"input": 1, "output": 2}},
                "budget": {"max_tokens": 100_000_000},
            }  # fmt: skip
            result = await _work(folders[0], prepare(RunConfig.model_validate(start)))
            assert result.stopped_by is not None
            result = await _work(folders[0], prepare(RunConfig.model_validate(other)))
            assert result.stopped_by is None
            plain = start | {"endpoints": {"default": {"base_url": second.base_url}}, "limit": 30}
            assert (await _work(folders[1], prepare(RunConfig.model_validate(plain)))).stopped_by is None

    anyio.run(hold)
    for name in ("changed", "plain"):
        assert engine("export", name, "--include", "dropped", "--runs-dir", tmp_path) == 0
    changed, plain = (
        (tmp_path / name / "export" / "conversations.jsonl").read_bytes() for name in ("changed", "plain")
    )
    assert changed == plain


# --- a fork -----------------------------------------------------------------------------------------

RUN = ("run", "--limit", "22", "--run")


def replies_of(folder: Path) -> dict[tuple[str, str, int], bytes]:
    with closing(Reader(folder / "journal.sqlite")) as reader:
        return {(c.item, c.step, c.attempt): c.request_digest for c in reader.calls_from(0)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("forks")
    assert engine(*RUN, "old", "--runs-dir", runs) == 0
    return runs


def profiles_with_one_changed(path: Path) -> Path:
    lines = (Path(__file__).parents[2] / "profiles" / "pool.en.jsonl").read_bytes().splitlines()
    first = orjson.loads(lines[0]) | {"age": "71"}
    path.write_bytes(b"\n".join([orjson.dumps(first), *lines[1:10]]))
    return path


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("assistant", ("--assistant", "another"), "some"),
        ("simulator", ("--simulator", "another"), "none"),
        ("seed", ("--seed", "7"), "none"),
        ("gates", ("--gates",), "most"),
        ("larger", ("--limit", "30"), "all"),
        ("setup", ("CONFIG",), "all but the ends"),
    ],
)
def test_a_fork_asks_only_where_something_changed(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, options: tuple[str, ...],
    share: str,
) -> None:  # fmt: skip
    given: list[str | Path] = list(options)
    if options == ("CONFIG",):
        config = tmp_path / "engine.yaml"
        config.write_text("limit: 22\nconversation: {max_rounds: 3}\n")
        given = [config]
    command = [*RUN, "old", *given, "--runs-dir", whole]
    if name != "larger":
        assert engine(*command) == 78
        assert "--run old --fork NEW" in capsys.readouterr().err
    before = replies_of(whole / "old")
    assert engine(*command, "--fork", name) == 0
    assert engine(*RUN, f"fresh-{name}", *given, "--runs-dir", whole) == 0
    dataset, fresh = ((whole / run / "conversations.jsonl").read_bytes() for run in (name, f"fresh-{name}"))
    assert dataset == fresh
    assert engine("verify", name, "--runs-dir", whole) == 0
    with closing(Reader(whole / name / "journal.sqlite")) as reader:
        taken = [(c.item, c.step, c.attempt) for c in reader.calls_from(0) if c.session == 0]
        asked = [(c.item, c.step, c.attempt) for c in reader.calls_from(0) if c.session]
    now = replies_of(whole / name)
    assert not [key for key in asked if now[key] == before.get(key)], "a reply that was there was asked for"
    assert all(now[key] == before[key] for key in taken)
    assert bool(taken) == (share != "none")
    assert replies_of(whole / "old") == before
    assert engine(*command, "--fork", name) == 0, "the same command twice goes on with the same run"
    assert "is complete; nothing was sent" in capsys.readouterr().out


def test_a_fork_after_one_profile_changed_asks_for_that_profile_alone(whole: Path, tmp_path: Path) -> None:
    pool = profiles_with_one_changed(tmp_path / "pool.jsonl")
    command = ("run", "--run", "old", "--limit", "22", "--profiles", pool, "--runs-dir", whole)
    assert engine(*command, "--limit", "44", "--fork", "older") == 0
    with closing(Reader(whole / "older" / "journal.sqlite")) as reader:
        inputs = read_inputs(reader)
        assert {c.item for c in reader.calls_from(0) if c.session == 0} == set()
        assert inputs.profiles["p001"].aspects["age"] == "71"


def test_a_fork_must_be_new_and_of_a_run(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine(*RUN, "nowhere", "--fork", "x", "--runs-dir", whole) == 65
    assert engine("run", "--limit", "22", "--fork", "x", "--runs-dir", whole) == 2
    assert engine(*RUN, "old", "--fork", "old", "--runs-dir", whole) == 2
    assert not (whole / "x").exists()
    capsys.readouterr()
    assert engine(*RUN, "old", "--fork", "y", "--dry-run", "--runs-dir", whole) == 0
    assert "would take over" in capsys.readouterr().err
    assert not (whole / "y").exists()
