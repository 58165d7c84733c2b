"""LICENSE and NOTICE of an export: what the data may be used under, and whom its parts have to name.

The licence is what was said with `--licence`; else that of the imported data, where all of it has the same;
else none is claimed. Apache-2.0 has to come with its text, which the engine carries; others are named.
"""

from __future__ import annotations

from pathlib import Path

from engine.dataset.export_facts import ExportCounts
from engine.version import __version__

UNKNOWN = "unknown"
_PACKAGE = Path(__file__).resolve().parents[1]
_APACHE = "Apache-2.0"
_TEXTS = {
    _APACHE: "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/legalcode",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/legalcode",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/legalcode",
}


def licence_of(counts: ExportCounts, said: str | None) -> str:
    """The licence's name, or `unknown` where parts have different ones, or none is known."""
    if said:
        return said
    licences = {licence for _, licence, _ in counts.origins}
    return licences.pop() or UNKNOWN if len(licences) == 1 else UNKNOWN


def licence_url(licence: str) -> str:
    """Where a licence's text is, or its name where that is not known."""
    return _TEXTS.get(licence, licence)


def licence_text(licence: str, counts: ExportCounts) -> str:
    """What LICENSE holds."""
    apache = _apache_text() if _APACHE in {licence, *(each for _, each, _ in counts.origins)} else None
    if licence == UNKNOWN:
        head = (
            "No licence was chosen for this dataset as a whole: that is for whoever publishes it to do. "
            "Parts that were imported keep their own licences; NOTICE lists them.\n"
        )
    else:
        head = f"This dataset is licensed under {licence} ({licence_url(licence)}).\n"
    return head if apache is None else f"{head}\n{'-' * 78}\n{apache}"


def notice_text(name: str, counts: ExportCounts, *, changes: list[str]) -> str:
    """What NOTICE holds: the makers of each part, its licence, and what was changed."""
    lines = [f"{name}: {counts.conversations} conversations, written by recsim-engine {__version__}.", ""]
    for (form, licence, attribution), count in counts.origins.most_common():
        if form == "engine" and not (licence or attribution):
            models = ", ".join({*counts.named("simulator_model"), *counts.named("assistant_model")})
            lines.append(
                f"- {count} conversations held by recsim-engine; texts by the models {models or '?'}."
            )
        else:
            lines.append(
                f"- {count} conversations imported ({form}): {attribution or 'no attribution was given'}; "
                f"licence: {licence or 'not known'}."
            )
    if changes:
        lines += ["", "Changes made to the records:", *(f"- {change}" for change in changes)]
    return "\n".join(lines) + "\n"


def _apache_text() -> str | None:
    """The text of Apache-2.0, from the package or the checkout."""
    for path in (_PACKAGE / "_packed" / "LICENSE", _PACKAGE.parents[1] / "LICENSE"):
        if path.is_file():
            return path.read_text("utf-8")
    return None
