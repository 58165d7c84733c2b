"""A conversation of any dataset: rounds, and annotations that are joined to it."""

from __future__ import annotations

from engine.schema.annotation import Annotation, Kind, Target, intents_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ConversationTurn, Origin

U, A = Role.USER, Role.ASSISTANT


def conversation(*roles: Role) -> Conversation:
    turns = tuple(ConversationTurn(role=role, content=role.value) for role in roles)
    return Conversation(conversation_id="c", turns=turns, origin=Origin(format="test"))


def test_a_round_is_a_user_turn_that_is_answered() -> None:
    assert conversation(U, A, U, A).rounds == 2
    assert conversation(A, U, A).rounds == 1
    assert conversation(U, U, A, A, U).rounds == 1
    assert conversation().rounds == 0


def test_annotations_go_where_they_belong() -> None:
    joined = conversation(U, A).with_annotations(
        (
            Annotation(Kind.INTENT, Target("c", 0), ["Search"], author="judge:m"),
            Annotation(Kind.RATING, Target("c"), {"Diversity": 1}),
            Annotation(Kind.INTENT, Target("c", 7), ["Others"]),
        )
    )
    assert intents_of(joined.turns[0].annotations, "judge:m") == ("Search",)
    assert joined.turns[1].annotations == ()
    # One about a turn that is not there is not lost.
    assert [each.kind for each in joined.annotations] == [Kind.RATING, Kind.INTENT]


def test_a_translation_does_not_replace_that_of_the_data() -> None:
    def translated(turn: int, text: str) -> Annotation:
        return Annotation(Kind.TRANSLATION, Target("c", turn), {"language": "zh", "text": text})

    once = conversation(U, A).with_annotations((translated(0, "一"),))
    assert once.turns[0].translations == {"zh": "一"}
    assert once.with_annotations((translated(0, "二"),)).turns[0].translations == {"zh": "一"}
    assert len(once.with_annotations((translated(0, "二"),)).turns[0].annotations) == 2


def test_nothing_to_join_is_the_same_conversation() -> None:
    before = conversation(U, A)
    assert before.with_annotations(()) is before
