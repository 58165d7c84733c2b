"""A comparison as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.analysis.compare import Comparison, Row, Side
from engine.analysis.draws import Mean
from engine.analysis.manners import MANNERS_VERSION
from engine.analysis.measures import FACTS, LENGTHS, MANNERS, MEANINGS
from engine.analysis.sections import Section, number, section, within

_OF_TASKS = (*LENGTHS[:3], *MANNERS[2:4], FACTS)
_SHARE = "In brackets the 95 % interval, by drawing users; a difference is the second's less the first's."


def compare_sections(found: Comparison) -> list[Section]:
    """All tables, in reading order."""
    return [each for each in _sections(found) if each.rows]


def _sections(found: Comparison) -> Iterator[Section]:
    first, second = found.first.name, found.second.name
    yield section(
        "What is compared",
        ("", first, second),
        zip(_FACTS, _facts(found.first), _facts(found.second), strict=True),
        _language_note(found),
    )
    yield section(
        "Measures",
        ("", first, second, "difference", "Cliff's delta"),
        map(_row, found.rows),
        f"{_SHARE} Cliff's delta: -1 the first's are all larger, 0 no difference, 1 the second's "
        "are. Manners are "
        f"told by phrases (rules version {MANNERS_VERSION}). "
        + " ".join(f"*{name}*: {text}." for name, text in MEANINGS.items()),
    )
    yield section(
        "By task",
        ("", first, second, "difference", "Cliff's delta"),
        (
            (f"{task}: {row.measure}", *_row(row)[1:])
            for task, rows in found.by_task.items()
            for row in rows
            if row.measure in _OF_TASKS or row.measure.startswith("rating")
        ),
    )
    yield section(
        "Diversity at equal length",
        ("", "units", first, second, "difference"),
        (
            (
                f"{part}: {row.measure}",
                str(row.units),
                number(row.first.mean),
                number(row.second.mean),
                within(row.difference.mean, row.difference.low, row.difference.high),
            )
            for part, rows in found.diversity.items()
            for row in rows
        ),
        "Of as many units (words; characters of Chinese) of each; brackets: least and most of "
        "several draws. More "
        "distinct n-grams are more varied; more compression, self-repetition and self-BLEU are less varied.",
    )
    yield section(
        "Spread of embeddings",
        ("", "utterances of each", first, second),
        (
            (role, str(spread.texts), number(spread.first), number(spread.second))
            for role, spread in found.embedding.items()
        ),
        "Mean cosine distance of all pairs of utterances; more is more varied.",
    )
    yield _profile_facts(found)
    if found.intents is not None:
        yield section(
            "Intents",
            ("share of labelled user turns", first, second, "difference"),
            (
                (row.label, number(row.first), number(row.second), within(row.difference, row.low, row.high))
                for row in found.intents.rows
            ),
            f"{found.intents.turns[0]} and {found.intents.turns[1]} labelled turns; Jensen-Shannon distance "
            f"{found.intents.distance:.3f} (0 same, 1 nothing shared)."
            + (
                " The label sets differ, so both are read in three: Search & Recommendation is "
                "recommendation; "
                "Search, 评估 (evaluation) and others are other; a turn with several counts for each "
                "in parts."
                if found.intents.is_coarse
                else ""
            ),
        )
    yield section(
        "Distances",
        ("", "Wasserstein", "Kolmogorov-Smirnov", f"halves of {first}", f"halves of {second}"),
        (
            (
                each.what,
                number(each.wasserstein, 2),
                number(each.kolmogorov_smirnov),
                *(number(floor, 2) for floor in each.floors),
            )
            for each in found.distances
        ),
        "Between the values of conversations. The last two columns are Wasserstein distances of two "
        "halves of one "
        "dataset's users: what chance alone makes.",
    )
    yield _likeness(found)


_FACTS = ("users, assistants", "conversations", "users", "language", "tasks")


def _facts(side: Side) -> tuple[str, ...]:
    counts = ", ".join(f"{name} {count}" for name, count in side.construction.items())
    return (
        counts,
        str(side.conversations) if side.conversations == side.of else f"{side.conversations} of {side.of}",
        str(side.users),
        (side.language or "not recorded") + (" (a translation)" if side.is_translated else ""),
        ", ".join(f"{task or '(no task)'} {count}" for task, count in side.tasks.items()),
    )


def _language_note(found: Comparison) -> str:
    sides = found.first, found.second
    for side in sides:
        if side.is_translated:
            return (
                f"The texts of {side.name} are read in their translation ({side.language}), the "
                "language of the "
                "other. What a translation does to length and wording counts as a difference here. "
                "Profile facts "
                "are read as they came."
            )
    languages = {side.language for side in sides} - {""}
    if len(languages) > 1:
        return (
            "The languages differ and neither dataset is translated: lengths, diversity, manners and "
            "likeness "
            "do not compare."
        )
    return ""


def _row(row: Row) -> tuple[str, ...]:
    return (
        row.measure, _mean(row.first), _mean(row.second), within(row.difference, row.low, row.high),
        number(row.cliffs_delta),
    )  # fmt: skip


def _mean(mean: Mean | None) -> str:
    return "-" if mean is None else within(mean.value, mean.low, mean.high)


def _profile_facts(found: Comparison) -> Section:
    rows: list[tuple[str, ...]] = []
    for side, facts in zip((found.first, found.second), found.facts, strict=True):
        if facts is not None:
            rows.append((side.name, *(number(share) for share in facts.shares)))
            rows.append((f"{side.name}: another's profile", *(number(share) for share in facts.by_chance)))
    turns = _numbers(facts.shares for facts in found.facts if facts is not None)
    return section(
        "Profile facts revealed by user turn",
        ("share of facts", *turns),
        rows,
        "A fact counts when half of its content words have come up. The rows of another's profile "
        "say how often "
        "that happens by chance. A profile of mapped labels, as people's are, is worded by whoever "
        "mapped it, so "
        "its facts come up more rarely.",
    )


def _numbers(shares: Iterable[tuple[float, ...]]) -> list[str]:
    return [str(turn) for turn in range(1, max(map(len, shares), default=0) + 1)]


def _likeness(found: Comparison) -> Section:
    people = [side.name for side in (found.first, found.second) if side.has_people]
    rows = [
        (
            each.reads,
            within(each.auc, each.low, each.high),
            f"{each.conversations[0]} + {each.conversations[1]}",
            f"{each.users[0]} + {each.users[1]}",
            ", ".join(map(repr, each.signs_of_first)),
            ", ".join(map(repr, each.signs_of_second)),
        )
        for each in found.likeness
    ]
    floor = found.likeness_floor
    if floor is not None:
        auc = within(floor.auc, floor.least, floor.most)
        rows.append((f"two halves of {floor.name}", auc, "", "", "", ""))
    return section(
        "Human-likeness" if len(people) == 1 else "Telling users apart",
        ("by", "AUC", "conversations", "users", "signs of the first", "signs of the second"),
        rows,
        "Area under the ROC curve of a logistic regression on user turns of users that it was not "
        "trained on (five "
        "folds by person or profile). 0.5: it cannot tell them apart"
        + (f", the best that a simulator of {people[0]} can do" if len(people) == 1 else "")
        + ". Wording is runs of one to three characters. "
        "The last row is two halves of the same users by wording, "
        "mean, least and most of several ways to halve them: near 0.5, below it by chance where "
        "users are few.",
    )
