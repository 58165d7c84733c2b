"""What a judge is shown fits, keeps what the rule keeps, and what is left out is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.talks import talk

from engine.annotation.context import Room, Shown, View, shorten, show_all, show_before, size_of

TEXTS = st.lists(st.text(alphabet='aß文\n"', max_size=300), min_size=1, max_size=12)
ROOMS = st.integers(600, 3000)


def left_out(view: View, count: int) -> int:
    return count - len(view.turns)


def bytes_of(turns: tuple[Shown, ...]) -> int:
    return sum(size_of(turn.text) + 48 for turn in turns)


@given(TEXTS, ROOMS)
def test_what_is_shown_of_a_whole_conversation_fits_and_the_rest_is_counted(
    texts: list[str], room: int
) -> None:
    view = show_all(talk(*texts), Room(room))
    assert bytes_of(view.turns) <= room or len(view.turns) <= 2
    assert view.turns[0].number == 0
    assert sum(turn.left_out for turn in view.turns) + len(view.turns) == view.turns[-1].number + 1
    shortened = sum(turn.text != texts[turn.number] for turn in view.turns)
    assert view.cut == left_out(view, len(texts)) + shortened


@given(TEXTS, ROOMS, st.integers(0, 5) | st.none())
def test_before_an_utterance_the_opening_and_the_nearest_turns_are_shown(
    texts: list[str], room: int, most: int | None
) -> None:
    conversation = talk(*texts)
    for turn in range(len(texts)):
        view = show_before(conversation, turn, Room(room), most=most)
        numbers = [shown.number for shown in view.turns]
        assert all(number < turn for number in numbers)
        if numbers:
            assert numbers[0] == 0
            assert numbers[1:] == list(range(turn - len(numbers) + 1, turn))


@given(st.text(), st.integers(24, 400))
def test_a_text_that_is_too_long_keeps_its_ends(text: str, room: int) -> None:
    cut = shorten(text, Room(room))
    assert cut == text if size_of(text) <= room else size_of(cut) <= room
    assert text.startswith(cut.partition("\n[...]\n")[0])


def test_without_a_limit_all_is_shown() -> None:
    texts = ["x" * 5000] * 9
    view = show_all(talk(*texts), Room())
    assert [turn.text for turn in view.turns] == texts
    assert view.cut == 0


def test_the_middle_goes_first() -> None:
    view = show_all(talk(*[letter * 100 for letter in "abcdefgh"]), Room(620))
    assert [turn.number for turn in view.turns] == [0, 1, 6, 7]
    assert [turn.left_out for turn in view.turns] == [0, 0, 4, 0]


def test_a_context_leaves_room_for_the_reply() -> None:
    assert Room.of(None, 100) == Room(None)
    assert Room.of(4096, 1024) == Room(3 * 3072)
    assert Room(2000).less("x" * 98) == Room(1900)
