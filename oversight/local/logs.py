"""The children's output: one file each in the data folder, which must not grow for ever."""

import os
import shutil
from pathlib import Path

MAX_BYTES = 32 * 1024 * 1024
_TAIL_BYTES = 4096


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, to show why a child has ended."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def trim(folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Keep each log below twice this size: what is there moves to `NAME.log.1`.

    Children hold their files open for appending, so a file is emptied rather than moved; lines
    written in between are lost, which a log can bear.
    """
    for path in folder.glob("*.log"):
        if path.stat().st_size > max_bytes:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)
