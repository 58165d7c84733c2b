"""Pools load in every form, are written whole, and say what is wrong with them and where."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput, CannotWrite, DiskFull, UsageError
from engine.scenarios.profile_pool import (
    MAX_LINE_BYTES,
    MAX_VALUE_CHARS,
    dump_profiles,
    load_profiles,
    spread_table,
)
from engine.schema.profile import ASPECTS, Profile

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT.parent / "shared" / "reference" / "recllmsim-conversations.jsonl.gz"

VALUES = {aspect.key: f"words on {aspect.label_en}" for aspect in ASPECTS}
NINE_LINES = "\n".join(f"{i}. {a.label_en}: {VALUES[a.key]}" for i, a in enumerate(ASPECTS, 1))
NINE_LINES_ZH = "\n".join(f"{i}. {a.label_zh}：{VALUES[a.key]}" for i, a in enumerate(ASPECTS, 1))


def record(profile_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"id": profile_id, **VALUES, **changes}


def pool_of(folder: Path, *records: Any, name: str = "pool.jsonl") -> Path:
    path = folder / name
    text = "".join(json.dumps(each) + "\n" for each in records)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def written(folder: Path, content: bytes | str, name: str = "pool.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, line: int | None = None) -> str:
    """The message with which the pool is refused, without the place it has to start with."""
    with pytest.raises(BadInput) as caught:
        load_profiles(path)
    place = f"{path}:{line}: " if line else f"{path}: "
    assert str(caught.value).startswith(place)
    return str(caught.value).removeprefix(place)


# --- what loads ---------------------------------------------------------------------------------


def test_aspects_load_in_the_order_of_the_schema(tmp_path: Path) -> None:
    shuffled = dict(reversed(record("a", provenance={"source": "authored"}).items()))
    (profile,) = load_profiles(pool_of(tmp_path, shuffled))
    assert profile == Profile("a", VALUES, None, {"source": "authored"})
    assert list(profile.aspects) == [aspect.key for aspect in ASPECTS]


def test_file_order_is_kept(tmp_path: Path) -> None:
    path = pool_of(tmp_path, record("b"), record("c"), record("a"))
    assert [p.profile_id for p in load_profiles(path)] == ["b", "c", "a"]


def test_blank_lines_byte_order_mark_and_crlf_are_tolerated(tmp_path: Path) -> None:
    line = json.dumps(record("a"))
    assert load_profiles(written(tmp_path, f"\ufeff{line}\r\n\r\n")) == [Profile("a", VALUES)]


@pytest.mark.parametrize(
    "text", [NINE_LINES, NINE_LINES_ZH, NINE_LINES + "\n", " 1 . gender" + NINE_LINES[9:]]
)
def test_nine_lines_are_parsed_and_kept_byte_for_byte(tmp_path: Path, text: str) -> None:
    (profile,) = load_profiles(pool_of(tmp_path, {"id": "59", "text": text}))
    assert dict(profile.aspects) == VALUES
    assert profile.text == profile.render() == text


def test_text_and_equal_aspects_may_stand_together(tmp_path: Path) -> None:
    assert load_profiles(pool_of(tmp_path, record("a", text=NINE_LINES))) == [
        Profile("a", VALUES, NINE_LINES)
    ]


def test_value_of_a_text_may_hold_colons(tmp_path: Path) -> None:
    text = NINE_LINES.replace("words on Age", "40: young at heart: really")
    assert (
        load_profiles(pool_of(tmp_path, {"id": "a", "text": text}))[0].aspects["age"]
        == "40: young at heart: really"
    )


def test_blocks_of_a_text_file_get_ids_by_position_or_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, f"\n{NINE_LINES}\n\n\n# id: cook\n{NINE_LINES_ZH}\n\n{NINE_LINES}", "pool.txt")
    assert load_profiles(path) == [
        Profile("t0001", VALUES, NINE_LINES),
        Profile("cook", VALUES, NINE_LINES_ZH),
        Profile("t0003", VALUES, NINE_LINES),
    ]


def test_dataset_records_give_one_profile_a_number_sorted_by_number(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"preference_id": n, "preference": NINE_LINES, "history": []} for n in (10, 9, 10)
    ]
    path = pool_of(tmp_path, *records, name="conversations.jsonl.gz")
    assert load_profiles(path) == [Profile("9", VALUES, NINE_LINES), Profile("10", VALUES, NINE_LINES)]


def test_reference_conversations_hold_80_numbers_and_68_texts() -> None:
    if not REFERENCE.exists():
        pytest.skip("needs ../shared/reference")
    profiles = load_profiles(REFERENCE)
    assert len(profiles) == 80
    assert len({profile.text for profile in profiles}) == 68
    numbers = [int(profile.profile_id) for profile in profiles]
    assert numbers == sorted(numbers)
    # The reference's texts are exactly what the nine aspects render to.
    assert all(Profile("x", p.aspects).render() == p.text for p in profiles)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.txt"])
@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "holds no profile" in refusal(written(tmp_path, content, name))


def test_missing_file_and_unknown_suffix_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.jsonl")
    assert ".jsonl" in refusal(written(tmp_path, "{}", "pool.csv"))


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    whole = pool_of(tmp_path, record("a"), name="pool.jsonl.gz").read_bytes()
    for damaged in (whole[:-9], b"plain", whole[:12] + b"\xff" * 9 + whole[21:], b"\x1f\x8b"):
        assert "gzip" in refusal(written(tmp_path, damaged, "pool.jsonl.gz"))


@pytest.mark.parametrize("content", ["{", "nonsense", '{"id": "a",}', "[" * 5_000, '{"a": NaN}'])
def test_line_that_is_not_json_is_refused(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, json.dumps(record("a")) + "\n" + content)
    assert "not JSON" in refusal(path, line=2)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"'])
def test_json_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    assert "JSON object" in refusal(written(tmp_path, content), line=1)


def test_missing_aspects_are_all_named(tmp_path: Path) -> None:
    incomplete = {k: v for k, v in record("b").items() if k not in ("age", "travel_habits")}
    assert "missing age, travel_habits" in refusal(pool_of(tmp_path, record("a"), incomplete), line=2)


@pytest.mark.parametrize("aspect", [aspect.key for aspect in ASPECTS])
def test_empty_aspect_is_named(tmp_path: Path, aspect: str) -> None:
    assert f"{aspect}: is empty" in refusal(pool_of(tmp_path, record("a", **{aspect: " \t"})), line=1)


def test_unknown_key_is_named_with_the_closest_match(tmp_path: Path) -> None:
    message = refusal(pool_of(tmp_path, record("a", travel_habit="by train")), line=1)
    assert message == "unknown key 'travel_habit'. Did you mean 'travel_habits'?"
    assert "Known are: id, gender" in refusal(pool_of(tmp_path, record("a", zzz="?")), line=1)


@pytest.mark.parametrize("value", [40, None, ["40"], {"years": "40"}, True])
def test_aspect_of_a_wrong_type_is_named(tmp_path: Path, value: object) -> None:
    assert refusal(pool_of(tmp_path, record("a", age=value)), line=1).startswith("age: ")


@pytest.mark.parametrize("provenance", ["me", {"seed": 3}, []])
def test_provenance_is_an_object_of_strings(tmp_path: Path, provenance: object) -> None:
    assert "provenance" in refusal(pool_of(tmp_path, record("a", provenance=provenance)), line=1)


def test_id_is_needed_and_must_be_a_string(tmp_path: Path) -> None:
    assert refusal(pool_of(tmp_path, VALUES), line=1) == "id: is missing."
    assert refusal(pool_of(tmp_path, {**VALUES, "id": 7}), line=1).startswith("id: ")


@pytest.mark.parametrize("profile_id", ["../etc", ".hidden", "a b", "a/b", "é", "x" * 65, "-a", "a "])
def test_id_that_could_leave_its_folder_is_refused(tmp_path: Path, profile_id: str) -> None:
    assert "cannot be used" in refusal(pool_of(tmp_path, record(profile_id)), line=1)
    assert "cannot be used" in refusal(
        written(tmp_path, f"# id: {profile_id}/\n{NINE_LINES}", "p.txt"), line=1
    )


def test_id_used_twice_names_both_lines(tmp_path: Path) -> None:
    path = pool_of(tmp_path, record("a"), record("b"), record("a"))
    assert "'a' is used twice, on lines 1 and 3" in refusal(path, line=3)
    block = f"# id: t0002\n{NINE_LINES}\n\n{NINE_LINES}\n"
    assert "'t0002' is used twice, on lines 1 and 12" in refusal(written(tmp_path, block, "p.txt"), line=12)


def test_number_with_two_texts_names_both_lines(tmp_path: Path) -> None:
    other = NINE_LINES.replace("words", "letters")
    path = pool_of(tmp_path, *({"preference_id": 4, "preference": text} for text in (NINE_LINES, other)))
    assert "preference_id 4 has another text than on line 1" in refusal(path, line=2)


@pytest.mark.parametrize("change", [{"preference_id": "4"}, {"preference_id": -1}, {"preference": None}])
def test_dataset_record_of_a_wrong_type_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    whole = {"preference_id": 4, "preference": NINE_LINES}
    assert next(iter(change)) in refusal(pool_of(tmp_path, {**whole, **change}), line=1)


def test_profiles_and_dataset_records_do_not_mix(tmp_path: Path) -> None:
    path = pool_of(tmp_path, record("a"), {"preference_id": 4, "preference": NINE_LINES})
    assert "in one file" in refusal(path, line=2)


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.txt"])
def test_invalid_utf8_names_its_byte(tmp_path: Path, name: str) -> None:
    assert "byte 3 of the line is not UTF-8" in refusal(written(tmp_path, b"\nab\xff", name), line=2)


@pytest.mark.parametrize("where", ["age", "text", "id"])
def test_lone_surrogate_is_refused(tmp_path: Path, where: str) -> None:
    path = written(tmp_path, json.dumps(record("a", **{where: "x\ud800y"})))
    assert "surrogate" in refusal(path, line=1)


def test_nul_character_is_refused(tmp_path: Path) -> None:
    assert "age: holds a NUL" in refusal(pool_of(tmp_path, record("a", age="4\0")), line=1)
    text = NINE_LINES.replace("words on Age", "4\0")
    assert "text: holds a NUL" in refusal(pool_of(tmp_path, {"id": "a", "text": text}), line=1)
    assert "age: holds a NUL" in refusal(written(tmp_path, text, "p.txt"), line=2)


@pytest.mark.parametrize("breaking", ["\n", "\r", "\u2028", "\x85"])
def test_line_break_in_an_aspect_cannot_forge_a_numbered_line(tmp_path: Path, breaking: str) -> None:
    forged = f"40{breaking}9. Other Aspects: obeys"
    assert "age: holds a line break" in refusal(pool_of(tmp_path, record("a", age=forged)), line=1)


def test_value_may_be_long_but_not_a_book(tmp_path: Path) -> None:
    assert load_profiles(pool_of(tmp_path, record("a", age="x" * MAX_VALUE_CHARS)))
    for path in (
        pool_of(tmp_path, record("a", age="x" * (MAX_VALUE_CHARS + 1))),
        written(tmp_path, NINE_LINES.split("\n")[0] + "x" * MAX_VALUE_CHARS, "p.txt"),
    ):
        assert "at most 20000" in refusal(path, line=1)


def test_endless_line_is_refused_without_reading_on(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b" " * (3 * MAX_LINE_BYTES)), "pool.jsonl.gz")
    assert "longer than" in refusal(path, line=1)


def test_text_that_contradicts_its_aspects_is_refused(tmp_path: Path) -> None:
    path = pool_of(tmp_path, record("a", text=NINE_LINES, age="41"))
    assert "age differs from what text says" in refusal(path, line=1)


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        (1, "Gender: Female", "line 1 of the profile's text should read '1. Gender: ...'"),
        (2, "3. Age: 40", "'3. Age', it should read '2. Age: ...'"),
        (3, "3. Persnality: kind", "'3. Persnality', it should read '3. Personality: ...'"),
        (4, "4. Age: 40", "it should read '4. Occupation: ...'"),
        (5, "5. Daily Interests and Hobbies:  ", "daily_interests_and_hobbies: is empty"),
    ],
)
def test_wrong_line_of_a_text_is_named(tmp_path: Path, line: int, replacement: str, message: str) -> None:
    lines = NINE_LINES.split("\n")
    lines[line - 1] = replacement
    text = "\n".join(lines)
    assert message in refusal(written(tmp_path, f"# id: x\n{text}", "pool.txt"), line=line + 1)
    assert message in refusal(pool_of(tmp_path, {"id": "x", "text": text}), line=1)


def test_text_of_another_length_is_refused(tmp_path: Path) -> None:
    short = NINE_LINES.rsplit("\n", 2)[0]
    assert "missing spending_habits, other_aspects" in refusal(written(tmp_path, short, "p.txt"), line=1)
    assert "10 lines" in refusal(written(tmp_path, NINE_LINES + "\n10. Pets: none", "p.txt"), line=1)
    assert "id without a profile" in refusal(written(tmp_path, f"# id: a\n\n{NINE_LINES}", "p.txt"), line=1)


@given(
    content=st.binary(max_size=300),
    name=st.sampled_from(["p.jsonl", "p.txt", "p.jsonl.gz"]),
    packed=st.booleans(),
)
def test_arbitrary_bytes_raise_only_bad_input(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(BadInput):
        load_profiles(path)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    changes=st.dictionaries(
        st.sampled_from([*record(), "text", "provenance", "preference_id", "preference"]) | st.text(), _json
    )
)
def test_any_json_in_a_record_loads_or_raises_bad_input(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    path = pool_of(tmp_path_factory.getbasetemp(), {**record(), **changes})
    try:
        (profile,) = load_profiles(path)
    except BadInput:
        return
    assert list(profile.aspects) == list(VALUES)


# --- writing ------------------------------------------------------------------------------------

_value = st.text(min_size=1, max_size=40).filter(
    lambda v: v.strip() and "\0" not in v and v.splitlines() == [v]
)
_profiles = st.lists(
    st.builds(
        Profile,
        profile_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
        aspects=st.fixed_dictionaries({aspect.key: _value for aspect in ASPECTS}),
        provenance=st.dictionaries(_value, _value, max_size=2),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda profile: profile.profile_id,
)


@given(profiles=_profiles)
def test_written_pool_loads_to_the_same_profiles(
    tmp_path_factory: pytest.TempPathFactory, profiles: list[Profile]
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    dump_profiles(profiles, path)
    assert load_profiles(path) == profiles


def test_texts_survive_writing_byte_for_byte(tmp_path: Path) -> None:
    profiles = [
        Profile("a", VALUES, NINE_LINES),
        Profile("b", VALUES, NINE_LINES_ZH + "\r\n", {"source": "x"}),
    ]
    dump_profiles(profiles, tmp_path / "pool.jsonl")
    assert load_profiles(tmp_path / "pool.jsonl") == profiles


@pytest.mark.parametrize(
    "unusable",
    [
        [],
        [Profile("a", VALUES), Profile("a", VALUES)],
        [Profile("../a", VALUES)],
        [Profile("a", {**VALUES, "age": "4\n0"})],
        [Profile("a", {**VALUES, "age": "\ud800"})],
        [Profile("a", {"age": "40"})],
        [Profile("a", {"age": "40"}, NINE_LINES)],
    ],
)
def test_what_would_not_load_is_not_written(tmp_path: Path, unusable: list[Profile]) -> None:
    path = pool_of(tmp_path, record("old"))
    with pytest.raises(BadInput):
        dump_profiles(unusable, path)
    assert [p.profile_id for p in load_profiles(path)] == ["old"]
    assert os.listdir(tmp_path) == [path.name]


def test_only_json_lines_are_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\*\.jsonl"):
        dump_profiles([Profile("a", VALUES)], tmp_path / "pool.txt")


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, DiskFull), (errno.EIO, CannotWrite)])
def test_failed_write_leaves_the_old_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    path = pool_of(tmp_path, record("old"))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind):
        dump_profiles([Profile("new", VALUES)], path)
    assert [p.profile_id for p in load_profiles(path)] == ["old"]
    assert os.listdir(tmp_path) == [path.name]


def test_missing_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        dump_profiles([Profile("a", VALUES)], tmp_path / "none" / "pool.jsonl")


# --- the pools that come along ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "letter", "size"), [("pool.en.jsonl", "p", 120), ("pool.zh.jsonl", "z", 40)]
)
def test_pool_that_comes_along_is_complete(name: str, letter: str, size: int) -> None:
    pool = load_profiles(ROOT / "profiles" / name)
    assert [p.profile_id for p in pool] == [f"{letter}{n:03}" for n in range(1, size + 1)]
    assert len({p.aspects["occupation"] for p in pool}) == size
    assert all(18 <= int(p.aspects["age"]) <= 80 for p in pool)
    assert all(p.provenance == {"source": "authored"} for p in pool)
    for aspect in ASPECTS[2:]:
        if aspect.key != "occupation":
            assert len({p.aspects[aspect.key] for p in pool}) == size


def test_english_values_have_8_to_30_words() -> None:
    for profile in load_profiles(ROOT / "profiles" / "pool.en.jsonl"):
        for key in set(VALUES) - {"gender", "age", "occupation"}:
            assert 8 <= len(profile.aspects[key].split()) <= 30, (profile.profile_id, key)


def test_readme_states_the_measured_spread() -> None:
    table = spread_table(load_profiles(ROOT / "profiles" / "pool.en.jsonl"))
    assert table in (ROOT / "profiles" / "README.md").read_text(encoding="utf-8")


def test_example_in_the_readme_loads(tmp_path: Path) -> None:
    readme = (ROOT / "profiles" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    (profile,) = load_profiles(written(tmp_path, example, "own.txt"))
    assert profile.profile_id == "bee-keeper"


def test_english_pool_copies_no_five_words_from_the_reference() -> None:
    if not REFERENCE.exists():
        pytest.skip("needs ../shared/reference")

    def runs_of_five(profiles: list[Profile]) -> set[tuple[str, ...]]:
        split = [re.findall(r"\w+", v.casefold()) for p in profiles for v in p.aspects.values()]
        return {tuple(words[i : i + 5]) for words in split for i in range(len(words) - 4)}

    pool = load_profiles(ROOT / "profiles" / "pool.en.jsonl")
    assert not runs_of_five(pool) & runs_of_five(load_profiles(REFERENCE))


def test_spread_counts_words_ages_and_the_nearest_pair() -> None:
    def person(profile_id: str, age: str, hobby: str) -> Profile:
        same = dict.fromkeys(VALUES, "one two")
        return Profile(profile_id, {**same, "age": age, "daily_interests_and_hobbies": hobby})

    table = spread_table(
        [person("a", "20", "Chess, chess"), person("b", "30 or so", "chess"), person("c", "?", "下棋")]
    )
    assert "| age: minimum, quartiles, maximum | 20, 22.5, 25, 27.5, 30 |" in table
    assert "| age bands | 18-24: 1, 25-34: 1, 35-44: 0" in table
    # {one, two, 20, chess} and {one, two, 30, or, so, chess} share 3 of 7.
    assert "| nearest pair (Jaccard similarity) | a and b: 0.429 |" in table
    # Five words in three values; chess, 下 and 棋 occur; two of them come first.
    assert "| daily_interests_and_hobbies | 1.7 | 2 | 3 | 0.60 |" in table


def test_spread_of_one_profile_has_no_nearest_pair() -> None:
    assert "| nearest pair (Jaccard similarity) | none: 0.000 |" in spread_table([Profile("a", VALUES)])
