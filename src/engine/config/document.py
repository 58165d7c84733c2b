"""A YAML text becomes one mapping in which every key and value has its place: nothing is guessed or dropped.

What YAML would take in silence and its writer can hardly have meant is refused with its line: a key that
stands twice, a key that is no text, a number in octal, aliases that grow without end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from engine.config.presets import Location
from engine.errors import ConfigError

# A configuration has some hundred values; nine aliases in each of nine levels would be a thousand million.
_MOST_VALUES = 100_000
_TAG = "tag:yaml.org,2002:"
_KINDS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
}
_ODD_NUMBER = re.compile(r"[-+]?0[0-9_]+|.*:.*")
# The library's words for common slips, and what to do about them.
_HINTS = {
    "found character '\\t'": "a tab begins this line; indent with blanks",
    "mapping values are not": "indent the line like its neighbours, or quote the text that holds `: `",
    "could not find expected ':'": "write `key: value`, with a colon",
    "expected <block end>": "indent the line like its neighbours",
    "found undefined alias": "an `*alias` needs its `&anchor` before it; quote a text that begins with `*`",
    "found unexpected end of stream": "close the quote",
    "expected the node content": "a value or a closing bracket is missing",
    "expected ',' or": "close the bracket, or put a comma between the items",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: its line, from 1, and how it is written there if it is a single word or text."""

    line: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping, and the places of its keys and values."""

    source: str
    data: Mapping[object, object]
    places: Mapping[Location, Place]


def read_document(text: str, *, source: str) -> Document:
    """The one mapping in `text`. Raises ConfigError for anything else."""
    places: dict[Location, Place] = {}
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                # Before construction, which flattens merge keys: overriding one is no repetition.
                _count(node, {}, source)
                _collect_places(node, (), places, source, set())
            data = None if node is None else _construct(loader, node, source)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigError(_describe(error, text, source)) from error
    except RecursionError as error:
        raise ConfigError(f"{source}: not valid YAML: brackets or lists are nested without end.") from error
    if data is None:  # an empty file, or nothing but comments
        data = {}
    if not isinstance(data, dict):
        line = 1 if node is None else node.start_mark.line + 1
        kind = "a list" if isinstance(data, list) else "a single value"
        raise ConfigError(
            f"{source}, line {line}: the file holds no `key: value` pairs at its top level; it is {kind}. "
            "`engine init DIR` writes an example."
        )
    return Document(source, data, places)


def _construct(loader: yaml.SafeLoader, node: yaml.Node, source: str) -> object:
    try:
        return loader.construct_document(node)
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        # Values that contradict their own tag (`!!bool maybe`) end the library in any of these.
        line, why = _line_of_bad_value(loader, node), str(error).split(";")[0]
        raise ConfigError(f"{source}{line}: not valid YAML: a value cannot be read ({why}).") from error


def _line_of_bad_value(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    """The first single value that cannot be constructed by itself."""
    waiting, walked = [node], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in walked:
            continue
        walked.add(id(each))
        if isinstance(each, yaml.ScalarNode):
            try:
                loader.construct_object(each)
            except Exception:  # noqa: BLE001 - the library ends in anything, and this is it
                return f", line {each.start_mark.line + 1}"
        elif isinstance(each, yaml.SequenceNode):
            waiting += reversed(each.value)
        elif isinstance(each, yaml.MappingNode):
            waiting += [part for pair in reversed(each.value) for part in reversed(pair)]
    return ""


def _count(node: yaml.Node, counted: dict[int, int], source: str) -> int:
    """How many values `node` holds with every alias written out; refuses too many, and a loop."""
    if id(node) in counted:
        count = counted[id(node)]
        if count == 0:  # still being counted: it stands inside itself
            raise ConfigError(
                f"{source}, line {node.start_mark.line + 1}: an alias stands inside what it names."
            )
        return count
    counted[id(node)] = 0
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    total = 1 + sum(_count(part, counted, source) for part in parts)
    if total > _MOST_VALUES:
        raise ConfigError(
            f"{source}, line {node.start_mark.line + 1}: more than {_MOST_VALUES:,} values stand here, with "
            "aliases written out: no configuration needs as many."
        )
    counted[id(node)] = total
    return total


def _collect_places(
    node: yaml.Node, at: Location, places: dict[Location, Place], source: str, walked: set[int]
) -> None:
    text = node.value if isinstance(node, yaml.ScalarNode) and node.style is None else None
    line = places[at].line if at in places else node.start_mark.line + 1
    places[at] = Place(line, text)
    if isinstance(node, yaml.ScalarNode):
        _refuse_odd_number(node, at, source)
    if id(node) in walked:  # an alias: it may stand many times
        return
    walked.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = str(key.value)
            line = key.start_mark.line + 1
            if (kind := _KINDS.get(key.tag.removeprefix(_TAG))) is not None:
                raise ConfigError(
                    f"{source}, line {line}: YAML reads the key `{name}` as {kind}, and a key is text: "
                    "correct it, or put it in quotes."
                )
            if name in seen:
                # YAML says nothing of it and the last one would win in silence.
                raise ConfigError(f"{source}, line {line}: the key `{name}` stands twice; keep one.")
            seen.add(name)
            places[*at, name] = Place(line)
            _collect_places(value, (*at, name), places, source, walked)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_places(value, (*at, index), places, source, walked)


def _refuse_odd_number(node: yaml.ScalarNode, at: Location, source: str) -> None:
    """`010` is 8 to YAML, and `1:30` is 90."""
    if node.style is None and node.tag == f"{_TAG}int" and _ODD_NUMBER.fullmatch(node.value):
        key = path_of(at)
        raise ConfigError(
            f"{source}, line {node.start_mark.line + 1}: `{key}`: YAML reads `{node.value}` in another base "
            "than ten: write a plain number, or put a text in quotes."
        )


def path_of(location: Location) -> str:
    """A place in the words of its file: `conversation.debrief[1].question`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return words.removeprefix(".") or "(the whole file)"


def _describe(error: yaml.YAMLError, text: str, source: str) -> str:
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if isinstance(error, yaml.reader.ReaderError):
        line = f", line {text.count(chr(10), 0, error.position) + 1}"
        problem = f"the character {chr(error.character)!r} cannot stand in a YAML file"
    else:
        line = f", line {mark.line + 1}" if mark is not None else ""
    began = ""
    if mark is not None and context is not None and context.line != mark.line:
        began = f", {getattr(error, 'context', '')} that began on line {context.line + 1}"
    hint = next((f". {hint[0].upper()}{hint[1:]}" for words, hint in _HINTS.items() if words in problem), "")
    return f"{source}{line}: not valid YAML: {problem}{began}{hint}."
