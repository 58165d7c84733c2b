"""The report of a dataset: which tables and figures there are, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.analysis import report_sections as tables
from engine.analysis.figures import Drawn, draw_all, word_clouds
from engine.analysis.glyphs import Glyphs
from engine.analysis.report_page import Block, Picture
from engine.analysis.report_tally import ReportTally, RunFacts
from engine.analysis.sections import Section
from engine.analysis.statistics import Statistics

# Title of a block, its tables, and the figure that goes with it.
_BLOCKS: Sequence[tuple[str, Sequence[Callable[[ReportTally], Section]], str | None]] = (
    ("Table 1: conversations and their lengths", (tables.table1,), None),
    ("Rounds", (tables.rounds,), "rounds"),
    ("Tokens by position", (tables.tokens,), "tokens"),
    ("Table 2: mean ratings", (tables.table2,), None),
    ("Figure 6: scores", (tables.figure6,), "figure6"),
    ("Table 3: intents", (tables.table3,), None),
    ("Intents by turn", (tables.intent_flow, tables.transitions), "intents-by-turn"),
    ("Hallucinated replies", (tables.hallucinations,), None),
    ("End reasons", (tables.end_reasons,), "end-reasons"),
    ("Defects", (tables.defects, tables.dropped), None),
)


def figures_of(
    tally: ReportTally, facts: RunFacts | None, glyphs: Glyphs | None
) -> tuple[dict[str, Drawn], dict[str, Drawn], str]:
    """(figures by name, word clouds by task, what could not be drawn); none without matplotlib."""
    if glyphs is None:
        return {}, {}, ""
    drawn = draw_all(tally, facts, glyphs)
    clouds, left_out = word_clouds(tally, glyphs)
    note = (
        f"{left_out} phrases have characters that {glyphs.path.name} lacks; --font names another font."
        if left_out
        else ""
    )
    return drawn, clouds, note


def blocks_of(
    tally: ReportTally,
    facts: RunFacts | None,
    drawn: dict[str, Drawn],
    clouds: dict[str, Drawn],
    datasets: Sequence[tuple[str, Statistics]],
) -> list[Block]:
    """Every block that has something to show. `datasets`: those of Figure 1's table, this one first."""
    blocks = [Block(tables.figure1([]).title, (tables.figure1(datasets),))]
    for title, makers, figure in _BLOCKS:
        found = tuple(each for make in makers if (each := make(tally)).rows)
        if found:
            blocks.append(Block(title, found, _pictures(drawn.get(figure or ""))))
    for task in sorted(tally.preferences.by_task):
        found = (tables.phrases(tally, task),)
        blocks.append(Block(found[0].title, found, _pictures(clouds.get(task))))
    if facts is not None:
        found = (tables.run_facts(facts, sum(tally.statistics.construction.values())),)
        blocks.append(Block(found[0].title, found, _pictures(drawn.get("throughput"))))
    return blocks


def _pictures(drawn: Drawn | None) -> tuple[Picture, ...]:
    if drawn is None:
        return ()
    # Word clouds hold others' words; as pixels they are words no more.
    if drawn.name.startswith("figure5"):
        return (Picture("png", drawn.png, drawn.alt),)
    return (Picture("svg+xml", drawn.svg, drawn.alt),)
