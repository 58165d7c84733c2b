"""`engine compare`: two datasets side by side, whatever they are."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from engine.analysis.compare import common_language, compare
from engine.analysis.compare_sections import compare_sections
from engine.analysis.draws import DRAWS, Sample, draw_sample
from engine.analysis.embedding import load_embedder
from engine.analysis.libraries import require_libraries
from engine.analysis.measures import Reading
from engine.analysis.sections import markdown
from engine.cli.annotated import annotated_dataset
from engine.cli.section_tables import print_section, table_console
from engine.cli.shared_options import json_option, labels_author_option, runs_dir_option, tables_file_option
from engine.dataset.build import replacing
from engine.dataset.tokens import count_tokens
from engine.errors import BadInput


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="This task only; may be repeated.")
@click.option(
    "--sample", "size", type=click.IntRange(min=2), default=2_000, show_default=True, metavar="N",
    help="At most so many conversations of each, chosen by their ids' digests.",
)  # fmt: skip
@click.option(
    "--language", metavar="L",
    help="Read texts in this language where there are translations; default: the one that both have.",
)  # fmt: skip
@labels_author_option
@click.option(
    "--embedder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="Folder of an encoder: spread of its embeddings too (extra [plm]).",
)  # fmt: skip
@tables_file_option
@runs_dir_option
@json_option
def compare_command(
    first: str,
    second: str,
    tasks: tuple[str, ...],
    size: int,
    language: str | None,
    author: str | None,
    embedder: Path | None,
    out: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> int:
    """Put two datasets side by side: lengths, diversity, intents, ratings, manners, likeness to people.

    A and B are runs, imported runs or files. Each measure has an interval and an effect size.
    """
    require_libraries("engine compare", "numpy", "scipy", "sklearn")
    if embedder is not None:
        require_libraries("--embedder", "torch", "transformers")
    started = time.monotonic()
    samples = _sample(first, runs_dir, tasks, size), _sample(second, runs_dir, tasks, size)
    if samples[0].name == samples[1].name:
        samples = (
            Sample(first, samples[0].conversations, samples[0].of),
            Sample(second, samples[1].conversations, samples[1].of),
        )
    reading = Reading(count_tokens, language or common_language(*samples), author)
    found = compare(
        *samples, reading, embed=None if embedder is None else load_embedder(embedder), draws=DRAWS
    )
    document = orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    sections = compare_sections(found)
    if out is not None:
        title = f"{found.first.name} and {found.second.name}"
        with replacing(out) as file:
            file.write(
                document if out.suffix == ".json" else markdown(title, sections).encode("utf-8", "replace")
            )
    if as_json:
        click.echo(document.decode())
        return 0
    console = table_console()
    for each in sections:
        print_section(console, each)
    click.echo(f"compared in {time.monotonic() - started:.1f} s" + (f"; written to {out}" if out else ""))
    return 0


def _sample(name: str, runs_dir: Path, tasks: tuple[str, ...], size: int) -> Sample:
    with annotated_dataset(runs_dir, name, only_kept=True) as dataset:
        wanted = (each for each in dataset if not tasks or each.task in tasks)
        sample = draw_sample(dataset.name, wanted, size)
    if not sample.conversations:
        of = f" of {' or '.join(map(repr, tasks))}" if tasks else ""
        raise BadInput(
            f"{name}: there is no kept conversation{of} to compare. `engine stats {name}` shows what "
            "there is."
        )
    return sample
