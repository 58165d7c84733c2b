"""Makes the journal of an unfinished run, as this version writes it; one is kept for each release, unchanged.

    python tests/data/journals/make.py

writes the folder `<version>` beside this file: a study of rehearsed conversations, and its journal, of which
two conversations have lost their outcome and their last reply, as if the process had been killed. Nothing of
the machine that made it stays in it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import apsw
import orjson

from engine.cli.main import exit_code_of
from engine.version import __version__

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STUDY = """\
tasks: [recipe]
templates: templates
profiles: profiles.jsonl
limit: 6
conversation:
  max_rounds: 3
  debrief:
    - {side: user, question: "Were you content?"}
"""


def make(folder: Path) -> None:
    """Write the study and its journal into `folder`, which must not exist."""
    folder.mkdir()
    for part in ("_prompts/en", "recipe"):
        shutil.copytree(ROOT / "templates" / part, folder / "templates" / part)
    lines = (ROOT / "profiles" / "pool.en.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "profiles.jsonl").write_bytes(b"".join(lines[:2]))
    (folder / "engine.yaml").write_text(STUDY)
    with tempfile.TemporaryDirectory() as runs:
        config = str(folder / "engine.yaml")
        assert exit_code_of(["run", config, "--run", "old", "--runs-dir", runs, "--concurrency", "2"]) == 0
        shutil.copy(f"{runs}/old/conversations.jsonl", folder / "conversations.jsonl")
        cut(Path(runs) / "old" / "journal.sqlite", folder / "journal.sqlite")


def cut(journal: Path, out: Path) -> None:
    """Take the ends of two conversations off, and the machine's paths."""
    connection = apsw.Connection(str(journal))
    for (calls,) in connection.execute("SELECT calls FROM outcomes ORDER BY seq DESC LIMIT 2").fetchall():
        assert isinstance(calls, bytes)
        last = int.from_bytes(calls[-8:], "little")
        connection.execute("DELETE FROM calls WHERE seq=?", (last,))
    connection.execute("DELETE FROM outcomes WHERE seq>(SELECT max(seq)-2 FROM outcomes)")
    connection.execute("UPDATE sessions SET ended_at=NULL, ended_as=NULL")
    ((text,),) = connection.execute("SELECT value FROM meta WHERE key='config'").fetchall()
    config = orjson.loads(str(text)) | {"templates": "templates", "profiles": "profiles.jsonl"}
    connection.execute("UPDATE meta SET value=? WHERE key='config'", (orjson.dumps(config).decode(),))
    out.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(out),))
    connection.close()


if __name__ == "__main__":
    make(HERE / __version__)
