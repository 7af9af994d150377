"""A cell's text becomes Rust source whose line numbers are the cell's own."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple


@dataclass(frozen=True, slots=True)
class CellSource:
    """What a ``%%rustdriver`` cell holds.

    ``text`` is the Rust source with the magic's own line kept as an empty first line, so that
    line 2 of the cell is line 2 of the file. ``cell`` is the whole text, to show lines from.
    """

    name: str
    text: str
    cell: str


def cell_source(name: str, line: str, body: str, magic: str = "rustdriver") -> CellSource:
    """The source in a cell with the magic line ``line`` (all after ``%%rustdriver``)."""
    body = body.replace("\r\n", "\n")
    return CellSource(name, "\n" + body, f"%%{magic} {line}\n{body}")


def variable_name(name: str) -> str:
    """The Python variable for a driver's name: ``my-driver`` is bound to ``my_driver``."""
    variable = name.replace("-", "_")
    return variable + "_" if keyword.iskeyword(variable) else variable


def is_notebook(shell: object) -> bool:
    """Whether the front end shows rich output; a terminal's IPython does not."""
    return type(shell).__name__ != "TerminalInteractiveShell" and "ipykernel" in sys.modules


class Place(NamedTuple):
    """A cell and which execution of it; both empty where the front end does not say it."""

    cell: str = ""
    execution: str = ""


#: A place that is not known.
NOWHERE: Final = Place()


def place_of(shell: object) -> Place:
    """Which cell runs, as far as the front end says it: JupyterLab, Notebook 7 and VS Code do."""
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)()
    # The message is the front end's: "cellId" is no part of the protocol.
    metadata, header = (parent.get(key) or {} for key in ("metadata", "header"))
    cell, execution = metadata.get("cellId"), header.get("msg_id")
    if not isinstance(cell, str) or not isinstance(execution, str):
        return NOWHERE
    return Place(cell, execution)


def front_end() -> tuple[bool, Callable[..., Any]]:
    """Whether the running front end shows rich output, and what displays there."""
    core = sys.modules.get("IPython")
    shell = core.get_ipython() if core is not None else None
    if shell is None:
        return False, print
    from IPython.display import display

    return is_notebook(shell), display
