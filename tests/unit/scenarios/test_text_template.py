from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.text_template import TextTemplate, load_template


def _load(folder: Path, source: str | bytes, *known: str, language: str = "en") -> TextTemplate:
    path = folder / "text.jinja"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return load_template(path, language, known)


def test_values_are_data_and_come_through_verbatim(tmp_path: Path) -> None:
    template = _load(tmp_path, "<{{ profile }}>\n", "profile")
    for value in ("{{ 7*7 }}", "{% if %}", "{# #}", "a & <b> \"c\" 'd'", "x\r\ny", "\\n{{"):
        assert template.render(profile=value) == f"<{value}>"


def test_a_rendered_text_has_no_trailing_newline(tmp_path: Path) -> None:
    assert _load(tmp_path, "a\n\n\n").render() == "a"
    assert _load(tmp_path, "{{ profile }}\n", "profile").render(profile="a\n") == "a"


def test_newlines_and_byte_order_marks_do_not_matter(tmp_path: Path) -> None:
    assert _load(tmp_path, b"\xef\xbb\xbfa\r\nb\r\n").source == "a\nb"


def test_an_unknown_name_is_found_at_loading_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"text\.jinja:2: there is no variable 'profil' here.*profile"):
        _load(tmp_path, "a\n{{ profil }}", "profile")


def test_an_unknown_attribute_names_file_and_attribute(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"text\.jinja: .*holiday"):
        _load(tmp_path, "{{ season.holiday }}", "season").render(season="x")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% if %}", r"text\.jinja:2: "),
        ("{{ 'a' | no_such_filter }}", r"text\.jinja:1: .*no_such_filter"),
        ("{{ ['a'] | random }}", r"text\.jinja:1: .*random"),
        ("{{ lipsum() }}", r"there is no variable 'lipsum'"),
        (b"\xff", r"not UTF-8"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(tmp_path: Path, source: str | bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        _load(tmp_path, source)


@pytest.mark.parametrize(
    "source", ["{{ ''.__class__.mro() }}", "{{ 1 / 0 }}", "{% include 'x' %}", "{{ 'a' + 1 }}"]
)
def test_a_template_cannot_leave_the_sandbox_or_crash(tmp_path: Path, source: str) -> None:
    with pytest.raises(BadInput, match=r"text\.jinja: cannot be rendered"):
        _load(tmp_path, source).render()


@pytest.mark.parametrize(
    ("phrases", "en", "zh"),
    [
        ([], "", ""),
        (["a"], "a", "a"),
        (["a", "b"], "a and b", "a以及b"),
        (["a", "b", "c"], "a, b and c", "a、b以及c"),
    ],
)
def test_phrases_are_listed_as_each_language_does(
    tmp_path: Path, phrases: list[str], en: str, zh: str
) -> None:
    source = "{{ phrases | listed }}"
    assert _load(tmp_path, source, "phrases").render(phrases=phrases) == en
    assert _load(tmp_path, source, "phrases", language="zh").render(phrases=phrases) == zh


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        load_template(tmp_path, "en", ())
