"""Reads the records of foreign files one at a time, as bytes: JSON Lines, a JSON array, or a folder of files.

A file is gzip where its first bytes say so, whatever its name. `.json` files are read as JSON values behind
each other or in one array; every other file has one record a line. A record's bytes are those between the
separators, unchanged. Memory is that of one record (and, for a folder, of its file names).
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from engine.config.regular_file import refuse_special
from engine.dataset.record_format import Place
from engine.errors import BadInput

_CHUNK = 1 << 20
_BOM = codecs.BOM_UTF8
# What stands between records; brackets are not counted, so arrays may follow each other.
_SEPARATORS = re.compile(r"[\s,\[\]]*")


def stream_raw(path: Path) -> Iterator[tuple[Place, bytes]]:
    """Every record below `path`, in order: as in the file; in a folder by sub-folder, then by number.

    Raises BadInput where a file cannot be read, or, in a `.json` file, where it stops being JSON.
    """
    if path.is_dir():
        for number, file in enumerate(_files_in(path), 1):
            relative = file.relative_to(path)
            yield Place(path.name, number, relative.as_posix()), _whole(file)
        return
    is_json = path.name.removesuffix(".gz").endswith(".json")
    with _opened(path) as stream:
        records = _values(path, stream) if is_json else _lines(path, stream)
        for line, raw in records:
            yield Place(path.name, line), raw


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes; of a folder, of its files' names and bytes in order."""
    digest = hashlib.sha256()
    for file in _files_in(path) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with _refusing(path), file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _files_in(folder: Path) -> list[Path]:
    """The `.json` files below a folder: sub-folders by name, numbers by value. Hidden ones are left out."""
    found = [
        file
        for file in folder.rglob("*.json")
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if not found:
        raise BadInput(f"{folder}: this folder holds no .json file. Name a folder of JSON files, or a file.")
    return sorted(found, key=_order)


def _order(file: Path) -> tuple[tuple[str, ...], bool, int, str]:
    stem = file.stem
    is_number = stem.isascii() and stem.isdigit()
    return file.parent.parts, not is_number, int(stem) if is_number else 0, stem


def _whole(file: Path) -> bytes:
    with _refusing(file):
        return file.read_bytes()


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    with _refusing(path, lambda: number):
        for number, line in enumerate(file, 1):
            record = line.rstrip(b"\r\n")
            if number == 1:
                record = record.removeprefix(_BOM)
            if record.strip():
                yield number, record


def _values(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """JSON values in a row or in one array, each found by parsing it from where the one before ended."""
    decoder, scanner = codecs.getincrementaldecoder("utf-8-sig")(), json.JSONDecoder()
    text, at, line = "", 0, 1
    with _refusing(path, lambda: line):
        while True:
            chunk = file.read(_CHUNK)
            text, at = text[at:] + decoder.decode(chunk, final=not chunk), 0
            while True:
                start = _SEPARATORS.match(text, at).end()  # type: ignore[union-attr]  # it may match nothing
                line += text.count("\n", at, start)
                at = start
                if start == len(text):
                    break
                try:
                    _, end = scanner.raw_decode(text, start)
                except json.JSONDecodeError as error:
                    if chunk:
                        break  # it may go on in the next chunk
                    raise BadInput(f"{path}, line {line}: is no JSON ({error.msg}).") from None
                if end == len(text) and chunk:
                    break  # so may a number
                yield line, text[start:end].encode("utf-8", "surrogatepass")
                line += text.count("\n", start, end)
                at = end
            if not chunk:
                return


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with _refusing(path):
        stream = path.open("rb")
    with stream:
        is_gzip = stream.peek(2)[:2] == b"\x1f\x8b"
        if not is_gzip:
            yield stream
            return
        with gzip.open(stream) as unpacked:
            yield cast(BinaryIO, unpacked)


@contextmanager
def _refusing(path: Path, line: Callable[[], int] | None = None) -> Iterator[None]:
    """Turn what reading a file raises into BadInput; `line` is how far it was read."""
    refuse_special(path, BadInput)
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"{path}: there is no such file or folder.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(
            f"{_where(path, line)}: the gzip file is damaged or cut off ({error}). Fetch it again."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{_where(path, line)}: is not UTF-8 ({error.reason}). Convert it first.") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}).") from error


def _where(path: Path, line: Callable[[], int] | None) -> str:
    return f"{path}, behind line {line()}" if line else f"{path}"
