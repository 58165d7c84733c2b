"""Croissant 1.0: the dataset's description as JSON-LD beside its files, field by field.

It describes JSON Lines files of the export's tables. Lists are repeated fields; columns that hold objects
(`turns`, `messages`) have no simple type there and are left to the files themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.dataset.tabular import ColumnKind

_TYPES: Mapping[ColumnKind, str] = {
    "text": "sc:Text", "json": "sc:Text", "texts": "sc:Text", "int": "sc:Integer", "bool": "sc:Boolean",
}  # fmt: skip
_VOCABULARY = (
    "citeAs", "column", "equivalentProperty", "examples", "extract", "field", "fileObject", "fileProperty",
    "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path",
    "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
_CONTEXT: Mapping[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{name: f"cr:{name}" for name in _VOCABULARY},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}


class DescribedFile(NamedTuple):
    """A JSON Lines file of one table and part, and its columns."""

    path: Path
    table: str
    part: str
    columns: Mapping[str, ColumnKind]


def describe(
    folder: Path,
    files: Sequence[DescribedFile],
    *,
    name: str,
    description: str,
    licence: str,
    published: str,
    cite_as: str,
) -> dict[str, object]:
    """The document. `files` lie in `folder` and are finished; `published` is a date (ISO 8601)."""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "license": licence,
        "version": "1.0.0",
        "datePublished": published,
        "citeAs": cite_as,
        "distribution": [_file(folder, file) for file in files],
        "recordSet": [_records(folder, file) for file in files],
    }


def _file(folder: Path, file: DescribedFile) -> dict[str, object]:
    digest, size = hashlib.sha256(), 0
    with file.path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    name = file.path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": "application/jsonlines",
        "sha256": digest.hexdigest(),
    }


def _records(folder: Path, file: DescribedFile) -> dict[str, object]:
    record_set = f"{file.table}-{file.part}" if file.part else file.table
    fields = []
    for column, kind in file.columns.items():
        if kind not in _TYPES:
            continue
        field: dict[str, object] = {
            "@type": "cr:Field",
            "@id": f"{record_set}/{column}",
            "name": column,
            "dataType": _TYPES[kind],
            "source": {
                "fileObject": {"@id": file.path.relative_to(folder).as_posix()},
                "extract": {"column": column},
            },
        }
        if kind == "texts":
            field["repeated"] = True
        fields.append(field)
    return {"@type": "cr:RecordSet", "@id": record_set, "name": record_set, "field": fields}
