"""``%rustfmt``, ``%rustc`` and ``%expand``: the magics that help with editing, and completion."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, Self

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from ..errors import BuildError, KernelLabError, UsageError
from .source import CellSource, cell_source, is_notebook

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


#: Called with (done, total, what); total is 0 where it is not known.
Progress = Callable[[int, int, str], None]


class Commands(Protocol):
    """What the magics do: :class:`kernellab.editing.commands.Commands`."""

    def names(self) -> list[str]: ...
    def paths(self, name: str) -> list[str]: ...
    def codes(self) -> list[str]: ...
    def format(self, name: str, path: str, raw: Callable[[str], str]) -> Sequence[Any]: ...
    def reformat(self, source: CellSource, magic: str, path: str, cell: str) -> Any: ...
    def explain(self, codes: Sequence[str]) -> Sequence[object]: ...
    def expand(self, name: str, item: str, progress: Progress) -> object: ...
    def functions(self, name: str) -> list[str]: ...
    def compiler_version(self) -> str: ...
    def messages(self, error: BuildError) -> object: ...


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError(message or "")


def _parser(name: str) -> _Parser:
    return _Parser(prog=f"%{name}", add_help=False, allow_abbrev=False)


def rustfmt_parser() -> argparse.ArgumentParser:
    """The parser for the line of ``%rustfmt``."""
    parser = _parser("rustfmt")
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the driver (the last)")
    parser.add_argument("path", metavar="PATH", nargs="?", default="", help="one of its files only")
    parser.add_argument("--check", action="store_true", help="say whether, and change nothing")
    return parser


def rustc_parser() -> argparse.ArgumentParser:
    """The parser for the line of ``%rustc``."""
    parser = _parser("rustc")
    parser.add_argument("codes", metavar="CODE", nargs="*", help="an error code, such as E0502")
    parser.add_argument(
        "--explain", action="store_true", help="explain CODE, or the last failed build's codes"
    )
    parser.add_argument("--version", action="store_true", help="which compiler builds drivers")
    return parser


def expand_parser() -> argparse.ArgumentParser:
    """The parser for the line of ``%expand``."""
    parser = _parser("expand")
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the driver (the last)")
    parser.add_argument(
        "item", metavar="ITEM", nargs="?", default="", help="a function, type or module of it only"
    )
    return parser


_FORMAT = """Format a driver's cell, and its further files, with rustfmt.

Shows what changes. Where the front end has kernellab's extension the cells are replaced, and
Ctrl-Z takes that back; a cell that was edited since it was run is left alone. `%%rustdriver NAME
--fmt` formats its own cell each time it runs, in any front end. A cell that is not Rust yet is not
changed: the message names its line.

"""
_RUSTC = """Show what rustc says of an error code.

    %rustc --explain E0502     (or: %rustc E0502)
    %rustc --explain           the codes of the last build that failed

"""
_EXPAND = """Show a driver's cell with its macros expanded, as the compiler sees it.

    %expand hello                  the whole cell, its further files inside
    %expand hello Module::init     one function, type (with its impl blocks) or module

The text is rustc's (-Zunpretty=expanded), formatted by rustfmt where there is one. It is to be
read: comments are left out, names from macros can stand in it twice, and not all of it compiles
again.

"""


@magics_class
class ToolMagics(Magics):
    """The magics for editing that ``%load_ext kernellab`` brings."""

    def __init__(self, shell: InteractiveShell, commands: Commands) -> None:
        super().__init__(shell)
        self._commands = commands

    @line_magic
    def rustfmt(self, line: str) -> None:
        self._do(rustfmt_parser(), line, self._format)

    rustfmt.__doc__ = _FORMAT + rustfmt_parser().format_help()

    @line_magic
    def rustc(self, line: str) -> None:
        for word in line.split():
            if word.startswith("-") and word not in ("--explain", "--version", "-h", "--help"):
                raise without_traceback(
                    UsageError(
                        f"%rustc has --explain and --version only, not {word}: a `%%rustdriver`"
                        " cell compiles, and its options (`--release`, `--dep`) say how"
                    )
                )
        self._do(rustc_parser(), line, self._explain)

    rustc.__doc__ = _RUSTC + rustc_parser().format_help()

    @line_magic
    def expand(self, line: str) -> None:
        self._do(expand_parser(), line, self._expand)

    expand.__doc__ = _EXPAND + expand_parser().format_help()

    def _do(
        self,
        parser: argparse.ArgumentParser,
        line: str,
        command: Callable[[argparse.Namespace], None],
    ) -> None:
        """Run ``command`` with what the line says; errors are shown by their message alone."""
        try:
            try:
                words = shlex.split(line)
            except ValueError as error:
                raise UsageError(f"{parser.prog}: {str(error).lower()}") from None
            if {"-h", "--help", "?"} & set(words):
                raise UsageError(parser.format_help())
            command(parser.parse_args(words))
        except BuildError as error:
            if error.diagnostics:
                display(self._commands.messages(error))
            raise without_traceback(error) from None
        except ENDINGS as error:
            raise without_traceback(error) from None

    def _format(self, given: argparse.Namespace) -> None:
        raw = partial(raw_text, self.shell)
        for change in self._commands.format(given.name, given.path, raw):
            if not given.check or not change.changed:
                display(change)
            else:
                print(f"{change.title} is not formatted: `%rustfmt {given.name}` shows how.")

    def _expand(self, given: argparse.Namespace) -> None:
        rich = is_notebook(self.shell)
        with ShownProgress(rich) as progress:
            found = self._commands.expand(given.name, given.item, progress)
        if rich:
            display(found)
        else:
            print(coloured(str(found)), end="")

    def _explain(self, given: argparse.Namespace) -> None:
        if given.version:
            print(self._commands.compiler_version())
            return
        if not given.codes and not given.explain:
            raise UsageError(rustc_parser().format_help())
        for explanation in self._commands.explain(given.codes):
            display(explanation)


def coloured(rust: str) -> str:
    """Rust for a terminal, in colours where it has them."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return rust
    from pygments import highlight
    from pygments.formatters import TerminalFormatter
    from pygments.lexers import RustLexer

    return str(highlight(rust, RustLexer(), TerminalFormatter(bg="dark")))


@contextmanager
def formatted(
    shell: Any, commands: Commands, source: CellSource, line: str, *, path: str = ""
) -> Iterator[CellSource]:
    """The cell ``source`` (``line`` is its magic's) as rustfmt writes it, for the block to run.

    The front end gets it in the place of the cell when the block has ended well. Where the block
    fails the front end would not take it, and so the change is shown.
    """
    magic = "rustfile" if path else "rustdriver"
    change = commands.reformat(source, magic, path, raw_text(shell, source.cell))
    if change is None:
        yield source
        return
    now = cell_source(source.name, line, change.body, magic)
    try:
        yield now
    except BuildError:
        raise  # its messages are about the cell as it is written
    except BaseException:
        display(change)
        raise
    if is_notebook(shell):
        shell.set_next_input(change.after, replace=True)
    else:
        display(change)


class ShownProgress:
    """How far a command is, as an output that comes when it takes more than a second.

    The result, when it is there, takes its place.
    """

    def __init__(self, rich: bool, after: float = 1.0) -> None:
        self._rich = rich
        self._text = self._shown = ""
        self._handle: Any = None
        self._lock = threading.Lock()
        self._late = False
        # The cell that an output belongs to goes with the context.
        self._timer = threading.Timer(after, copy_context().run, [self._speak])
        self._timer.daemon = True

    def __call__(self, done: int, total: int, what: str) -> None:
        with self._lock:
            self._text = f"{what} ({done} of {total})" if total else what
            if self._late:
                self._show()

    def _speak(self) -> None:
        with self._lock:
            self._late = True
            self._show()

    def _show(self) -> None:
        text = f"{self._text or 'compiling'} …"
        if text == self._shown:
            return
        self._shown = text
        if not self._rich:
            print(text)
        elif self._handle is None:
            self._handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": text}, raw=True)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._late = False
            if self._handle is not None:
                self._handle.update({"text/plain": ""}, raw=True)


def raw_text(shell: Any, cell: str) -> str:
    """The text of the cell that was run as ``cell``, just as its author has it.

    IPython passes a magic its cell with blank ends cut off and a line feed behind. Where the
    history does not have the cell, what was passed is as near as can be.
    """
    wanted = _essence(cell)
    for text in reversed(shell.history_manager.input_hist_raw):
        if cell[:3] in text and _essence(text) == wanted:
            return str(text)
    return cell.rstrip("\n")


def _essence(cell: str) -> str:
    first, _, rest = cell.replace("\r\n", "\n").lstrip().partition("\n")
    return f"{' '.join(first.split())}\n{rest.rstrip()}"


#: What a magic ends with, shown by its message alone (:func:`without_traceback`).
ENDINGS: Final = (KernelLabError, KeyboardInterrupt)


def without_traceback(error: BaseException) -> BaseException:
    """``error`` shown by its message alone: kernellab's own frames tell a user nothing.

    Nor do they after ■, where IPython takes up to seconds to lay them out.
    """
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    error._render_traceback_ = lambda *_: [text]  # type: ignore[attr-defined]
    return error


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]


def complete(commands: Commands, _: object, event: Any) -> list[str]:
    """Tab on the line of one of these magics: names, files, error codes, options."""
    words = event.line[: len(event.line) - len(event.symbol)].split()
    magic, given = (words or [""])[0], [w for w in words[1:] if not w.startswith("-")]
    found: list[str] = []
    if magic == "%rustfmt":
        found = commands.names() if not given else commands.paths(given[0])[: 99 * (len(given) < 2)]
        found += _flags(rustfmt_parser())
    elif magic == "%expand":
        found = commands.names() if not given else commands.functions(given[0])
    elif magic == "%rustc":
        found = commands.codes() + _flags(rustc_parser())
    used = set(words)
    return [each for each in found if each.startswith(event.symbol) and each not in used]


def register(shell: InteractiveShell, commands: Commands) -> None:
    """Add the magics and their completion to ``shell``."""
    shell.register_magics(ToolMagics(shell, commands))
    for magic in ("%rustfmt", "%rustc", "%expand"):
        shell.set_hook("complete_command", partial(complete, commands), str_key=magic)
