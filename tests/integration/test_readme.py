"""The README and the other pages hold: commands run, options exist, links lead somewhere, codes are right.

Blocks marked `sh` are run as they stand, in order, in one folder; `file=NAME` blocks are written there
first. Blocks marked `console` need a server, a key or the network: their options are checked alone.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import click
import pytest
from pydantic import BaseModel
from tests.doubles.command_line import engine

from engine import errors
from engine.cli.main import engine as engine_command
from engine.config import endpoint_settings, model_settings, settings
from engine.config.endpoint_settings import TransportKind
from engine.errors import EngineError
from engine.journal.rows import TABLES
from engine.version import __version__

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONTEXT = click.Context(engine_command)
PAGES = (README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
# Without an error of their own: success, failed conversations, and 128 + SIGHUP, SIGINT, SIGTERM.
PLAIN_CODES = {0, 3, 129, 130, 143}
NEEDS_MORE = re.compile(r"^(make|pip|vllm|ollama|source|export) |--base-url|--local|--key-env")


class Block(NamedTuple):
    """A fenced block: its language, the file it is meant to be (or nothing), and its text."""

    language: str
    file: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w*)(?: file=(\S+))?\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [Block(*parts) for parts in found]


def commands(page: Path) -> Iterator[str]:
    """Every `engine ...` command line in blocks and in inline code, without its comment."""
    text = page.read_text("utf-8")
    lines = [line for block in blocks(page) for line in block.text.splitlines()]
    lines += re.findall(r"`(engine [^`\n]+)`", text)
    for line in lines:
        if line.startswith("engine "):
            yield re.split(r"\s#\s", line)[0].strip()


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def subcommand(line: str) -> click.Command:
    command: click.Command = engine_command
    for word in line.split()[1:]:
        found = command.get_command(CONTEXT, word) if isinstance(command, click.Group) else None
        if found is None:
            break
        command = found
    assert command is not engine_command or line.split()[1].startswith("-"), line
    return command


def all_commands(group: click.Group = engine_command) -> Iterator[click.Command]:
    for name in group.list_commands(CONTEXT):
        command = group.get_command(CONTEXT, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from all_commands(command)


def options_of(command: click.Command) -> set[str]:
    names = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return names | {"--help", "-h"}


def test_commands_of_the_readme_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("templates", "profiles"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    lines = []
    for block in blocks(README):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, "utf-8")
        elif block.language == "sh":
            lines += block.text.splitlines()
    assert len(lines) > 10
    for line in lines:
        # In this process, since an interpreter's start for each line would be most of the time.
        program, *arguments = shlex.split(line, comments=True)
        assert program == "engine"
        assert engine(*arguments) == 0, f"{line}\n{capsys.readouterr().err}"
    assert 0 < len(Path("first.jsonl").read_text("utf-8").splitlines()) <= 44
    assert len(Path("all.jsonl").read_text("utf-8").splitlines()) == 66


def test_engine_is_a_command_of_the_environment() -> None:
    command = Path(sys.executable).with_name("engine")
    done = subprocess.run([command, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"engine, version {__version__}\n")


def test_run_blocks_need_neither_network_nor_key() -> None:
    for block in blocks(README):
        if block.language == "sh":
            assert not [line for line in block.text.splitlines() if NEEDS_MORE.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_and_command_named_exists(page: Path) -> None:
    anywhere = set().union(*(options_of(command) for command in all_commands()))
    anywhere |= options_of(engine_command) | {"--version"}
    for line in commands(page):
        known = options_of(subcommand(line))
        used = set(re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", line))
        assert used <= known, line
    for option in re.findall(r"`(--[a-z][a-z-]*)", prose(page)):
        assert option in anywhere, option


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = {name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.M)}
    assert {"run", "test", "help"} <= named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_the_project_named_exists(page: Path) -> None:
    tops = "src|tests|templates|profiles|runs|benchmarks|docs"
    made = {block.file for block in blocks(README)} | {"runs/"}
    for path in re.findall(rf"`((?:{tops})/[\w./-]*)", page.read_text("utf-8")):
        is_of_a_run = path.startswith("runs/") and path != "runs/README.md"
        is_made = any(name.startswith(path) for name in made)
        assert is_of_a_run or is_made or (ROOT / path).exists(), path
    # Modules are named by their path below src/engine.
    for path in re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text("utf-8")):
        assert (ROOT / path).exists() or (ROOT / "src/engine" / path).exists(), path


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "design.md"], ids=lambda page: page.name)
def test_exit_codes_are_those_of_the_errors(page: Path) -> None:
    section = page.read_text("utf-8").split("\n## Exit codes\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\d, ]+) \|", section, re.M)
    documented = {int(code) for row in rows for code in row.split(",")}
    tree = [value for value in vars(errors).values() if isinstance(value, type)]
    raised = {error.exit_code for error in tree if issubclass(error, EngineError)}
    assert documented == raised | PLAIN_CODES


def test_design_names_every_floor_table_and_reason() -> None:
    text = (ROOT / "docs/design.md").read_text("utf-8")
    floors, journal, retries = (
        text.split(f"\n## {name}\n")[1].split("\n## ")[0] for name in ("Floors", "The journal", "Retries")
    )
    package = ROOT / "src/engine"
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(re.findall(r"`(\w+)/`", floors))
    assert set(re.findall(r"CREATE TABLE (\w+)", TABLES)) == set(re.findall(r"^\| `(\w+)` \|", journal, re.M))
    said = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ([^|]+) \|", retries, re.M))))
    raised = " ".join(path.read_text("utf-8") for path in (package / "wire").glob("*.py"))
    raised += " ".join(path.read_text("utf-8") for path in (package / "llm").glob("*.py"))
    reasons = set(re.findall(r'(?:TransportFailed|ReplyUnusable)\(\s*"(\w+)"', raised))
    reasons |= set(
        re.findall(r'^        return "(\w+)"$', (package / "wire/status.py").read_text("utf-8"), re.M)
    )
    assert reasons - said == set()


def test_configuration_keys_named_exist() -> None:
    section = README.read_text("utf-8").split("\nFurther keys")[1].split("\n\n")[0]
    modules = (settings, endpoint_settings, model_settings)
    models = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    known = {name for model in models if issubclass(model, BaseModel) for name in model.model_fields}
    named = set(re.findall(r"`(?:\w+\.)?([a-z_]+)`", section)) - set(get_args(TransportKind))
    assert named
    assert named <= known


def test_troubleshooting_gives_the_codes_of_errors_that_exist() -> None:
    section = README.read_text("utf-8").split("\n## Troubleshooting\n")[1].split("\n## ")[0]
    codes = {int(code) for code in re.findall(r"\| (\d+) \|", section)}
    assert codes <= {error.exit_code for error in EngineError.__subclasses__()}


def test_every_field_of_a_record_is_explained() -> None:
    source = (ROOT / "src/engine/dataset/record.py").read_text("utf-8")
    body = source.split("fields: dict[str, object] = {")[1].split("return ConversationRecord")[0]
    fields = set(re.findall(r'^        "(\w+)":', body, re.M)) | set(re.findall(r'fields\["(\w+)"\]', body))
    section = README.read_text("utf-8").split("field by field")[1].split("\n## ")[0]
    first_cells = " ".join(re.findall(r"^\| ([^|]+) \|", section, re.M))
    assert fields == set(re.findall(r"`(\w+)`", first_cells))


def test_quoted_messages_are_in_the_source() -> None:
    """A message that users search for is found in the table as the engine says it."""
    section = README.read_text("utf-8").split("\n## Troubleshooting\n")[1].split("\nConversations that")[0]
    sources = [path.read_text("utf-8") for path in (ROOT / "src/engine").rglob("*.py")]
    said = " ".join([*sources, (ROOT / "Makefile").read_text("utf-8")])
    said = re.sub(r'"\s*\n\s*f?"', "", said)
    for message in re.findall(r"^\| (`.+?`) \| ", section, re.M):
        for part in re.split(r"`, `|\.\.\.|\b[NXM]\b| \(.*?\)", message.strip("`")):
            words = part.strip(" `)?:")
            if len(words) > 12 and not words.startswith("answered"):
                assert words in said, words
