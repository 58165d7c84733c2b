"""The figures of a report, as SVG and PNG bytes: the same data gives the same bytes (of one matplotlib).

SVG text is drawn as outlines, so that a figure needs no font and holds no text that anybody else wrote.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.analysis.glyphs import Glyphs
from engine.analysis.intent_flow import LAST_TURN
from engine.analysis.ratings import METRIC_NAMES
from engine.analysis.report_sections import named
from engine.analysis.report_tally import ReportTally, RunFacts
from engine.analysis.table1 import LAST_POSITION
from engine.schema.conversation import Role

_COLOURS = ("#3b6fb6", "#e08e2b", "#4f9d69", "#b65454", "#8064a2", "#7f7f7f", "#5bb5c9", "#c97ba5")
_BINS = 60


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure: its file name without ending, what it shows in words, and its bytes."""

    name: str
    alt: str
    svg: bytes
    png: bytes


def draw_all(tally: ReportTally, facts: RunFacts | None, glyphs: Glyphs) -> dict[str, Drawn]:
    """Every figure that there are data for, by name; word clouds are drawn by `word_clouds`."""
    draws = {
        "rounds": _rounds, "tokens": _tokens, "figure6": _figure6, "intents-by-turn": _intents,
        "end-reasons": _end_reasons,
    }  # fmt: skip
    found = {}
    with _style(glyphs):
        for name, draw in draws.items():
            if (drawn := draw(name, tally, glyphs)) is not None:
                found[name] = drawn
        if facts is not None and len(facts.ended) > 1:
            found["throughput"] = _throughput("throughput", facts)
    return found


@contextmanager
def _style(glyphs: Glyphs) -> Iterator[None]:
    import matplotlib as mpl

    settings = {
        "svg.hashsalt": "engine", "svg.fonttype": "path", "font.size": 9, "font.family": glyphs.families,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield


def _rounds(name: str, tally: ReportTally, glyphs: Glyphs) -> Drawn | None:
    kept = tally.statistics.kept
    values = sorted(kept.rounds().counts)
    if not values:
        return None
    series = {named(task): kept.by_task[task].rounds.counts for task in sorted(kept.by_task)}
    bars = {label: [counts[value] for value in values] for label, counts in series.items()}
    return _stacked(
        name,
        "Conversations by number of rounds",
        [str(v) for v in values],
        bars,
        "rounds",
        "conversations",
        glyphs,
    )


def _tokens(name: str, tally: ReportTally, glyphs: Glyphs) -> Drawn | None:
    by_side = tally.statistics.kept.tokens_by_position()
    if not any(by_side.values()):
        return None
    figure, axes = _figure()
    for role, colour in zip(Role, _COLOURS, strict=False):
        if not (found := by_side.get(role, {})):
            continue  # one side never spoke
        positions = list(found)
        axes.plot(positions, [found[p].mean for p in positions], marker="o", color=colour, label=role.value)
        quartiles = [(found[p].quantile(0.25), found[p].quantile(0.75)) for p in positions]
        axes.fill_between(positions, *zip(*quartiles, strict=True), color=colour, alpha=0.15, linewidth=0)
    ticks = sorted({p for found in by_side.values() for p in found})
    axes.set_xticks(ticks, [f"{p}+" if p == LAST_POSITION else str(p) for p in ticks])
    axes.set(xlabel="position among its side's turns", ylabel="tokens of an utterance", ylim=(0, None))
    axes.legend(frameon=False)
    return _save(name, "Mean tokens of an utterance by position, with the middle half", figure)


def _figure6(name: str, tally: ReportTally, glyphs: Glyphs) -> Drawn | None:
    counts = tally.statistics.ratings.figure6()
    if not counts:
        return None
    metrics = [m for m in METRIC_NAMES if m in counts] + sorted(counts.keys() - set(METRIC_NAMES))
    scores = sorted({score for found in counts.values() for score in found})
    bars = {str(score): [counts[m].get(score, 0) for m in metrics] for score in scores}
    labels = [glyphs.drawable(metric).replace(" ", "\n", 1) for metric in metrics]
    return _stacked(
        name,
        "Figure 6: conversations with each score",
        labels,
        bars,
        "",
        "conversations",
        glyphs,
        legend="score",
    )


def _intents(name: str, tally: ReportTally, glyphs: Glyphs) -> Drawn | None:
    by_turn = tally.flow.by_turn
    if not by_turn:
        return None
    turns = sorted(by_turn)
    labels = list(tally.statistics.intents.ordered(tally.statistics.intents.totals))
    bars = {
        glyphs.drawable(label): [by_turn[t][label] / by_turn[t].total() for t in turns] for label in labels
    }
    ticks = [f"{t}+" if t == LAST_TURN else str(t) for t in turns]
    return _stacked(name, "Share of each intent by user turn", ticks, bars, "user turn", "share", glyphs)


def _end_reasons(name: str, tally: ReportTally, glyphs: Glyphs) -> Drawn | None:
    reasons = tally.end_reasons
    if set(reasons) <= {"not recorded"}:
        return None
    ordered = sorted(reasons, key=lambda reason: (-reasons[reason].total(), reason))
    tasks = sorted({task for counts in reasons.values() for task in counts})
    bars = {named(task): [reasons[reason][task] for reason in ordered] for task in tasks}
    labels = [glyphs.drawable(reason) for reason in ordered]
    return _stacked(name, "Conversations by end reason", labels, bars, "", "conversations", glyphs)


def _throughput(name: str, facts: RunFacts) -> Drawn:
    figure, axes = _figure()
    span = max(facts.ended) or 1.0
    width = span / _BINS
    counts = [0] * _BINS
    for at in facts.ended:
        counts[min(int(at / width), _BINS - 1)] += 1
    axes.bar(
        [(i + 0.5) * width / 60 for i in range(_BINS)], [count / width * 60 for count in counts],
        width=width / 60, color=_COLOURS[0],
    )  # fmt: skip
    axes.set(xlabel="minutes since the first conversation ended", ylabel="conversations a minute")
    return _save(name, "Conversations ended a minute, over the run", figure)


def _stacked(
    name: str,
    alt: str,
    ticks: Sequence[str],
    bars: Mapping[str, Sequence[float]],
    x: str,
    y: str,
    glyphs: Glyphs,
    *,
    legend: str | None = None,
) -> Drawn:
    figure, axes = _figure()
    bottom = [0.0] * len(ticks)
    for i, (label, heights) in enumerate(bars.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        # A label that begins with a low line would be left out of the legend.
        shown = re.sub("^_", "\u02cd", glyphs.drawable(label)[:40])
        axes.bar(range(len(ticks)), heights, bottom=bottom, color=colour, label=shown)
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(xlabel=x, ylabel=y)
    axes.grid(axis="y", alpha=0.3)
    if len(bars) > 1:
        figure.legend(
            frameon=False, loc="outside lower center", ncols=min(3, len(bars)), title=legend, fontsize=8
        )
    return _save(name, alt, figure)


def _figure() -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(name: str, alt: str, figure: Any) -> Drawn:
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=130, metadata={"Software": None})
    return Drawn(name, alt, svg.getvalue(), png.getvalue())


def word_clouds(tally: ReportTally, glyphs: Glyphs, *, most: int = 80) -> tuple[dict[str, Drawn], int]:
    """Figure 5: (task to its cloud, number of phrases left out because the font lacks characters)."""
    from wordcloud import WordCloud

    found, left_out = {}, 0
    for number, task in enumerate(sorted(tally.preferences.by_task), 1):
        phrases = dict(tally.preferences.most_common(task, most))
        drawable = {phrase: count for phrase, count in phrases.items() if glyphs.has_all(phrase)}
        left_out += len(phrases) - len(drawable)
        if not drawable:
            continue
        cloud = WordCloud(
            width=800, height=480, background_color="white", colormap="viridis", random_state=42,
            font_path=str(glyphs.path), prefer_horizontal=1.0, max_font_size=90, relative_scaling=0.5,
            collocations=False,
        ).generate_from_frequencies(drawable)  # fmt: skip
        png = io.BytesIO()
        cloud.to_image().quantize(64).save(png, format="png", optimize=True)
        alt = f"Word cloud of preferences, {named(task)}: " + ", ".join(list(drawable)[:8])
        found[task] = Drawn(f"figure5-{number}", alt, _outlined(cloud, glyphs), png.getvalue())
    return found, left_out


def _outlined(cloud: Any, glyphs: Glyphs) -> bytes:
    """The cloud as SVG of outlines. WordCloud's own holds the words as text, and a font with a date in it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    figure = Figure(figsize=(cloud.width / 100, cloud.height / 100))
    for (phrase, _), size, (top, left), _, colour in cloud.layout_:
        red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
        figure.text(
            left / cloud.width, 1 - (top + glyphs.ascent * size) / cloud.height, phrase, va="baseline",
            color=(red, green, blue), parse_math=False,
            # Pixels at 100 an inch as points at 72.
            fontproperties=FontProperties(fname=str(glyphs.path), size=size * 0.72),
        )  # fmt: skip
    svg = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "engine", "svg.fonttype": "path"}):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg.getvalue()


def write_figures(figures: Sequence[Drawn], folder: Path) -> dict[Path, bytes]:
    """What belongs into each file of `folder`: every figure as SVG and PNG."""
    return {
        folder / f"{drawn.name}.{ending}": content
        for drawn in figures
        for ending, content in (("svg", drawn.svg), ("png", drawn.png))
    }
