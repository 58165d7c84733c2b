"""Table 4 as a picture: means, intervals and the paper's figures; needs matplotlib, which is optional."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from engine.dataset.build import replacing
from engine.experiments.table import Row

PLOT = "table4-{kind}.png"


def is_plotting_possible() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot_rows(rows: Sequence[Row], folder: Path) -> Path:
    """Draw the rows of one kind of split; the picture's path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.4 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    for i, title in enumerate(("accuracy", "macro-F1")):
        means = [(row.accuracy, row.macro_f1)[i] for row in rows]
        spans = [(row.accuracy_interval, row.macro_f1_interval)[i] for row in rows]
        below = [max(0.0, mean - span.low) for mean, span in zip(means, spans, strict=True)]
        above = [max(0.0, span.high - mean) for mean, span in zip(means, spans, strict=True)]
        axes[i].errorbar(means, places, xerr=[below, above], fmt="o", capsize=3, label="ours, 95 % interval")
        paper = [(row.paper[i], place) for row, place in zip(rows, places, strict=True) if row.paper]
        if paper:
            axes[i].scatter(*zip(*paper, strict=True), marker="x", color="black", zorder=3, label="paper")
        axes[i].set(xlabel=title, yticks=list(places), yticklabels=[row.label for row in rows])
        axes[i].grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    path = folder / PLOT.format(kind=rows[0].kind)
    with replacing(path) as file:
        file.write(content.getvalue())
    return path
