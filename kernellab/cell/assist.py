"""Tab, Shift-Tab and ``%rustcheck`` in cells of Rust: what IPython asks, the editor answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from ..errors import UsageError
from .options import file_parser, parse_magic
from .rust_cell import RustCell, rust_cell
from .source import is_notebook
from .tools import ENDINGS, ShownProgress, without_traceback

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from ..build import Diagnostic
    from ..editing.analyzer import Completion
    from ..editing.help import Help
    from .tools import Progress

#: Most names that are offered at once.
_MOST = 1000

#: The comm of the front end's extension (:mod:`kernellab.editing.comm`).
_COMM = "kernellab.editor"

_CHECK = """Say what the compiler finds in a driver's cell, and build nothing.

    %rustcheck NAME          the cell of NAME as it was run or edited last
    %%rustcheck NAME ...     this cell: %%rustdriver with one word changed, same options

It costs a fraction of a build. What the linker alone finds, a missing entry point for instance, is
not among it. Messages name the cell's own lines; the magic's line is line 1.
"""


class Editor(Protocol):
    """What answers: :class:`kernellab.editing.editor.Editor`."""

    @property
    def trouble(self) -> str: ...
    def complete(self, cell: RustCell, line: int, column: int) -> Sequence[Completion]: ...
    def help(self, cell: RustCell, line: int, column: int) -> Help: ...
    def check(self, cell: RustCell, *, progress: Progress) -> Sequence[Diagnostic]: ...
    def known(self, driver: str) -> RustCell | None: ...
    def drivers(self) -> Sequence[str]: ...
    def files(self, driver: str) -> Sequence[str]: ...
    def messages(self, found: Sequence[Diagnostic]) -> object: ...
    def serve(self, send: Callable[[dict[str, Any]], None]) -> Served: ...


class Served(Protocol):
    """One front end's extension that is being answered: :class:`kernellab.editing.comm`."""

    def take(self, message: object) -> None: ...
    def close(self) -> None: ...


class Nothing(list[SimpleCompletion]):
    """No completion, and none of Python's either.

    IPython lets a matcher keep the others out only where it has completions itself.
    """

    def __len__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[SimpleCompletion]:
        return iter(())


class Assistant:
    """Completion and help for one shell."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._told = False

    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """The names that fit at the cursor of a Rust cell; nothing to say about other cells."""
        cell = rust_cell(context.full_text)
        if cell is None or context.cursor_line <= cell.above:
            return {"completions": [], "suppress": False}
        line = context.full_text.split("\n")[context.cursor_line]
        column = context.cursor_position
        try:
            found = self._editor.complete(cell, context.cursor_line, column)
        except KeyboardInterrupt:
            found = []
        if not found:
            self._tell()
            return {"completions": Nothing(), "suppress": True, "matched_fragment": ""}
        return {
            "completions": [SimpleCompletion(c.text, type=c.kind) for c in found[:_MOST]],
            "matched_fragment": line[found[0].start : column],
            "ordered": True,
            "suppress": True,
        }

    def _tell(self) -> None:
        """Say once why nothing comes."""
        trouble = self._editor.trouble
        if trouble and not self._told:
            self._told = True
            print(f"kernellab: {trouble}", file=sys.stderr)

    def inspect(self, code: object, cursor: object) -> dict[str, Any] | None:
        """The reply to an inspect request in a Rust cell; None where the cell is none."""
        if not isinstance(code, str) or not isinstance(cursor, int):
            return None
        cell = rust_cell(code)
        before = code[: max(cursor, 0)]
        line = before.count("\n")
        if cell is None or line <= cell.above:
            return None
        trouble = self._editor.trouble
        data = {"text/plain": trouble, "text/markdown": trouble}
        if not trouble:
            found = self._editor.help(cell, line, len(before) - before.rfind("\n") - 1)
            data = {"text/plain": found.plain, "text/markdown": found.markdown}
        shown = bool(data["text/plain"])
        return {"status": "ok", "found": shown, "data": data if shown else {}, "metadata": {}}


@magics_class
class AssistMagics(Magics):
    """``%rustcheck``."""

    def __init__(self, shell: InteractiveShell, editor: Editor) -> None:
        super().__init__(shell)
        self._editor = editor

    @line_cell_magic
    def rustcheck(self, line: str, cell: str | None = None) -> None:
        try:
            given = self._cell(line, cell)
            with ShownProgress(is_notebook(self.shell)) as progress:
                found = self._editor.check(given, progress=progress)
        except ENDINGS as error:
            raise without_traceback(error) from None
        if found:
            display(self._editor.messages(found))
        else:
            print("The compiler finds nothing to complain of.")

    rustcheck.__doc__ = _CHECK

    def _cell(self, line: str, cell: str | None) -> RustCell:
        if cell is not None:
            parse_magic(line)  # what is wrong with the options is said as %%rustdriver says it
            made = rust_cell(f"%%rustcheck {line}\n{cell}")
            if made is None:
                raise UsageError("%%rustcheck: the cell is too long")
            return made
        name = line.strip()
        if not name or name.startswith("-"):
            raise UsageError(_CHECK)
        known = self._editor.known(name)
        if known is None:
            raise UsageError(
                f"no `%%rustdriver {name}` cell was run here; in the cell itself"
                f" `%%rustcheck {name}` checks it"
            )
        return known


def _complete_file(editor: Editor, _: object, event: Any) -> list[str]:
    """Tab on the line of ``%%rustfile`` and ``%rustfile``: drivers, their files, the option."""
    words = event.line[: len(event.line) - len(event.symbol)].split()[1:]
    given = [word for word in words if not word.startswith("-")]
    found: list[str] = []
    if not given:
        found = list(editor.drivers())
    elif len(given) == 1:
        found = list(editor.files(given[0]))
    found += [flag for action in file_parser()._actions for flag in action.option_strings]
    return [each for each in found if each.startswith(event.symbol) and each not in words]


def _complete_check(editor: Editor, _: object, event: Any) -> list[str]:
    words = event.line[: len(event.line) - len(event.symbol)].split()[1:]
    return [] if words else [n for n in editor.drivers() if n.startswith(event.symbol)]


def register(shell: InteractiveShell, editor: Editor) -> None:
    """Add all of it to ``shell``; once, however often the extension is loaded."""
    assistant = Assistant(editor)
    shell.register_magics(AssistMagics(shell, editor))
    for magic in ("%%rustfile", "%rustfile"):
        shell.set_hook("complete_command", partial(_complete_file, editor), str_key=magic)
    for magic in ("%%rustcheck", "%rustcheck"):
        shell.set_hook("complete_command", partial(_complete_check, editor), str_key=magic)
    completer = shell.Completer
    if completer is not None:
        completer.custom_matchers[:] = [
            each
            for each in completer.custom_matchers
            if getattr(each, "matcher_identifier", "") != "kernellab.rust"
        ]

        def rust(context: CompletionContext) -> SimpleMatcherResult:
            return assistant.match(context)

        marked = context_matcher(identifier="kernellab.rust", priority=1000)(rust)
        completer.custom_matchers.append(marked)
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        _wrap_inspect(kernel, assistant)
        kernel.comm_manager.register_target(_COMM, partial(_open, editor))


def _wrap_inspect(kernel: Any, assistant: Assistant) -> None:
    """Have the kernel ask the assistant first; it has no hook for that."""
    original = getattr(kernel.do_inspect, "kernellab_original", kernel.do_inspect)

    def do_inspect(
        code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Sequence[str] = ()
    ) -> Any:
        reply = assistant.inspect(code, cursor_pos)
        return original(code, cursor_pos, detail_level, omit_sections) if reply is None else reply

    do_inspect.kernellab_original = original  # type: ignore[attr-defined]
    kernel.do_inspect = do_inspect


def _open(editor: Editor, comm: Any, _: object) -> None:
    """The front end opens the comm."""
    # As its panes' comms: heard in the subshell where the front end asks (see pane/_widget.py).
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None
    served = editor.serve(comm.send)
    comm.on_msg(lambda message: served.take(message.get("content", {}).get("data")))
    comm.on_close(lambda _: served.close())
