"""Questions of the front end's extension: messages while a cell is written, and help.

One comm, target ``kernellab.editor``. The front end sends::

    {type: "hello"}
    {type: "check", cell: ID, text: CELL, rev: N}
    {type: "hover", cell: ID, text: CELL, line: L, column: C, id: N}

and gets::

    {type: "hello", version, analyzer: BOOL, message}
    {type: "diagnostics", cell, rev, items: [{line, column, end_line, end_column, severity, code,
     message, fixes: [{title, edits: [{line, column, end_line, end_column, text}]}]}]}
    {type: "hover", id, markdown}

Lines count from 1 in the whole cell, columns from 0 in UTF-16 units. Whatever has another shape
is passed over. Of several checks of one cell the newest is answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..cell.rust_cell import LONGEST, RustCell, rust_cell
from ..errors import KernelLabError
from . import messages

if TYPE_CHECKING:
    from .editor import Editor

TARGET: Final = "kernellab.editor"

#: Longest name of a cell, and most cells and questions that wait at once.
_LONGEST_NAME: Final = 200
_MOST_WAITING: Final = 100
#: Seconds that the compiler may work for messages while a cell is written.
_PATIENCE: Final = 20.0
_BIGGEST: Final = 2**53

Answer = dict[str, Any]


class EditorComm:
    """Answers one front end. ``send`` is called from threads of its own."""

    def __init__(self, editor: Editor, send: Callable[[Answer], None], version: str) -> None:
        self._editor, self._send, self._version = editor, send, version
        self._wake = threading.Condition()
        self._checks: dict[str, tuple[int, str]] = {}
        self._hovers: list[tuple[int, str, int, int]] = []
        self._cancel: tuple[str, threading.Event] | None = None
        self._closed = False
        for work in (self._check_all, self._hover_all):
            threading.Thread(target=work, name="kernellab-editor", daemon=True).start()

    def close(self) -> None:
        """The front end has gone."""
        with self._wake:
            self._closed = True
            self._checks.clear()
            self._hovers.clear()
            if self._cancel is not None:
                self._cancel[1].set()
            self._wake.notify_all()

    def take(self, message: object) -> None:
        """What the front end sends; returns at once."""
        if not isinstance(message, Mapping):
            return
        kind = message.get("type")
        if kind == "hello":
            threading.Thread(target=self._hello, name="kernellab-editor", daemon=True).start()
        elif kind == "check":
            self._take_check(message)
        elif kind == "hover":
            self._take_hover(message)

    def _hello(self) -> None:
        """Say what there is; where rust-analyzer is still looked for, once that is known."""
        self._editor.wait_found(60)
        message = self._editor.trouble
        there = self._editor.analyzer is not None and not message
        self._send(
            {"type": "hello", "version": self._version, "analyzer": there, "message": message}
        )
        try:
            self._editor.warm_check()
        except KernelLabError:
            pass  # the first check says it by its silence, the first build in words

    # -- checks -----------------------------------------------------------------------------------

    def _take_check(self, message: Mapping[str, Any]) -> None:
        cell, text, rev = message.get("cell"), message.get("text"), message.get("rev")
        if not (_is_name(cell) and _is_text(text) and _is_number(rev)):
            return
        with self._wake:
            if cell not in self._checks and len(self._checks) >= _MOST_WAITING:
                return
            self._checks[str(cell)] = (int(str(rev)), str(text))
            if self._cancel is not None and self._cancel[0] == cell:
                self._cancel[1].set()  # what runs is about an older text
            self._wake.notify_all()

    def _check_all(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._checks)
                if self._closed:
                    return
                name = next(iter(self._checks))
                rev, text = self._checks.pop(name)
                cancel = threading.Event()
                self._cancel = (name, cancel)
            items = self._check(text, cancel)
            with self._wake:
                self._cancel = None
                stale = self._closed or cancel.is_set()
            if not stale:
                self._send({"type": "diagnostics", "cell": name, "rev": rev, "items": items})

    def _check(self, text: str, cancel: threading.Event) -> list[Answer]:
        cell = rust_cell(text)
        if cell is None or not cell.driver:
            return []
        lines = text.replace("\r\n", "\n").split("\n")
        try:
            found = self._editor.check(cell, download=False, cancel=cancel, patience=_PATIENCE)
        except KernelLabError:
            # No compiler, a crate that is not downloaded, a constant that takes it minutes:
            # rust-analyzer finds less, but some.
            return self._quick(cell)
        return messages.from_compiler(found, cell, lines)

    def _quick(self, cell: RustCell) -> list[Answer]:
        return messages.from_analyzer(self._editor.hints(cell))

    # -- help -------------------------------------------------------------------------------------

    def _take_hover(self, message: Mapping[str, Any]) -> None:
        text, line, column = message.get("text"), message.get("line"), message.get("column")
        number = message.get("id")
        if not (_is_text(text) and all(map(_is_number, (line, column, number)))):
            return
        with self._wake:
            if len(self._hovers) >= _MOST_WAITING:
                return
            numbers = (int(str(number)), int(str(line)), int(str(column)))
            self._hovers.append((numbers[0], str(text), numbers[1], numbers[2]))
            self._wake.notify_all()

    def _hover_all(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._hovers)
                if self._closed:
                    return
                number, text, line, column = self._hovers.pop(0)
            self._send({"type": "hover", "id": number, "markdown": self._help(text, line, column)})

    def _help(self, text: str, line: int, column: int) -> str:
        from .analyzer import to_column

        cell = rust_cell(text)
        lines = text.replace("\r\n", "\n").split("\n")
        if cell is None or not 0 < line <= len(lines):
            return ""
        return self._editor.help(cell, line - 1, to_column(lines[line - 1], column)).markdown


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _BIGGEST
