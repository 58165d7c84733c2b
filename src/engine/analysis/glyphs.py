"""Which characters figures can draw: those of matplotlib's own font, or of one that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput

_MISSING = "\u25a1"
# Labels of the reference's human part, for fonts without Chinese.
_IN_ENGLISH: Mapping[str, str] = {
    "推荐": "recommendation", "规划": "planning", "评估": "evaluation", "其它": "others",
}  # fmt: skip


class Glyphs:
    """The font at `path`; raises BadInput where it is no font."""

    def __init__(self, path: Path | None = None) -> None:
        from matplotlib import font_manager, get_data_path
        from matplotlib.ft2font import FT2Font

        default = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        self.path = path or default
        try:
            self._font: Any = FT2Font(str(self.path))
            if path is not None:
                font_manager.fontManager.addfont(str(path))
        except (OSError, RuntimeError) as error:
            raise BadInput(
                f"{self.path}: cannot be read as a font ({error}). --font takes a TrueType or OpenType file."
            ) from error
        # Of the height of the line that lies above the baseline, in units of the font's size.
        self.ascent = self._font.ascender / self._font.units_per_EM
        self.families = [*dict.fromkeys((self._font.family_name, "DejaVu Sans"))]

    def __repr__(self) -> str:
        return f"Glyphs({self.path.name})"

    def has_all(self, text: str) -> bool:
        """Whether every character can be drawn."""
        return all(self._font.get_char_index(ord(character)) for character in text)

    def drawable(self, text: str) -> str:
        """The text as it can be drawn: known labels in English, other missing characters as boxes.

        A dollar sign would begin a formula.
        """
        if not self.has_all(text):
            text = _IN_ENGLISH.get(text, text)
        drawn = "".join(c if self._font.get_char_index(ord(c)) else _MISSING for c in text)
        return drawn.replace("$", r"\$")
