"""What a notebook knows of the Rust that is being written in it: completion, help, messages.

Joins the notebook's drivers and their files (``workbench``), the crates that they are built with
(:mod:`.crates`) and rust-analyzer.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..cell.rust_cell import RustCell, rust_cell
from ..errors import KernelLabError, ToolchainError, UsageError
from .help import Help

if TYPE_CHECKING:
    from ..build import Diagnostic
    from ..cell.source import CellSource
    from .analyzer import Analyzer, Completion, Hint
    from .comm import EditorComm
    from .crates import Crates

#: Where no rust-analyzer is wanted: KERNELLAB_RUST_ANALYZER=off.
OFF: Final = "off"

#: Seconds that a Tab waits for rust-analyzer, at most.
PATIENCE: Final = 3.0

#: Where one driver's text is in the crate, for a cell that has no name yet.
_UNNAMED: Final = "unnamed"
_UNNAMED_FILE: Final = "unnamed.rs"


class Editor:
    """Answers about the cells of one notebook; safe to use from several threads.

    ``files_of`` gives the further files of a driver, by path; ``patience`` is how many seconds
    a question waits for its answer.
    """

    def __init__(
        self, files_of: Callable[[str], Mapping[str, CellSource]], patience: float = PATIENCE
    ) -> None:
        self._files_of, self._patience = files_of, patience
        self._analyzer: Analyzer | None = None
        self._lock = threading.Lock()
        self._looked = threading.Event()
        self._closed = False
        self._seen: dict[str, RustCell] = {}  # by driver, as seen last
        self._seen_files: dict[str, dict[str, str]] = {}  # further files by driver and path
        self._ran: dict[str, None] = {}
        self._crates: Crates | None = None
        self._last: tuple[object, list[Completion]] | None = None
        #: Why there is no rust-analyzer; empty where there is one, or it is not known yet.
        self.missing = ""

    # -- start and end --------------------------------------------------------------------------

    def start(self) -> None:
        """Find rust-analyzer and start it; returns as soon as it is on its way."""
        from ..build import find_analyzer, find_toolchain
        from .analyzer import Analyzer
        from .crates import Crates

        try:
            if os.environ.get("KERNELLAB_RUST_ANALYZER") == OFF:
                self.missing = "rust-analyzer is switched off (KERNELLAB_RUST_ANALYZER=off)"
                return
            try:
                toolchain = find_toolchain()
            except ToolchainError:
                toolchain = None
            tools = find_analyzer(toolchain)
            crates = Crates(tools.library, toolchain.home if toolchain else None)
            analyzer = Analyzer([str(tools.program)], crates.describe({}))
            with self._lock:
                if self._closed:
                    return
                self._crates, self._analyzer = crates, analyzer
            analyzer.start()
        except KernelLabError as error:
            self.missing = str(error)
        finally:
            self._looked.set()

    def close(self) -> None:
        """End rust-analyzer."""
        with self._lock:
            self._closed = True
            analyzer, self._analyzer = self._analyzer, None
        self._looked.set()
        if analyzer is not None:
            analyzer.close()

    def wait(self, timeout: float) -> bool:
        """Whether rust-analyzer is warm within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        if not self._looked.wait(timeout) or self._analyzer is None:
            return False
        return self._analyzer.wait(max(end - time.monotonic(), 0))

    def wait_found(self, timeout: float) -> bool:
        """Whether it is known within ``timeout`` seconds if there is a rust-analyzer."""
        return self._looked.wait(timeout)

    @property
    def analyzer(self) -> Analyzer | None:
        """The rust-analyzer that runs, if one does."""
        return self._analyzer

    @property
    def trouble(self) -> str:
        """Why nothing comes from rust-analyzer; empty where it is there or on its way."""
        return self.missing or (self._analyzer.trouble if self._analyzer is not None else "")

    # -- questions ----------------------------------------------------------------------------

    def complete(self, cell: RustCell, line: int, column: int) -> list[Completion]:
        """What can stand before ``column`` (in characters) of the cell's ``line`` (from 0).

        Best first; none where nothing fits or rust-analyzer is not there. KeyboardInterrupt
        passes through.
        """
        from .analyzer import items

        text = self._line(cell, line)
        if text is None or not 0 <= column <= len(text):
            return []
        row, begin = line - cell.above, items.word_start(text, column)
        lines = cell.text.split("\n")
        lines[row] = text[:begin] + text[column:]
        # The names at a place stay while its word grows: asked for once, chosen from here.
        place = (cell.driver, cell.path, row, begin, "\n".join(lines), text[begin : begin + 1])
        with self._lock:
            if self._last is not None and self._last[0] == place:
                return items.fitting(self._last[1], text[begin:column])
        answer = self._ask("textDocument/completion", cell, line, column)
        if answer is None:
            return []
        everything = items.completions(answer, text, column)
        with self._lock:
            self._last = (place, everything)
        return items.fitting(everything, text[begin:column])

    def help(self, cell: RustCell, line: int, column: int) -> Help:
        """What is known of the place; empty where that is nothing."""
        from .analyzer import items

        text = self._line(cell, line)
        if text is None or not 0 <= column <= len(text):
            return Help()
        if not self.wait(self._patience):
            return Help(hover="" if self.trouble else "rust-analyzer is starting: ask again.")
        on = column  # behind a word is on it
        hover = items.hover(self._ask("textDocument/hover", cell, line, on))
        if not hover and items.word_start(text, column) < column:
            on = column - 1
            hover = items.hover(self._ask("textDocument/hover", cell, line, on))
        signature = items.signature(self._ask("textDocument/signatureHelp", cell, line, column))
        links: list[tuple[str, str]] = []
        if hover:
            routine = _ROUTINE.search(hover)
            if routine:
                links.append((f"{routine[1]} in Microsoft's documentation", _WDK + routine[1]))
            elif "windows_kernel_" not in hover.partition("\n```\n")[0]:
                answer = self._ask("experimental/externalDocs", cell, line, on)
                address = items.link(answer)
                if address and "windows_kernel_" not in address:
                    links.append(("Documentation", address))
        return Help(signature, _OWN_LINK.sub(r"\1", hover), tuple(links))

    def hints(self, cell: RustCell) -> list[Hint]:
        """Quick messages about the cell, from rust-analyzer alone; lines are the cell's."""
        from .analyzer import Position, items

        answer = self._ask("textDocument/diagnostic", cell, cell.above + 1, 0)
        down = cell.above
        return [
            items.moved(hint, lambda p: Position(p.line + down, p.column))
            for hint in items.hints(answer)
            if hint.start.line > 0
        ]

    def check(
        self,
        cell: RustCell,
        *,
        download: bool = True,
        progress: Callable[[int, int, str], None] | None = None,
        cancel: threading.Event | None = None,
        patience: float | None = None,
    ) -> list[Diagnostic]:
        """What the compiler says of the cell's driver.

        Arguments and errors are those of :func:`sources.check_text`.
        """
        from ..sources import check_text

        self.saw(cell)
        files = dict(self._sources(cell))
        text = files.pop("")
        modules = {path: source for path, source in files.items() if path}
        known = self.known(cell.driver)
        return check_text(
            cell.driver or _UNNAMED,
            text,
            dependencies=(known or cell).dependencies,
            modules=modules,
            download=download,
            progress=progress,
            cancel=cancel,
            patience=patience,
        )

    def saw(self, cell: RustCell) -> None:
        """Remember the cell as the last state of its driver: it is run, or being written."""
        if cell.driver and cell.magic != "rustfile":
            self._seen[cell.driver] = cell
        elif cell.driver and cell.path:
            self._seen_files.setdefault(cell.driver, {})[cell.path] = cell.text

    def drivers(self) -> list[str]:
        """The drivers whose cells were run, for completion."""
        return list(self._ran)

    def files(self, driver: str) -> list[str]:
        """The paths of a driver's further files."""
        return sorted(self._files_of(driver))

    def messages(self, found: Sequence[Diagnostic]) -> object:
        """The compiler's messages as something to display."""
        from .report import Messages

        return Messages(found)

    def serve(self, send: Callable[[dict[str, Any]], None]) -> EditorComm:
        """Answer a front end's extension that listens at ``send``."""
        from .. import __version__
        from .comm import EditorComm

        return EditorComm(self, send, __version__)

    def ran(self, text: str) -> None:
        """The cell ``text`` is being run."""
        cell = rust_cell(text)
        if cell is not None:
            self.saw(cell)
            self._ran[cell.driver] = None

    # -- documents --------------------------------------------------------------------------------

    def warm_check(self) -> None:
        """Have what checks need compiled, so that the first one is quick. Errors as for check."""
        from ..sources import warm_check

        warm_check()

    def known(self, driver: str) -> RustCell | None:
        """The cell of ``driver`` as it was seen or run last."""
        return self._seen.get(driver)

    def _line(self, cell: RustCell, line: int) -> str | None:
        """The text of a line of Rust in the cell; None for the magic's own and beyond the end."""
        lines = cell.text.split("\n")
        row = line - cell.above
        return lines[row] if 0 < row < len(lines) else None

    def _sources(self, cell: RustCell) -> dict[str, str]:
        """The files of the cell's driver, with the cell's own text as it is now."""
        driver = cell.driver or _UNNAMED
        files = {path: each.text for path, each in self._files_of(driver).items()}
        if cell.magic != "rustfile":
            return {**files, "": cell.text}
        known = self.known(driver)
        files[""] = "" if known is None else known.text
        path = cell.path or _UNNAMED_FILE
        files[path] = cell.text
        stem = path.rpartition("/")[2].removesuffix(".rs")
        if not any(re.search(rf"\bmod\s+{re.escape(stem)}\b", text) for text in files.values()):
            # The line `mod …;` that brings it in is not written yet.
            files[""] += f'\n#[path = "{path}"]\nmod {stem};\n'
        return files

    def _documents(self, cell: RustCell) -> dict[str, str]:
        """The same for rust-analyzer.

        What was written only, and not run, stays: each file that comes or goes costs a second.
        """
        files = {**self._seen_files.get(cell.driver, {}), **self._sources(cell)}
        files[""] = _for_analysis(files[""])
        return {path: text for path, text in files.items() if not path or path.endswith(".rs")}

    def _ask(self, method: str, cell: RustCell, line: int, column: int) -> Any:
        """rust-analyzer's answer; None where there is none, or none in time."""
        from .analyzer import ROOT_FILE, Gone, NotReady, to_utf16

        analyzer = self._analyzer
        if analyzer is None or not analyzer.wait(self._patience):
            return None
        text = self._line(cell, line)
        where = {"line": line - cell.above, "character": to_utf16(text or "", column)}
        params = {} if method.endswith("/diagnostic") else {"position": where}
        if self._crates is not None:
            self._crates.widen(cell, analyzer)
        self.saw(cell)
        own = cell.path or _UNNAMED_FILE if cell.magic == "rustfile" else ROOT_FILE
        try:
            folder = analyzer.set_files(cell.driver or _UNNAMED, self._documents(cell))
            return analyzer.ask(method, folder / own, params, timeout=self._patience)
        except (NotReady, Gone):
            return None


#: The bindings' functions by rust-analyzer's words for them: `<extern>` is the kernel's own.
_ROUTINE: Final = re.compile(
    r"windows_kernel_sys::[\w:]*<extern>\n```\n+```rust\n(?:pub )?(?:unsafe )?"
    r'(?:extern "[\w-]+" )?fn (\w+)'
)
_WDK: Final = "https://learn.microsoft.com/en-us/search/?scope=Windows&terms="

#: Links to pages of the framework: it is on no page.
_OWN_LINK: Final = re.compile(r"\[([^\]\n]*)\]\(https://docs\.rs/windows_kernel_[^)\s]*\)")


def _for_analysis(text: str) -> str:
    """A driver's source as it is built: without front matter, and ``no_std`` on its empty line."""
    from ..crate import split_dependencies
    from ..crate.rust_source import crate_attributes

    try:
        text, _ = split_dependencies(text)
    except UsageError:
        pass
    return text if "no_std" in crate_attributes(text) else f"#![no_std]{text}"
