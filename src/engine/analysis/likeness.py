"""How well a classifier tells two datasets' users apart: the area under its ROC curve on users it never saw.

0.5 means that it cannot, 1 that it always can. Where one side's users are people, the value is the
simulator's likeness to people, 0.5 being best. No likeness is proved by it: a better classifier might tell
more; and whatever else differs (task mix, translation) helps this one, too. The floor shows the value for two
halves of the same users, which is 0.5 but for chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any
from unicodedata import normalize

from engine.analysis.draws import Sample, interval, ordered_by_digest, user_of
from engine.analysis.measures import LENGTHS, MANNERS, Measured, Reading
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

_FOLDS = 5
_DRAWS = 300
_SEED = 42
# Of each side: enough to train on, and the time stays in seconds.
MOST_CONVERSATIONS = 600
_CHARACTERS = 3_000
_SIGNS = 12
_HALVINGS = 5


@dataclass(frozen=True, slots=True)
class Likeness:
    """One classifier's AUC, its 95 % interval over users, and what speaks most for each side."""

    reads: str
    auc: float
    low: float | None
    high: float | None
    conversations: tuple[int, int]
    users: tuple[int, int]
    signs_of_first: tuple[str, ...]
    signs_of_second: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """The AUC for two halves of the same users: mean, least and most over `halvings`."""

    name: str
    auc: float
    least: float
    most: float
    halvings: int


def likeness(first: Sample, second: Sample, reading: Reading) -> Likeness | None:
    """By the wording of all user turns (runs of 1 to 3 characters); None where users are too few."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    kept = (first.conversations[:MOST_CONVERSATIONS], second.conversations[:MOST_CONVERSATIONS])
    texts = [
        _plain(" ".join(reading.texts(conversation, Role.USER)))[:_CHARACTERS]
        for conversations in kept
        for conversation in conversations
    ]
    # Which runs there are is learned from all texts, of whichever side: that tells nothing about sides.
    reader = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), max_features=20_000, sublinear_tf=True, min_df=2
    )
    try:
        rows = reader.fit_transform(texts)
    except ValueError:  # no run of characters in two texts
        return None
    return _told_apart("wording", rows, list(reader.get_feature_names_out()), kept, _wording_model)


def _plain(text: str) -> str:
    """Without what shows who typed a text rather than who said it: widths of characters, spaces, capitals."""
    return " ".join(normalize("NFKC", text).casefold().split())


def shape_likeness(
    first: Sample, second: Sample, measured: tuple[Sequence[Measured], Sequence[Measured]]
) -> Likeness | None:
    """By lengths and manners alone (`measures`), which no translation changes much."""
    import numpy as np

    kept = (first.conversations[:MOST_CONVERSATIONS], second.conversations[:MOST_CONVERSATIONS])
    # What the assistant says is no mark of its user.
    names = [name for name in (*LENGTHS, *MANNERS) if name != "tokens of an assistant turn"]
    rows = [
        [float("nan") if row[name] is None else row[name] for name in names]
        for rows, conversations in zip(measured, kept, strict=True)
        for row in rows[: len(conversations)]
    ]
    return _told_apart("lengths and manners", np.array(rows), names, kept, _shape_model)


def floor(sample: Sample, reading: Reading) -> Floor | None:
    """By wording between two halves of one dataset's users, halved in several ways."""
    users, found = sample.users, []
    for way in range(_HALVINGS):
        order = ordered_by_digest(f"{way} {user}" for user in users)
        half = set(order[: len(order) // 2])
        parts: tuple[list[Conversation], list[Conversation]] = ([], [])
        for user, conversation in zip(users, sample.conversations, strict=True):
            parts[f"{way} {user}" in half].append(conversation)
        one, other = (Sample(sample.name, tuple(part), len(part)) for part in parts)
        if told := likeness(one, other, reading):
            found.append(told.auc)
    return Floor(sample.name, fmean(found), min(found), max(found), len(found)) if found else None


def _told_apart(
    reads: str,
    rows: Any,
    names: Sequence[str],
    kept: tuple[Sequence[Conversation], Sequence[Conversation]],
    make: Callable[[], Any],
) -> Likeness | None:
    """`rows`: (conversations, features), those of the first side before those of the second."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.array([side for side, conversations in enumerate(kept) for _ in conversations])
    users = np.array(
        [f"{side} {user_of(c)}" for side, conversations in enumerate(kept) for c in conversations]
    )
    n_users = len(set(users[labels == 0])), len(set(users[labels == 1]))
    folds = min(_FOLDS, *n_users)
    if folds < 2:
        return None
    scores = np.zeros(len(labels))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
    # A profile that both sides have lies in one fold: what it says must not be learned from the other side.
    groups = np.array([user_of(c) for conversations in kept for c in conversations])
    for train, test in splitter.split(labels, labels, groups):
        if len(set(labels[train])) < 2 or not len(test):
            return None
        found = make().fit(rows[train], labels[train]).decision_function(rows[test])
        # Each fold has a scale of its own; what is compared across folds is how far above its middle.
        scores[test] = (found - found.mean()) / (found.std() or 1.0)
    drawn = _drawn_weights(users)
    return Likeness(
        reads,
        float(auc(labels, scores, np.ones((1, len(labels))))[0]),
        *interval(auc(labels, scores, drawn)),
        (len(kept[0]), len(kept[1])),
        n_users,
        *_signs(make().fit(rows, labels)[-1].coef_[0], names),
    )


def auc(labels: Any, scores: Any, weights: Any) -> Any:
    """(draws,) share of pairs in which side 1 has the higher score, ties half; `weights`: (draws, n)."""
    import numpy as np

    places, at = np.unique(scores, return_inverse=True)
    totals = []
    for side in (0, 1):
        is_side = labels == side
        table = np.zeros((len(weights), len(places)))
        np.add.at(table.T, at[is_side], weights[:, is_side].T)
        totals.append(table)
    first, second = totals
    won = ((first.cumsum(axis=1) - first / 2) * second).sum(axis=1)
    pairs = first.sum(axis=1) * second.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _drawn_weights(users: Any) -> Any:
    """(draws, n) how often each row's user was drawn, users of each side among themselves."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    names, rows = np.unique(users, return_inverse=True)
    sides = np.array([name[0] for name in names])
    times = np.zeros((_DRAWS, len(names)))
    for side in ("0", "1"):
        of_side = np.flatnonzero(sides == side)
        times[:, of_side] = random.multinomial(
            len(of_side), np.full(len(of_side), 1 / len(of_side)), size=_DRAWS
        )
    return times[:, rows]


def _wording_model() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        LogisticRegression(class_weight="balanced", C=10.0, solver="liblinear", random_state=_SEED)
    )


def _shape_model() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1_000),
    )


def _signs(weights: Any, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What speaks most for the first side and for the second."""
    import numpy as np

    order = np.argsort(weights, kind="stable")
    first = tuple(names[i] for i in order[:_SIGNS] if weights[i] < 0)
    return first, tuple(names[i] for i in order[::-1][:_SIGNS] if weights[i] > 0)
