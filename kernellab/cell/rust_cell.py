"""What a cell that is still being written is: whose Rust it holds, and where that begins.

Nothing here refuses: a magic's line that is not finished yet says what it can.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_MAGIC: Final = re.compile(r"%%(rustdriver|rustfile|rustcheck)(?:[ \t]+(.*))?[ \t]*")

#: Longest cell that is looked at, in characters.
LONGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RustCell:
    """A cell of Rust. ``driver`` and ``path`` may be empty where they are not written yet.

    ``path`` is a ``%%rustfile`` cell's; ``text`` is the Rust with the magic's line empty;
    ``above`` is how many empty lines stand before the magic's.
    """

    magic: str
    driver: str
    path: str
    dependencies: tuple[str, ...]
    text: str
    above: int = 0


def rust_cell(cell: str) -> RustCell | None:
    """What ``cell`` holds, when it is Rust; else None."""
    if len(cell) > LONGEST or "%%rust" not in cell:
        return None
    lines = cell.replace("\r\n", "\n").split("\n")
    above = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    found = _MAGIC.fullmatch(lines[above]) if above < len(lines) else None
    if found is None:
        return None
    words = _words(found[2] or "")
    names = [word for word in words if not word.startswith("-")]
    is_file = found[1] == "rustfile"
    return RustCell(
        found[1],
        words[0] if words and not words[0].startswith("-") else "",
        names[1] if is_file and len(names) > 1 else "",
        () if is_file else tuple(_values(words, "--dep")),
        "\n".join(["", *lines[above + 1 :]]),
        above,
    )


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quotation that is not closed yet
        return line.split()


def _values(words: Sequence[str], flag: str) -> list[str]:
    found = [word for before, word in pairwise(words) if before == flag]
    return found + [word[len(flag) + 1 :] for word in words if word.startswith(f"{flag}=")]
