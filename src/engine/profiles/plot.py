"""One picture of a pool: genders and ages, evenness of each aspect, and what goes with what (matplotlib)."""

from __future__ import annotations

import io

from engine.profiles.check import PoolCheck

_STRONGEST = 12


def draw_pool(check: PoolCheck, name: str, kind: str) -> bytes:
    """The picture as `png` or `svg` bytes. The same pool gives the same bytes (of one matplotlib)."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    coverage = {row.aspect: row for row in check.tally.coverage()}
    with mpl.rc_context({"svg.hashsalt": "engine", "font.size": 8}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        figure.suptitle(f"{name}: {check.profiles} profiles")
        (genders, ages), (evenness, strongest) = figure.subplots(2, 2)
        for axes, aspect in ((genders, "gender"), (ages, "age")):
            counts = coverage[aspect].categories if aspect in coverage else {}
            axes.bar(list(counts), list(counts.values()), color="#3b6fb6")
            axes.set_title(aspect)
            axes.set_ylabel("profiles")
        rows = [row for row in coverage.values() if row.evenness is not None][::-1]
        evenness.barh([row.aspect for row in rows], [row.evenness or 0 for row in rows], color="#4f9d69")
        evenness.set_xlim(0, 1)
        evenness.set_title("evenness of categories (1: all alike)")
        found = check.tally.associations()[:_STRONGEST][::-1]
        strongest.barh(
            [f"{each.demographic} x {each.category}" for each in found], [each.v for each in found],
            color="#e08e2b",
        )  # fmt: skip
        strongest.set_xlim(0, 1)
        strongest.set_title("strongest associations (Cramér's V)")
        file = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=120, metadata=metadata)
    return file.getvalue()
