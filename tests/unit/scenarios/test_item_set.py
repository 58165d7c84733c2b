from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.scenarios.catalog import Catalog
from engine.scenarios.item_file import (
    decode_items,
    decode_targets,
    encode_items,
    encode_targets,
    read_items,
    read_targets,
)
from engine.scenarios.item_set import ItemSet
from engine.scenarios.render import render_prompts
from engine.scenarios.task_file import ItemSettings
from engine.schema.item import Item
from engine.schema.profile import ASPECTS, Profile

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
SLUG = "restaurant_list"
PROFILE = Profile("p001", {aspect.key: f"value of {aspect.key}" for aspect in ASPECTS})


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = shutil.copytree(TEMPLATES, tmp_path / "templates")
    shutil.copytree(folder / "_examples" / SLUG, folder / SLUG)
    return folder


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def setup_of(catalog: Catalog, number: int = 0, *, assistant_prompt: bool = True) -> tuple[str, str]:
    prompts = render_prompts(
        catalog, catalog.scenario(SLUG, number), PROFILE, assistant_prompt=assistant_prompt
    )
    return "\n".join(prompts.simulator_setup), prompts.assistant_setup or ""


def settings(**said: object) -> ItemSettings:
    return ItemSettings.model_validate({"file": {"en": "x.csv"}, **said}, context={"language": "en"})


def item_set(n: int, shown: int, targets: dict[tuple[str | None, int | None], tuple[str, ...]]) -> ItemSet:
    items = tuple(Item(f"i{at}", f"Name number{at}", (), f"text {at}") for at in range(n))
    return ItemSet.of(settings(shown=shown), items, targets, "here")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_only_the_assistant_sees_the_list_and_only_the_simulator_its_target(
    templates: Path, language: str
) -> None:
    catalog = Catalog.load(templates, language, [SLUG])
    items = {item.item_id: item for item in catalog.tasks[SLUG].items.items}  # type: ignore[union-attr]
    simulator, assistant = setup_of(catalog)
    assert items["r01"].text in simulator
    assert items["r01"].name not in simulator
    assert f"- {items['r01'].name}" in assistant
    assert assistant.count("\n- ") == min(12, len(items))
    assert not [item for item in items.values() if item.name in simulator]
    without = setup_of(catalog, assistant_prompt=False)[1]
    assert assistant.endswith(without)
    assert f"- {items['r01'].name}" in without


@pytest.mark.parametrize(("told", "name", "text"), [("hidden", False, False), ("shown", True, True)])
def test_what_the_simulator_is_told_is_the_tasks_choice(
    templates: Path, told: str, name: bool, text: bool
) -> None:
    edit(templates / SLUG / "task.yaml", "simulator: described", f"simulator: {told}")
    simulator, _ = setup_of(Catalog.load(templates, "en", [SLUG]))
    assert ("The Blue Door" in simulator, "a cellar with eight tables" in simulator) == (name, text)


def test_the_list_is_a_source_and_a_run_reads_it_back(templates: Path) -> None:
    catalog = Catalog.load(templates, "en", [SLUG, "travel"])
    sources = catalog.sources()
    own = {name for name in sources if SLUG in name}
    assert own == {
        *(f"task/{SLUG}/{name}" for name in ("task", "description", "items", "targets")),
        *(f"prompt/{SLUG}/{name}" for name in ("items", "targets")),
    }
    again = Catalog.from_sources(sources, "en")
    assert dict(again.sources()) == dict(sources)
    assert [setup_of(again, number) for number in (0, 3, 5)] == [
        setup_of(catalog, number) for number in (0, 3, 5)
    ]
    edit(templates / SLUG / "items.en.csv", "fish of the day", "fish of the week")
    changed = Catalog.load(templates, "en", [SLUG, "travel"]).sources()
    assert [name for name in sources if sources[name] != changed[name]] == [f"task/{SLUG}/items"]


def test_tasks_without_items_know_nothing_of_them(templates: Path) -> None:
    before = dict(Catalog.load(templates, "en", ["travel"]).sources())
    (templates / "_prompts" / "en" / "items.jinja").write_text("changed")
    assert dict(Catalog.load(templates, "en", ["travel"]).sources()) == before
    assert not [name for name in before if "items" in name or "targets" in name]


def test_a_draw_holds_the_targets_in_the_order_of_the_file_and_differs_between_profiles() -> None:
    items = item_set(1000, 20, {("p1", None): ("i999", "i5")})
    drawn = items.shown_to("t", "p1", 3)
    assert len(drawn) == len({item.item_id for item in drawn}) == 20
    assert {"i5", "i999"} <= {item.item_id for item in drawn}
    assert list(drawn) == sorted(drawn, key=lambda item: int(item.item_id[1:]))
    assert drawn == items.shown_to("t", "p1", 3)
    assert drawn != items.shown_to("t", "p1", 4)
    assert drawn != items.shown_to("t", "p2", 3)
    assert len(item_set(21, 20, {}).shown_to("t", "p", 0)) == 20
    assert item_set(20, 20, {}).shown_to("t", "p", 0) == item_set(20, 20, {}).items


def test_every_item_is_drawn_about_equally_often() -> None:
    items = item_set(40, 10, {})
    times = dict.fromkeys((item.item_id for item in items.items), 0)
    for profile in range(400):
        for item in items.shown_to("t", f"p{profile}", 0):
            times[item.item_id] += 1
    assert sum(times.values()) == 4000
    assert 60 < min(times.values()) <= max(times.values()) < 140  # 100 expected, standard deviation 9


def test_the_most_particular_line_of_targets_wins() -> None:
    every: dict[tuple[str | None, int | None], tuple[str, ...]] = {
        (None, None): ("i0",), (None, 1): ("i1",), ("p", None): ("i2",), ("p", 1): ("i3",)
    }  # fmt: skip
    items = item_set(9, 5, every)
    jobs = [("q", 0), ("q", 1), ("p", 0), ("p", 1)]
    assert [items.targets_of(*job)[0].item_id for job in jobs] == ["i0", "i1", "i2", "i3"]


def test_a_target_that_the_simulator_names_first_is_a_leak() -> None:
    items = item_set(9, 5, {(None, None): ("i1", "i2")})
    first, second, other = "Name number1", "Name number2", "Name number3"
    turns = [
        ("user", f"I want {first}."), ("assistant", f"{second} or {other}, not {first}."),
        ("user", f"{second}, then. And {first}, {other}?"), ("assistant", f"{first}!"),
    ]  # fmt: skip
    found = items.found_in(turns, "p", 0)
    assert found["leaked"] == ["i1"]
    assert found["named"] == [
        {"turn": 0, "side": "user", "ids": ["i1"]},
        {"turn": 1, "side": "assistant", "ids": ["i2", "i3"]},
        {"turn": 2, "side": "user", "ids": ["i2", "i1", "i3"]},
        {"turn": 3, "side": "assistant", "ids": ["i1"]},
    ]
    assert items.found_in(turns[1:], "p", 0)["leaked"] == []


MISTAKES = {
    "no column": ("items.en.csv", "id,name,about\nr1,x,y\n", r"items\.en\.csv:1: there is no column 'about'"),
    "few fields": ("items.en.csv", "id,name,text\nr1,x\n", r"csv:2: has not as many fields"),
    "id twice": ("items.en.csv", "id,name\nr1,x\nr1,y\n", r"csv:3: the id 'r1' stands already in line 2"),
    "no name": ("items.en.csv", "id,name\nr1,\n", r"csv:2: name: "),
    "nothing": ("items.en.csv", "id,name\n", "holds no item"),
    "unknown target": ("targets.jsonl", '{"targets": ["nope"]}', "the target 'nope' is no item"),
    "not JSON": ("targets.jsonl", "{", r"targets\.jsonl:1: not JSON"),
    "pair twice": ("targets.jsonl", '{"targets": ["r01"]}\n{"targets": ["r03"]}', "2: this profile and"),
    "unknown key": ("targets.jsonl", '{"target": ["r01"]}', r"targets\.jsonl:1: targets: Field required"),
}


@pytest.mark.parametrize(("file", "text", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_name_file_and_line(templates: Path, file: str, text: str, words: str) -> None:
    (templates / SLUG / file).write_text(text)
    with pytest.raises(BadInput, match=words):
        Catalog.load(templates, "en", [SLUG])


def test_what_no_prompt_can_hold_is_refused() -> None:
    long = tuple(Item(f"i{at}", f"n{at}", (), "x" * 999) for at in range(200))
    with pytest.raises(BadInput, match=r"may have 2\d\d,\d{3} characters.*lower `items.shown`"):
        ItemSet.of(settings(shown=200), long, {}, "here")
    with pytest.raises(BadInput, match="2 targets, but only 1 items are shown"):
        item_set(5, 1, {(None, None): ("i1", "i2")})
    described = settings(simulator="described")
    with pytest.raises(BadInput, match="without a `text` cannot be described"):
        ItemSet.of(described, (Item("a", "A"),), {(None, None): ("a",)}, "here")


def test_files_read_and_kept_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"id": "a", "name": "A  b", "aliases": ["x"], "text": "one\\ntwo"}\n\n{"id": "b", "name": "B"}'
    )
    items = read_items(path)
    assert items == (Item("a", "A b", ("x",), "one two"), Item("b", "B"))
    assert decode_items(encode_items(items)) == items
    targets = read_targets(TEMPLATES / "_examples" / SLUG / "targets.jsonl")
    assert decode_targets(encode_targets(targets)) == targets


def test_an_assistant_with_a_text_of_its_own_is_shown_the_list_too(templates: Path) -> None:
    catalog = Catalog.load(templates, "en", [SLUG])
    prompts = render_prompts(
        catalog, catalog.scenario(SLUG, 0), PROFILE, assistant_prompt=True, assistant_text="Be rude."
    )
    assert prompts.assistant_setup is not None
    assert prompts.assistant_setup.startswith("Be rude.\n\nThese are the candidates")
