"""Reading a configuration: each mistake with file, line and a suggestion; nothing but ConfigError."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from engine.config.document import read_document
from engine.config.load import config_of, load_config, parse_config
from engine.config.settings import RunConfig
from engine.errors import ConfigError

FOLDER = Path("/study")


def parse(text: str) -> RunConfig:
    return parse_config(text, source="c.yaml", folder=FOLDER)


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


# --- mistakes --------------------------------------------------------------------------------------

STAGE = "stages:\n  simulator:\n    model: m\n"
ENDPOINT = "endpoints:\n  a:\n    base_url: http://h/v1\n"
MISTAKES: dict[str, tuple[str, int, str]] = {
    "unknown key": ("seed: 1\nconcurency: 3", 2, "unknown key `concurency`. Did you mean `concurrency`?"),
    "far from any key": ("zzz: 1", 1, "Known here: adaptive, budget, concurrency,"),
    "unknown key of a section": ("conversation:\n  max_round: 3", 2, "Did you mean `max_rounds`?"),
    "unknown key of an endpoint": (f"{ENDPOINT}    key_evn: K", 4, "Did you mean `key_env`?"),
    "unknown key of limits": (f"{ENDPOINT}    limits:\n      rpm: 3", 5, "requests_per_min"),
    "unknown key of a stage": (f"{STAGE}    temprature: 1", 4, "Did you mean `temperature`?"),
    "unknown stage": ("stages:\n  simulatr: {model: m}", 2, "Did you mean `simulator`?"),
    "unknown key in a list": (
        "conversation:\n  debrief:\n  - {side: user, question: q}\n  - {side: user, questio: q}", 4,
        "Did you mean `question`?",
    ),
    "missing": ("stages:\n  simulator:\n    top_p: 1", 2, "`stages.simulator.model` is missing"),
    "out of range": ("seed: 1\n\nrepeat: 0", 3, "`repeat` (it is 0)"),
    "wrong type": ("concurrency: many", 1, "`concurrency` (it is 'many')"),
    "no is a boolean": ("language: no", 1, "`language` (it is false): must be 'en' or 'zh'; YAML reads `no`"),
    "one of": ("transport: curl", 1, "'asyncio' or 'httpx'"),
    "not a list": ("tasks: travel", 1, "`tasks` (it is 'travel')"),
    "unknown endpoint": (f"{ENDPOINT}{STAGE}    endpoint: b", 7, "names endpoint 'b'; the configuration has"),
    "key twice": ("seed: 1\nlanguage: en\nseed: 2", 3, "the key `seed` stands twice"),
    "key twice inside": (f"{STAGE}    model: n", 4, "the key `model` stands twice"),
    "header": (f"{ENDPOINT}    headers:\n      x-api-key: k", 4, "looks like a key"),
    "two documents": ("seed: 1\n---\nseed: 2", 2, "not valid YAML"),
    "tab": ("conversation:\n\tmax_rounds: 3", 2, "not valid YAML"),
    "open quote": ("seed: 1\nlanguage: 'en", 2, "not valid YAML"),
    "unknown alias": ("a: *b", 1, "not valid YAML"),
    "python object": ("a: !!python/object/apply:os.getcwd []", 1, "not valid YAML"),
    "list": ("- a", 1, "no `key: value` pairs"),
    "word": ("seed", 1, "no `key: value` pairs"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_line(text: str, line: int, words: str) -> None:
    message = message_of(text)
    assert f"c.yaml, line {line}: " in message
    assert words in message


def test_every_mistake_is_told_at_once() -> None:
    lines = message_of("sed: 1\nrepeat: 0\nlanguage: de").splitlines()
    assert [line.split(":")[0] for line in sorted(lines)] == [f"c.yaml, line {n}" for n in (1, 2, 3)]


AGAINST_THEIR_TAG = [
    "seed: !!int ''",
    "seed: !!bool maybe",
    "seed: !!timestamp x",
    "seed: !!float ''",
    "a: \0",
]


@pytest.mark.parametrize("text", AGAINST_THEIR_TAG)
def test_a_value_that_contradicts_its_tag_is_not_valid_yaml(text: str) -> None:
    assert message_of(text).startswith("c.yaml, line 1: not valid YAML")


def test_a_key_in_a_url_is_not_repeated_in_the_message() -> None:
    message = message_of(ENDPOINT.replace("http://", "https://sk-secret@"))
    assert "base_url" in message
    assert "sk-secret" not in message


def test_a_number_too_large_for_a_seed_is_refused() -> None:
    assert "`seed`" in message_of("seed: 99999999999999999999")


# --- anything at all -------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
KEYS = st.sampled_from([*RunConfig.model_fields, "model", "extra", "base_url", "default", "simulator", "<<"])
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PIECES = (
    "seed|stages|endpoints|extra|: |\n|  |- |[|]|{|}|&a |*a|<<|? |'|\"|>|---|...|#|0x|, |1e999|\t|\ufeff|é|"
    "!!int |!!bool |!!set |!!binary |!!omap |2025-01-01|.inf|\\ud800|%YAML"
)
YAML_PIECES = st.lists(st.sampled_from(PIECES.split("|")), max_size=20).map("".join)


def read_or_refuse(text: str) -> None:
    try:
        config = parse(text)
    except ConfigError:
        return
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


@given(st.text(max_size=80) | YAML_PIECES)
@example("a: &a [*a]")
@example("stages: {simulator: {model: m, extra: {a: &a [*a]}}}")
@example("stages: &a {simulator: *a}")
@example("? [a]\n: b")
@example('"\\ud800": 1')
@example("!!set {seed}")
def test_arbitrary_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    read_or_refuse(text)


@given(st.dictionaries(KEYS, TREES, max_size=5))
def test_arbitrary_trees_are_a_configuration_or_a_configuration_error(tree: dict[str, object]) -> None:
    read_or_refuse(yaml.safe_dump(tree, allow_unicode=True))


def test_nesting_without_end_is_not_valid_yaml() -> None:
    assert message_of("[" * 2000).startswith("c.yaml: not valid YAML")


def test_aliases_within_aliases_are_counted_and_not_written_out() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join(["a0: &a0 [x]", *levels])
    assert "line 6: more than 100,000 values stand here" in message_of(bomb)
    assert "unknown key `a0`" in message_of("\n".join(bomb.splitlines()[:5]))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_in_a_file_raise_only_configuration_errors(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "c.yaml"
    path.write_bytes(body)
    with suppress(ConfigError):
        load_config(path)


# --- what is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_an_empty_file_is_the_default(text: str) -> None:
    assert parse(text) == RunConfig()


def test_a_merge_key_may_be_overridden() -> None:
    config = parse(
        "endpoints:\n  a: &a {base_url: http://h/v1, call_timeout_s: 5}\n  b:\n    <<: *a\n    base_url: http://i/v1"
    )
    assert config.endpoints["b"].base_url == "http://i/v1"
    assert config.endpoints["b"].call_timeout_s == 5


def test_relative_paths_are_in_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "c.yaml").write_text(
        "local: {model: m.gguf}\ntemplates: t\nprofiles: /pool.jsonl\njobs: ../j.jsonl\n"
        f"{ENDPOINT}    key_file: key\n    ca_file: /ca.pem\n"
    )
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("conf/c.yaml"))
    assert config.templates == tmp_path / "conf" / "t"
    assert config.profiles == Path("/pool.jsonl")
    assert config.local is not None
    assert config.local.model == tmp_path / "conf" / "m.gguf"
    assert config.jobs == tmp_path / "conf" / ".." / "j.jsonl"
    assert config.endpoints["a"].key_file == tmp_path / "conf" / "key"
    assert config.endpoints["a"].ca_file == Path("/ca.pem")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engine init"):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_a_section_keeps_the_lines_of_its_file() -> None:
    document = read_document("# run\nconfig:\n  sed: 1\n", source="run.yaml")
    with pytest.raises(ConfigError, match=r"run\.yaml, line 3: unknown key `sed`"):
        config_of(document, FOLDER, section="config")
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        config_of(document, FOLDER, section="settings")


def test_the_example_of_the_readme_is_a_configuration() -> None:
    page = (Path(__file__).resolve().parents[3] / "README.md").read_text("utf-8")
    config = parse(page.split("```yaml file=study.yaml\n")[1].split("```")[0])
    assert set(config.endpoints) == {"mine", "openai"}
    assert config.stages["assistant"].max_tokens == 800
