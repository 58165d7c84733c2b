"""Names found in made-up turns whose items were written down by hand, and the laws of matching."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.scenarios.item_file import read_items
from engine.scenarios.item_names import ItemMatcher
from engine.schema.item import Item

EXAMPLE = Path(__file__).resolve().parents[3] / "templates" / "_examples" / "restaurant_list"
ENGLISH = ItemMatcher(read_items(EXAMPLE / "items.en.csv"))
CHINESE = ItemMatcher(read_items(EXAMPLE / "items.zh.csv"))

# An assistant's turn, and what it recommends in the eyes of a person, in order.
SAMPLES: tuple[tuple[ItemMatcher, str, str], ...] = (
    (ENGLISH, "I would go to The Blue Door tonight.", "r01"),
    (ENGLISH, "The blue door canteen is cheaper than the Blue Door.", "r02 r01"),
    (ENGLISH, "1. **Marigold House**: mild curries\n2. **Olive**: plates to share", "r03 r05"),
    (ENGLISH, "Dress the salad with olive oil and lemon.", ""),
    (ENGLISH, "Olive does good hummus; ask for the table at the window.", "r05"),
    (ENGLISH, "Cafe Tres Petit has the best wine, and Tres Petit takes bookings.", "r04"),
    (ENGLISH, "CAFÉ TRÈS PETIT!", "r04"),
    (ENGLISH, "Try Harbour and Sons on the quay.", "r06"),
    (ENGLISH, "Walk along the harbour first, then to Harbour & Sons.", "r06"),
    (ENGLISH, "Pias is noisy, but Nonna Pia's pasta is worth it.", "r07"),
    (ENGLISH, "The stone oven at Stone Oven burns beech.", "r08"),
    (ENGLISH, "Avoid Smoke Yard on Fridays and go to Paper Crane instead.", "r18"),
    (ENGLISH, "I would not pick Salt Spoon for a quick bite. Green Lantern is better.", "r10"),
    (ENGLISH, "Not only Little Kyoto but also Seventh Floor needs a booking.", "r12 r09"),
    (ENGLISH, "7th Floor has the view; Customs Hall has the beer.", "r09 r11"),
    (ENGLISH, "Fold a paper crane while you wait at the old customs hall.", "r11"),
    (ENGLISH, "Mama Abena’s Place or, in short, Mama Abena: ask for pepper soup.", "r17"),
    (ENGLISH, "Nothing on the list suits you, I am afraid.", ""),
    (ENGLISH, "Paprika-Corner is open until midnight.", "r13"),
    (ENGLISH, "The Orchard Tables of the region are famous.", ""),
    (ENGLISH, "Blue Doors are common here.", ""),
    (ENGLISH, "There is an olive tree in the yard, and smoke.", ""),
    (ENGLISH, "A booking at Little Kyoto, the orchard table or Salt Spoon?", "r12 r14 r16"),
    (ENGLISH, "Harbour views are best from the bridge.", ""),
    (CHINESE, "推荐蓝门小馆，靠窗的位子最好。", "r01"),
    (CHINESE, "蓝门和小京都都要提前预订。", "r01 r12"),
    (CHINESE, "不建议去老海关大厅，太吵了。绿灯笼更安静。", "r10"),
    (CHINESE, "1. **巷口川菜**：麻辣\n2. **果园餐桌**：时令", "r13 r14"),
    (CHINESE, "这条街上没有合适的。", ""),
    (CHINESE, "桌上摆着金盏花的花瓶。", ""),
)


def test_precision_and_recall_on_made_up_turns() -> None:
    right = found = wanted = 0
    for matcher, text, expected in SAMPLES:
        names = [each.item_id for each in matcher.mentions(text) if not each.is_against]
        ids, truth = set(names), set(expected.split())
        right, found, wanted = right + len(ids & truth), found + len(ids), wanted + len(truth)
    # As docs/scenarios.md says. Wrong: a crane of paper, a harbour, a vase of marigolds; none is missed.
    assert (right, found, wanted) == (30, 33, 30)


def test_mentions_come_in_order_without_overlaps() -> None:
    text = "Blue Door Canteen, the Blue Door, Blue Door Canteen"
    assert [each.item_id for each in ENGLISH.mentions(text)] == ["r02", "r01", "r02"]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ((Item("a", "The Door"), Item("b", "door!")), "stands for item 'a' and 'b'"),
        ((Item("a", "Gate", ("x", "Y")), Item("b", "y")), "stands for item 'a' and 'b'"),
        ((Item("a", "!?"),), "no letter to be found by"),
    ],
)
def test_names_that_tell_nothing_apart_are_refused(items: tuple[Item, ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        ItemMatcher(items, "list")


def test_an_item_may_have_the_same_name_twice() -> None:
    assert len(list(ItemMatcher([Item("a", "The Door", ("Door", "DOOR"))]).mentions("Door"))) == 1


@given(st.lists(st.text("bcdé 'B&中文", min_size=1, max_size=12), max_size=6), st.text(max_size=200))
def test_whatever_is_said_names_are_found_or_nothing_happens(names: list[str], text: str) -> None:
    try:
        matcher = ItemMatcher([Item(str(at), name) for at, name in enumerate(names)])
    except BadInput:
        return
    assert {each.item_id for each in matcher.mentions(text)} <= {str(at) for at in range(len(names))}
    for at, name in enumerate(names):
        assert [each.item_id for each in matcher.mentions(name)] == [str(at)]
