"""The page holds hostile text as text, loads nothing, and shows all that there is."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from tests.unit.analysis.made_up import conversation, words

from engine.analysis.definitions import Definitions
from engine.analysis.figures import Drawn, draw_all, word_clouds, write_figures
from engine.analysis.glyphs import Glyphs
from engine.analysis.report import blocks_of, figures_of
from engine.analysis.report_page import Block, Picture, clean, page
from engine.analysis.report_tally import ReportTally, RunFacts
from engine.analysis.sections import markdown, section
from engine.errors import BadInput
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.dataset import Conversation

HOSTILE = (
    "</p></details><script>alert(1)</script><img src=x onerror=alert(2)> "
    "\x00\x1b[31m \u202egnp.exe \ud800 {{ 7*7 }}"
)
# Elements of the page; anything else would be an element that a text brought in.
KNOWN = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "p", "nav", "ul", "li", "main", "a",
    "section", "h2", "h3", "h4", "figure", "img", "figcaption", "div", "table", "thead", "tr", "th", "tbody",
    "td", "bdi", "details", "summary", "dl", "dt", "dd", "article", "footer",
}  # fmt: skip
VOID = {"meta", "img"}
FACTS = RunFacts(10, 1, 1_000, 500, 0, 1, 30.0, (0.0, 1.0, 5.0, 30.0))


class Page(HTMLParser):
    """What a page holds; raises AssertionError for elements that do not nest."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content.decode("utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_conversation() -> Conversation:
    found = conversation(
        HOSTILE, HOSTILE, task=HOSTILE, conversation_id=HOSTILE, intents=[HOSTILE], verdicts=[True],
        rating={HOSTILE: 1, "Diversity": 2},
    )  # fmt: skip
    return found.with_annotations((Annotation(Kind.PREFERENCE_SUMMARY, Target(HOSTILE), [HOSTILE, "$x^2$"]),))


def tallied(*conversations: Conversation, gallery: int = 2) -> ReportTally:
    tally = ReportTally(words, Definitions(), gallery)
    for each in conversations:
        tally.add(each)
    return tally


def whole(tally: ReportTally, facts: RunFacts | None = None) -> bytes:
    drawn, clouds, _ = figures_of(tally, facts, Glyphs())
    blocks = blocks_of(tally, facts, drawn, clouds, [(HOSTILE, tally.statistics)])
    return page(HOSTILE, [HOSTILE], blocks, tally.gallery, HOSTILE)


@pytest.fixture(scope="module")
def hostile() -> bytes:
    return whole(tallied(hostile_conversation()), FACTS)


def test_hostile_text_stays_text(hostile: bytes) -> None:
    found = Page(hostile)
    assert set(found.tags) <= KNOWN
    assert found.text.count("<script>alert(1)</script>") > 8
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in found.text


def test_no_character_that_a_page_must_not_hold(hostile: bytes) -> None:
    text = hostile.decode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert clean("a\r\nb\tc\x85") == "a\nb\tc\ufffd"


def test_nothing_is_loaded_from_anywhere(hostile: bytes) -> None:
    found = Page(hostile)
    for tag, name, value in found.attributes:
        if name in ("src", "href", "action", "data", "srcset"):
            assert value.startswith(("data:image/", "#")), (tag, name, value[:40])
    assert b"url(" not in hostile
    assert b"@import" not in hostile


def test_the_policy_names_the_digest_of_the_one_style(hostile: bytes) -> None:
    found = Page(hostile)
    policy = next(v for _, name, v in found.attributes if name == "content" and "default-src" in v)
    style = re.findall(r"<style>(.*?)</style>", hostile.decode("utf-8"), re.S)
    assert len(style) == 1
    assert "default-src 'none'" in policy
    assert f"'sha256-{b64encode(sha256(style[0].encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy
    assert not [value for _, name, value in found.attributes if name == "style"]


def test_a_phone_a_printer_and_the_dark_are_thought_of(hostile: bytes) -> None:
    text = hostile.decode("utf-8")
    assert 'name="viewport"' in text
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text


def test_every_picture_says_what_it_shows(hostile: bytes) -> None:
    found = Page(hostile)
    assert found.tags.count("img") == len(
        [v for tag, name, v in found.attributes if (tag, name) == ("img", "alt") and v]
    )
    assert found.tags.count("img") >= 5


def test_contents_lead_to_parts(hostile: bytes) -> None:
    found = Page(hostile)
    ids = {value for _, name, value in found.attributes if name == "id"}
    links = [value.removeprefix("#") for tag, name, value in found.attributes if (tag, name) == ("a", "href")]
    assert set(links) == ids


def test_the_same_data_give_the_same_page(hostile: bytes) -> None:
    assert whole(tallied(hostile_conversation()), FACTS) == hostile


def test_without_annotations_there_are_no_empty_parts() -> None:
    found = Page(whole(tallied(conversation("u", "a"))))
    assert "Table 2" not in found.text
    assert "Figure 5" not in found.text
    assert "Cost" not in found.text


def test_tables_hold_the_numbers() -> None:
    tally = tallied(conversation("one two", "three", rating={"Diversity": 2}, intents=["Search"]))
    text = Page(whole(tally, FACTS)).text
    for expected in (
        "Table 1",
        "Table 2: mean ratings",
        "Table 3: intents",
        "2.000",
        "Cost and throughput",
        "1,000",
    ):
        assert expected in text


def test_dropped_conversations_are_counted_and_not_shown() -> None:
    tally = tallied(conversation("u", "secret", dropped_because=("role_flip",), conversation_id="dropped"))
    found = Page(whole(tally)).text
    assert "role_flip" in found
    assert "secret" not in found


def test_the_gallery_is_bounded_and_does_not_depend_on_order() -> None:
    many = [conversation("u", "a", conversation_id=f"c{i}", task=f"t{i % 2}") for i in range(40)]
    first, second = tallied(*many), tallied(*reversed(many))
    assert [c.conversation_id for c in first.gallery] == [c.conversation_id for c in second.gallery]
    assert len(first.gallery) == 4
    assert tallied(*many, gallery=0).gallery == []


def test_long_utterances_are_cut_and_say_so() -> None:
    tally = tallied(conversation("x" * 9_000, "a"))
    assert "(1000 characters more)" in Page(whole(tally)).text


def test_figures_are_the_same_bytes_each_time_and_hold_no_text() -> None:
    tally = tallied(hostile_conversation())
    glyphs = Glyphs()
    one, other = draw_all(tally, FACTS, glyphs), draw_all(tally, FACTS, glyphs)
    assert one == other
    assert {"rounds", "tokens", "figure6", "intents-by-turn", "throughput"} <= set(one)
    clouds, left_out = word_clouds(tally, glyphs)
    assert clouds == word_clouds(tally, glyphs)[0]
    assert left_out == 1
    for drawn in (*one.values(), *clouds.values()):
        assert drawn.png.startswith(b"\x89PNG")
        assert b"<text" not in drawn.svg
        assert b"<script" not in drawn.svg
    names = {path.name for path in write_figures([*one.values()], glyphs.path.parent)}
    assert {"figure6.svg", "figure6.png"} <= names


@pytest.mark.parametrize("contents", [("only the user",), ("", "")])
def test_a_side_that_never_spoke_is_no_obstacle(contents: tuple[str, ...]) -> None:
    assert "tokens" in draw_all(tallied(conversation(*contents)), FACTS, Glyphs())


def test_names_that_mean_something_to_the_drawing_library_are_names() -> None:
    tally = tallied(*(conversation("u", "a", task=task) for task in ("_one", "_two", "^{_$\\frac{")))
    assert "rounds" in draw_all(tally, FACTS, Glyphs())


def test_labels_that_the_font_lacks_are_known_in_english_or_boxes() -> None:
    glyphs = Glyphs()
    assert glyphs.drawable("推荐") == "recommendation"
    assert glyphs.drawable("推a$") == "\u25a1a\\$"
    with pytest.raises(BadInput, match="cannot be read as a font"):
        Glyphs(glyphs.path.parent / "none.ttf")


def test_a_picture_is_an_image_and_never_part_of_the_page() -> None:
    picture = Picture("svg+xml", b"<svg><script/></svg>", "a <b>")
    content = page("t", [], [Block("b", (), (picture,))], [], "")
    assert b"<script" not in content
    assert b'alt="a &lt;b&gt;"' in content
    assert isinstance(Drawn("n", "a", b"", b""), Drawn)


def test_cells_of_markdown_cannot_break_out() -> None:
    text = markdown("t", [section("s", ("", "a|b"), [("x\ny", "<b>`|")])])
    assert "| x y | &lt;b>\\`\\| |" in text
    assert "a\\|b" in text
