"""Wrong files, one a row: each mistake with its line, the key's whole path, what stands there, what may."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from engine.config.load import load_config, parse_config
from engine.errors import ConfigError

LAB = "endpoints:\n  lab: {base_url: http://h/v1}\n  far: {base_url: http://i/v1}\n"
ONE = "stages:\n  simulator:\n    model: m\n"
TIGHT = "endpoints:\n  lab:\n    base_url: http://h/v1\n    limits: {tokens_per_min: %s}\n"
SAYS_LAB = "    endpoint: lab\n"

ROWS: dict[str, tuple[str, int, list[str]]] = {
    # A list where one word was written.
    "tasks, one word": ("tasks: travel", 1, ["`tasks` (it is 'travel'): write a list: `[travel]`."]),
    "tasks, two words": ("seed: 1\ntasks: travel, gifts", 2, ["write a list: `[travel, gifts]`."]),
    "tasks, a number": ("tasks: 3", 1, ['`tasks` (it is 3): write a list: `["3"]`.']),
    "tasks, none": ("tasks: []", 1, ["`tasks` (it is a list): the list must not be empty."]),
    "tasks, true": ("tasks: yes", 1, ["(it is true): write a list", "YAML reads `yes` as true"]),
    "stop": (
        f"{ONE}    stop: hello you",
        4,
        ["`stages.simulator.stop` (it is 'hello you')", '`["hello you"]`.'],
    ),
    "on_end": ("on_end: notify 'it ended'", 1, ["`on_end`", 'write a list: `[notify, "it ended"]`.']),
    "on_end, one word": ('on_end: "x"', 1, ["`on_end` (it is 'x'): write a list: `[x]`."]),
    "on_end, empty": ("on_end: []", 1, ["`on_end` (it is a list): the list must not be empty."]),
    "on_end, number in it": (
        "on_end: [sleep, 3]",
        1,
        ['`on_end[1]` (it is 3): write a text: put it in quotes: "3".'],
    ),
    "debrief, no list": (
        "conversation:\n  debrief: {side: user, question: q}",
        2,
        ["`conversation.debrief` (it is a group of keys): write a list:", "`- `"],
    ),
    "debrief, words": (
        "conversation:\n  debrief: [why]",
        2,
        ["`conversation.debrief[0]` (it is 'why'): write `key: value` pairs below it."],
    ),
    "debrief, empty question": (
        "conversation:\n  debrief:\n  - side: user\n    question: ''",
        4,
        ["`conversation.debrief[0].question` (it is ''): the text must not be empty."],
    ),
    "debrief, side": (
        "conversation:\n  debrief:\n  - {side: User, question: q}",
        3,
        ["`conversation.debrief[0].side` (it is 'User')", "did you mean `user`?"],
    ),
    # Names of endpoints and presets.
    "endpoint, empty list": (
        f"{LAB}{ONE}    endpoint: []",
        7,
        ["`stages.simulator.endpoint`: write the name of an endpoint, such as `lab`"],
    ),
    "endpoint, a number": (f"{LAB}{ONE}    endpoint: 3", 7, ["or of several: `[lab, other]`."]),
    "endpoint, empty name": (
        f"{LAB}{ONE}    endpoint: ['']",
        7,
        ["`stages.simulator.endpoint`: write the name"],
    ),
    "endpoint, case": (f"{LAB}{ONE}    endpoint: LAB", 7, ["names endpoint 'LAB'", "Did you mean `lab`?"]),
    "endpoint in a list": (
        f"{LAB}{ONE}    endpoint: [lab, faar]",
        7,
        ["names endpoint 'faar'", "Did you mean `far`?"],
    ),
    "endpoint not said": (
        f"{LAB}{ONE}",
        5,
        [
            "`stages.simulator.endpoint`: stage simulator names no endpoint",
            "none is called 'default'; the configuration has: far, lab.",
        ],
    ),
    "endpoint of an unused preset": (
        f"{LAB}presets:\n  p:\n    top_p: 1\n    endpoint: lob",
        7,
        ["`presets.p.endpoint`: preset p names endpoint 'lob'", "Did you mean `lab`?"],
    ),
    "endpoint of a later stage": (
        f"{LAB}stages:\n  judge: {{model: m, endpoint: lb}}",
        5,
        ["stage judge names endpoint 'lb'", "Did you mean `lab`?"],
    ),
    "preset": (
        "presets:\n  cheap: {model: m}\nstages:\n  judge:\n    preset: Cheep",
        5,
        ["`stages.judge.preset`", "names preset 'Cheep'", "Did you mean `cheap`?"],
    ),
    # What YAML reads otherwise than it was meant.
    "no as a language": (
        "language: no",
        1,
        [
            "`language` (it is false): must be 'en' or 'zh'",
            'YAML reads `no` as false: if you mean the word, quote it: "no".',
        ],
    ),
    "a language's case": ("language: EN", 1, ["(it is 'EN'): must be 'en' or 'zh': did you mean `en`?"]),
    "on as a model": (
        f"{LAB}stages:\n  simulator: {{model: on, endpoint: lab}}",
        5,
        ["`stages.simulator.model` (it is true): write a text; YAML reads `on` as true", '"on"'],
    ),
    "a number as a model": (
        f"{LAB}stages:\n  simulator: {{model: 4.5, endpoint: lab}}",
        5,
        ['quotes: "4.5".'],
    ),
    "a date as a model": (
        f"{LAB}stages:\n  simulator: {{model: 2026-01-02, endpoint: lab}}",
        5,
        ["(it is 2026-01-02): write a text", '"2026-01-02"'],
    ),
    "no in a list": ("tasks: [travel, no]", 1, ["`tasks[1]` (it is false): write a text", "YAML reads `no`"]),
    "true as a number": ("seed: true", 1, ["`seed` (it is true): write a number."]),
    "yes as a number": ("concurrency: yes", 1, ["`concurrency` (it is true)", "YAML reads `yes` as true"]),
    "true as a share": (
        "rehearsal: {defect_rate: true}",
        1,
        ["`rehearsal.defect_rate` (it is true): write a number"],
    ),
    "true in limits": (
        f"{LAB}    \n  x:\n    base_url: http://x\n    limits: {{max_in_flight: on}}",
        7,
        ["`endpoints.x.limits.max_in_flight` (it is true): write a number"],
    ),
    "false as a path": ("templates: no", 1, ["`templates` (it is false): write the path", "YAML reads `no`"]),
    "octal": ("seed: 1\nlimit: 010", 2, ["`limit`: YAML reads `010` in another base than ten"]),
    "sixties": ("drain_s: 1:30", 1, ["`drain_s`: YAML reads `1:30` in another base than ten"]),
    "a key that is a number": (f"{LAB}stages:\n  7: {{model: m}}", 5, ["YAML reads the key `7` as a number"]),
    "a key that is no": ("seed: 1\nno: 2", 2, ["YAML reads the key `no` as true or false", "quotes"]),
    # Numbers.
    "no number": ("limit: many", 1, ["`limit` (it is 'many'): write a whole number."]),
    "half a number": ("repeat: 1.5", 1, ["`repeat` (it is 1.5): write a whole number."]),
    "nan": ("drain_s: .nan", 1, ["`drain_s` (it is nan): write a finite number."]),
    "inf": ("unreachable_after_s: .inf", 1, ["`unreachable_after_s` (it is inf): write a finite number."]),
    "minus inf as a whole number": ("seed: -.inf", 1, ["`seed` (it is -inf): write a finite number."]),
    "huge": ("seed: 9" + "9" * 40, 1, ["`seed` (it is 9999", "must be below 9223372036854775808."]),
    "too many digits": ("seed: 1\nlimit: " + "9" * 5000, 2, ["not valid YAML: a value cannot be read"]),
    "negative limit": (
        f"{LAB}  x:\n    base_url: http://x\n    limits:\n      requests_per_min: -5",
        7,
        ["`endpoints.x.limits.requests_per_min` (it is -5): must be above 0."],
    ),
    "too hot": (
        f"{ONE}    temperature: 9",
        4,
        ["`stages.simulator.temperature` (it is 9): must be at most 2."],
    ),
    "too little": ("rehearsal:\n  defect_rate: -0.1", 2, ["(it is -0.1): must be at least 0."]),
    "a list for a number": ("limit: [3]", 1, ["`limit` (it is a list): write a whole number."]),
    # Sections.
    "null section": (
        "seed: 1\nconversation:",
        2,
        ["`conversation` (it is empty): write `key: value` pairs below it, or leave it out."],
    ),
    "null endpoints": ("endpoints:\nseed: 1", 1, ["`endpoints` (it is empty)"]),
    "null stage": ("stages:\n  simulator:\n", 2, ["`stages.simulator` (it is empty)"]),
    "a word for a section": ("validation: off", 1, ["`validation` (it is false): write `key: value` pairs"]),
    "a list of stages": ("stages:\n- simulator", 1, ["`stages` (it is a list): write `key: value` pairs"]),
    "no choice": (
        "validation: {drop: maybe}",
        1,
        ["`validation.drop` (it is 'maybe'): write true or false."],
    ),
    "missing": (f"{LAB}stages:\n  judge:\n    endpoint: lab", 5, ["`stages.judge.model` is missing."]),
    "a key that is one elsewhere": (
        f"{LAB}  x:\n    base_url: http://x\n    max_in_flight: 3",
        6,
        ["unknown key `endpoints.x.max_in_flight`.", "Known here: base_url"],
    ),
    "unknown, deep": (
        "conversation:\n  debrief:\n  - side: user\n    question: q\n    wen: 1",
        5,
        ["unknown key `conversation.debrief[0].wen`.", "Known here: question, side."],
    ),
    "empty preset": (
        "presets:\n  p:\n",
        2,
        ["`presets.p` (it is empty): write `key: value` pairs of a stage"],
    ),
    "preset in a preset": (
        "presets:\n  p:\n    preset: q",
        3,
        ["unknown key `presets.p.preset`. Known here:"],
    ),
    "one for true": ("validation: {drop: 1}", 1, ["`validation.drop` (it is 1): write true or false."]),
    "a model without a name": (
        f"{LAB}stages: {{judge: {{model: ''}}}}",
        4,
        ["`stages.judge.model` (it is '')"],
    ),
    "case of a key": ("Seed: 1", 1, ["unknown key `Seed`. Did you mean `seed`?"]),
    "a run's name": (
        "output:\n  name: ../x",
        2,
        ["`output.name`: '../x' is no name of a run: letters, digits"],
    ),
    "a folder's name": (
        "output: {runs: [a]}",
        1,
        ["`output.runs` (it is a list): write the path of a file or folder"],
    ),
    "unknown in output": (
        "output:\n  folder: x",
        2,
        ["unknown key `output.folder`.", "Known here: name, runs."],
    ),
    "a key in a wrong place": (
        "limit: sk-abcdefghijklmnopqrst",
        1,
        ["(it is something that looks like a key)"],
    ),
    # Limits that no request could meet.
    "fewer tokens than a reply": (
        f"{TIGHT % 500}{ONE}{SAYS_LAB}",
        4,
        [
            "`endpoints.lab.limits.tokens_per_min` (it is 500): no request of stage simulator would ever fit",
            "1024 tokens for the reply",
            "`stages.simulator.max_tokens`.",
        ],
    ),
    "as many tokens as a reply": (
        f"{TIGHT % 80}{ONE}{SAYS_LAB}    max_tokens: 80",
        4,
        ["and 80 tokens for the reply"],
    ),
    # YAML itself.
    "twice": ("seed: 1\nlimit: 2\nseed: 1", 3, ["the key `seed` stands twice; keep one."]),
    "twice, in one line": ("validation: {drop: true, drop: false}", 1, ["the key `drop` stands twice"]),
    "tab": (
        "conversation:\n\tmax_rounds: 3",
        2,
        ["not valid YAML", "A tab begins this line; indent with blanks."],
    ),
    "indented too far": (
        "seed: 1\n  limit: 2",
        2,
        ["not valid YAML: mapping values are not allowed here", "Indent"],
    ),
    "indented too little": (
        "conversation:\n    setup: paper\n  opener: user",
        3,
        ["not valid YAML: expected <block end>", "began on line 1", "Indent the line"],
    ),
    "an item out of place": (
        "tasks:\n- travel\nlimit: 3\n- gifts",
        4,
        ["not valid YAML", "expected <block end>"],
    ),
    "open bracket": ("tasks: [travel\nseed: 1", 2, ["that began on line 1", "Close the bracket"]),
    "open quote": ("seed: 1\nlanguage: 'en\nlimit: 2", 3, ["that began on line 2", "Close the quote."]),
    "a colon in a text": (
        f"{ONE}    stop: a: b",
        4,
        ["mapping values are not allowed here", "quote the text"],
    ),
    "star": (
        "tasks: [*all]",
        1,
        ["not valid YAML: found undefined alias", "quote a text that begins with `*`"],
    ),
    "control character": (
        "seed: 1\nlanguage: e\x07n",
        2,
        ["not valid YAML: the character '\\x07' cannot stand"],
    ),
    "a tag's own value": ("seed: 1\nlimit: !!int x", 2, ["not valid YAML: a value cannot be read"]),
    "a list at the top": (
        "# plan\n- seed: 1",
        2,
        ["holds no `key: value` pairs at its top level; it is a list."],
    ),
    "a word at the top": ("seed=1", 1, ["no `key: value` pairs at its top level; it is a single value."]),
    "an alias of itself": (
        "seed: 1\nstages: &s {simulator: *s}",
        2,
        ["an alias stands inside what it names."],
    ),
    "two documents": ("seed: 1\n---\nlimit: 2", 2, ["not valid YAML: but found another document"]),
}


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="c.yaml", folder=Path("/study"))
    return str(caught.value)


@pytest.mark.parametrize(("text", "line", "fragments"), ROWS.values(), ids=ROWS.keys())
def test_a_wrong_file_is_told_in_its_users_words(text: str, line: int, fragments: list[str]) -> None:
    message = message_of(text)
    (told,) = [each for each in message.splitlines() if f"c.yaml, line {line}: " in each]
    at = 0
    for fragment in fragments:
        at = told.find(fragment, at)
        assert at >= 0, f"{fragment!r} is not (in this order) in: {told}"
    assert not re.search(r"tuple|dict|pydantic|Input should|sk-abc|_type|function-", message)
    assert message[-1] in ".?"
    assert len(message) < 600


def test_mistakes_come_in_the_files_order() -> None:
    lines = message_of(f"limit: 0\n{ONE}    top_p: 7\nlanguage: de\nsed: 1\n").splitlines()
    assert [int(line.split()[2].rstrip(":")) for line in lines] == [1, 5, 6, 7]


@pytest.mark.parametrize(
    "where", ["tasks: *a8", "stages: {simulator: {model: m, extra: {x: *a8}}}", "<<: *m"]
)
def test_aliases_that_grow_without_end_cost_no_time(where: str) -> None:
    levels = [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    merges = "  - &m {<<: [" + ", ".join(["{x: *a8}"] * 9) + "]}"
    text = "\n".join(["presets:", "  - &a0 [x]", *levels, merges, where])
    started = time.monotonic()
    assert "more than 100,000 values stand here" in message_of(text)
    assert time.monotonic() - started < 5


def test_a_file_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("seed: 1\n# café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"c\.yaml, line 2: not UTF-8 text \(byte 0xe9\): save the file"):
        load_config(path)
    path.write_bytes("seed: 1\n".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"line 1: not UTF-8 text"):
        load_config(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: 4\n")
    assert load_config(path).seed == 4


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the configuration cannot be read: Is a directory"):
        load_config(tmp_path)


def test_a_limit_just_above_the_reply_is_left_to_the_prompts() -> None:
    text = f"{TIGHT % 1025}{ONE}{SAYS_LAB}"
    assert parse_config(text, source="c.yaml", folder=Path("/study")).stages["simulator"].max_tokens == 1024
