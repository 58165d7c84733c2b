"""The lines of Python by which an export is read, for its card."""

from __future__ import annotations


def how_to_load(form: str, name: str, *, table: str, part: str, is_file: bool) -> str:
    """The code for an export called `name`, a file or a folder; `table` and `part` say what to read first."""
    stem = f"{table}-{part}" if part else table

    def file(suffix: str) -> str:
        return name if is_file else f"{name}/{stem}.{suffix}"

    match form:
        case "huggingface":
            loaded = f"load_dataset({name!r}, {table!r})[{part or 'train'!r}]"
            return f"from datasets import load_dataset\n\nrows = {loaded}"
        case "csv":
            return f"import pandas\n\nrows = pandas.read_csv({file('csv')!r})"
        case "parquet":
            return f"import pandas\n\nrows = pandas.read_parquet({file('parquet')!r})"
        case "convokit":
            return f"from convokit import Corpus\n\ncorpus = Corpus(filename={name!r})"
        case "croissant":
            loaded = f"mlcroissant.Dataset({f'{name}/croissant.json'!r}).records({stem!r})"
            return f"import mlcroissant\n\nrecords = {loaded}"
        case "recllmsim":
            return (
                "import json, pathlib\n\n"
                f"files = pathlib.Path({f'{name}/{part}' if part else name!r}).glob('*/*.json')\n"
                "records = [json.loads(file.read_bytes()) for file in files]"
            )
        case _:
            return (
                f"import json\n\nwith open({file('jsonl')!r}, encoding='utf-8') as file:\n"
                "    records = [json.loads(line) for line in file]"
            )
