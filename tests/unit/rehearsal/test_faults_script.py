"""Which request meets which fault: by number, share, conversation, and never more often than said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.rehearsal.faults_script import FAULTS, Director, Rule, Script, conversation_of, read_script


def met(rules: Sequence[Rule], bodies: Sequence[bytes] = (b"{}",) * 12, seed: int = 0) -> list[str]:
    director = Director(Script(rules=tuple(rules), seed=seed))
    return [director.next(body) or "-" for body in bodies]


def of(conversation: str) -> bytes:
    return b'{"prompt_cache_key": "%s"}' % conversation.encode()


def test_by_number_and_by_rhythm() -> None:
    assert met([Rule(fault="500", requests=(1, 3))])[:4] == ["500", "-", "500", "-"]
    assert [at for at, name in enumerate(met([Rule(fault="408", every=5)]), 1) if name == "408"] == [5, 10]


def test_the_first_rule_that_fits_decides() -> None:
    assert met([Rule(fault="500", requests=(2,)), Rule(fault="502")])[:3] == ["502", "500", "502"]


def test_after_and_times_count_what_fits() -> None:
    bodies = [of(name) for name in ("a/x", "b/x", "a/x", "a/x", "a/x", "b/x")]
    rule = Rule(fault="stalled", conversation="a/", after=1, times=2)
    assert met([rule], bodies) == ["-", "-", "stalled", "stalled", "-", "-"]


def test_a_share_is_drawn_from_the_seed() -> None:
    rules, bodies = [Rule(fault="500", share=0.2)], (b"{}",) * 1_000
    first = met(rules, bodies)
    assert first == met(rules, bodies)
    assert first != met(rules, bodies, seed=1)
    assert 150 < first.count("500") < 250


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"{}", b'{"prompt_cache_key": 3}'])
def test_a_request_that_names_no_conversation_has_none(raw: bytes) -> None:
    assert conversation_of(raw) == ""


def test_a_script_is_read_with_its_numbers_as_names(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("quote_key: true\nrules:\n  - {fault: 500, requests: [2]}\n  - fault: stalled\n")
    script = read_script(path)
    assert script.quote_key
    assert [rule.fault for rule in script.rules] == ["500", "stalled"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules:\n  - fault: 5000\n", "there is no fault '5000'"),
        ("rules:\n  - {fault: 500, evry: 2}\n", "evry"),
        ("rules:\n  - {fault: 500, share: 2}\n", "less than or equal to 1"),
        ("rules: [\n", "not valid YAML"),
        ("{}\n", "Field required"),
        ("rules: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_a_wrong_script_is_bad_input(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=told) as caught:
        read_script(path)
    assert str(path) in str(caught.value)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_script(tmp_path / "none.yaml")


def test_every_fault_says_what_it_does_in_a_few_words() -> None:
    assert len(FAULTS) > 100
    assert all(fault.what and len(fault.what) < 70 and "|" not in fault.what for fault in FAULTS.values())
