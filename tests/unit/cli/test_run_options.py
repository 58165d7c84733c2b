"""A configuration file and options make one configuration; options win, and mistakes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.cli.run_options import ModelOptions, build_config, endpoint_kind
from engine.config.endpoint_settings import EndpointSettings
from engine.config.identity import identity_fields
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import ConfigError, UsageError
from engine.runner.run_folder import default_name, open_folder

URL = "http://127.0.0.1:8000/v1"
TWO_MODELS = {"simulator": "s", "assistant": "a"}
ENDPOINT = "endpoints:\n  lab: {base_url: 'http://lab/v1', key_file: key}\n"
STAGES = "stages:\n  simulator: {model: s, endpoint: lab}\n  assistant: {model: a, endpoint: lab}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(f"seed: 3\n{ENDPOINT}{STAGES}")
    return path


def build(file: Path | None = None, models: dict[str, Any] | None = None, **options: object) -> RunConfig:
    return build_config(file, options, ModelOptions(**(models or {})))[0]


# --- the file and the options ----------------------------------------------------------------------


def test_nothing_at_all_is_a_rehearsal_of_220_conversations() -> None:
    config = build()
    assert config.is_rehearsal
    assert config.limit == 220
    assert {stage: settings.model for stage, settings in config.stages.items()} == {
        "simulator": "rehearsal-simulator",
        "assistant": "rehearsal-assistant",
    }


@pytest.mark.parametrize(
    "options",
    [{"limit": 5}, {"repeat": 2}, {"tasks": ("travel",)}, {"profiles": "p"}, {"jobs": "j"}],
    ids=str,
)
def test_who_says_what_to_hold_gets_no_other_limit(options: dict[str, Any]) -> None:
    assert build(**options).limit == options.get("limit")


def test_options_win_over_the_file_and_silent_options_do_not(file: Path) -> None:
    config = build(file, seed=4, concurrency=None, tasks=(), language=None)
    assert (config.seed, config.concurrency, config.tasks, config.language) == (4, 64, None, "en")
    assert build(file).seed == 3


def test_zero_is_said_and_not_silent(file: Path) -> None:
    assert build(file, seed=0).seed == 0


def test_the_files_folder_is_given_for_its_templates(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert build_config(Path("c.yaml"), {}, ModelOptions())[1] == file.parent
    assert build_config(None, {}, ModelOptions())[1] is None


def test_paths_in_options_mean_the_working_directory(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = build(file, profiles="pool.jsonl", jobs="/jobs.jsonl")
    assert config.profiles == tmp_path / "here" / "pool.jsonl"
    assert config.jobs == Path("/jobs.jsonl")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "--concurrency (it is 0): must be above 0."),
        ({"language": "de"}, "--language (it is 'de'): must be 'en' or 'zh'."),
        ({"seed": 2**64}, "--seed (it is 18446744073709551616): must be below "),
        ({"tasks": (3,)}, "--task (it is 3): write a text."),
        ({"transport": "curl"}, "--transport (it is 'curl'): must be 'asyncio' or 'httpx'."),
    ],
    ids=str,
)
def test_a_bad_option_is_named_as_it_is_typed(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(**options)
    assert str(caught.value).startswith(words)


# --- endpoint and models ---------------------------------------------------------------------------


def test_a_url_and_two_models_are_enough() -> None:
    config = build(models={"base_url": URL, **TWO_MODELS})
    assert config.endpoints["default"].base_url == URL
    assert config.stages["simulator"] == ModelSettings(model="s")
    assert config.stages["assistant"] == ModelSettings(model="a")
    assert config.endpoints["default"].key_env is None


@pytest.mark.parametrize("missing", ["simulator", "assistant"])
def test_an_endpoint_without_a_model_is_refused_with_the_option(missing: str) -> None:
    models = {"base_url": URL, **TWO_MODELS, missing: None}
    with pytest.raises(ConfigError, match=f"--{missing} MODEL"):
        build(models=models)


def test_a_bad_url_is_named_as_it_is_typed() -> None:
    with pytest.raises(UsageError, match=r"^--base-url: "):
        build(models={"base_url": "localhost:8000", **TWO_MODELS})


def test_models_of_a_file_keep_their_other_settings(file: Path) -> None:
    file.write_text(f"{ENDPOINT}{STAGES}".replace("model: s,", "model: s, temperature: 0.1,"))
    config = build(file, {"simulator": "other"})
    assert config.stages["simulator"] == ModelSettings(model="other", endpoint="lab", temperature=0.1)


@pytest.mark.parametrize("stages", ["", "stages:\n  simulator: {model: s, endpoint: lab}\n"])
def test_a_model_that_the_file_lacks_asks_the_one_endpoint(file: Path, stages: str) -> None:
    file.write_text(ENDPOINT + stages)
    config = build(file, dict(TWO_MODELS))
    assert {settings.endpoint for settings in config.stages.values()} == {"lab"}


def test_a_url_replaces_that_of_the_files_one_endpoint(file: Path) -> None:
    config = build(file, {"base_url": URL, "key_env": "KEY"})
    assert list(config.endpoints) == ["lab"]
    assert config.endpoints["lab"].base_url == URL


def test_a_key_does_not_follow_a_changed_address_by_itself(file: Path) -> None:
    with pytest.raises(UsageError, match="belongs to lab; say with --key-env"):
        build(file, {"base_url": URL})


TWO_ENDPOINTS = "endpoints:\n  x: {base_url: 'http://x/v1'}\n  y: {base_url: 'http://y/v1'}\n"


@pytest.mark.parametrize("models", [{"base_url": URL}, {"key_env": "KEY"}], ids=str)
@pytest.mark.parametrize(
    "stages", ["", "stages: {simulator: {model: s, endpoint: x}, assistant: {model: a, endpoint: y}}"]
)
def test_one_url_or_key_for_several_endpoints_is_refused(
    file: Path, stages: str, models: dict[str, Any]
) -> None:
    file.write_text(TWO_ENDPOINTS + stages)
    with pytest.raises(UsageError, match="several endpoints"):
        build(file, TWO_MODELS | models)


def test_a_model_without_a_place_among_several_endpoints_is_refused(file: Path) -> None:
    file.write_text(TWO_ENDPOINTS)
    with pytest.raises(UsageError, match="names endpoint 'default'"):
        build(file, dict(TWO_MODELS))


# --- keys ------------------------------------------------------------------------------------------


def test_the_usual_key_goes_to_its_own_provider_only() -> None:
    def key(url: str) -> str | None:
        return build(models={"base_url": url, **TWO_MODELS}).endpoints["default"].key_env

    assert key("https://api.openai.com/v1") == "OPENAI_API_KEY"
    assert key("https://api.openai.com.example/v1") is None
    assert key("https://example.org/api.openai.com") is None


def test_a_named_key_takes_the_place_of_a_file(file: Path) -> None:
    for models in ({"key_env": "KEY"}, {"key_env": "KEY", "base_url": URL}):
        endpoint = build(file, models).endpoints["lab"]
        assert (endpoint.key_env, endpoint.key_file) == ("KEY", None)


def test_a_key_without_an_endpoint_is_refused() -> None:
    with pytest.raises(UsageError, match="--base-url"):
        build(models={"key_env": "KEY"})


# --- a local model ---------------------------------------------------------------------------------


def test_a_local_model_needs_no_endpoint(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    config = build(models={"local_model": Path("m.gguf")})
    assert config.local is not None
    assert config.local.model == file.parent / "m.gguf"
    assert {settings.model for settings in config.stages.values()} == {"m"}
    assert endpoint_kind(config) == "local"
    with pytest.raises(UsageError, match="--local"):
        build(file, {"local": True})


def test_a_local_model_is_spared_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    config = build(models={"local": True})
    assert (config.limit, config.concurrency, config.conversation.max_rounds) == (10, 2, 4)
    assert config.stages["simulator"].max_tokens == 96
    config = build(models={"local": True}, concurrency=7)
    assert config.concurrency == 7
    study = tmp_path / "c.yaml"
    study.write_text("conversation: {max_rounds: 3}\nlocal: {slots: 4}\n")
    config = build(study, {"local": True})
    assert (config.limit, config.concurrency, config.conversation.max_rounds) == (None, 4, 3)


# --- the default name ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (URL, "127.0.0.1"),
        ("https://api.example.com:8443/v1", "api.example.com"),
        ("http://[::1]:8000/v1", "1"),
        ("http://bücher.example/v1", "b-cher.example"),
        ("http://[::]/v1", "endpoint"),
    ],
)
def test_the_kind_is_the_simulators_host(url: str, kind: str) -> None:
    assert endpoint_kind(build(models={"base_url": url, **TWO_MODELS})) == kind


@given(st.text(min_size=1, max_size=60))
def test_the_default_name_of_any_endpoint_names_a_run(host: str) -> None:
    try:
        endpoint = EndpointSettings(base_url=f"http://{host}/v1")
    except ValidationError:
        return
    config = RunConfig(endpoints={"default": endpoint}, stages={"simulator": ModelSettings(model="m")})
    name = default_name(endpoint_kind(config), identity_fields(config))
    assert open_folder(Path("runs"), name).path == Path("runs") / name


def test_a_rehearsal_is_called_a_rehearsal() -> None:
    assert endpoint_kind(build()) == "rehearsal"
