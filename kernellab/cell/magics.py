"""``%%rustdriver``: the magic, its help and its tab completion. Thin over the workbench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class
from IPython.display import display

from ..errors import UsageError
from . import assist, tools
from .options import complete_magic, file_parser, magic_help, parse_file_magic, parse_magic
from .source import (
    NOWHERE,
    CellSource,
    Place,
    cell_source,
    is_notebook,
    place_of,
    variable_name,
)
from .tools import ENDINGS, formatted, without_traceback

if TYPE_CHECKING:
    from argparse import Namespace

    from IPython.core.interactiveshell import InteractiveShell

_HELP = """Build the cell as a Windows kernel driver, load it on a target, show its log.

The cell is Rust. It ends with `kernel_module!(Type)` for a type that implements
`windows_kernel_rs::KernelModule`, or it defines `DriverEntry` itself. NAME becomes a Python
object: NAME.log, NAME.unload(), NAME.reload(), NAME.open(), NAME.state. Running the cell again
unloads the driver, builds it and loads it anew. Messages name the cell's own lines; the magic's
line is line 1.

"""


_FILE_HELP = """A further file of a driver: a module, say, that its cell names with `mod proto;`.

    %%rustfile echo proto.rs
    pub const LIMIT: usize = 64;

The file is built with the driver when its `%%rustdriver echo` cell runs next; messages name the
file and this cell's own lines. `%rustfile echo` lists the files that echo has, and
`%rustfile echo proto.rs --remove` takes one away.

"""


class Runner(Protocol):
    """What builds and runs a cell: :class:`kernellab.workbench.Workbench`."""

    def run_cell(
        self,
        source: CellSource,
        options: Namespace,
        *,
        bind: Callable[[object], None],
        display: Callable[..., Any],
        rich: bool,
        as_written: CellSource | None = None,
        place: Place = NOWHERE,
    ) -> None:
        """Build, load and show; ``bind`` gets the driver. Raises KernelLabError.

        ``as_written`` is the cell where ``source`` is it formatted: what does not build is built
        so, for messages in its lines. ``place`` is where in the notebook it is.
        """

    def add_file(self, driver: str, path: str, source: CellSource) -> None:
        """Make the cell a further file of ``driver``. Raises UsageError."""

    def remove_file(self, driver: str, path: str) -> None:
        """Take a file of ``driver`` away. Raises UsageError where there is none."""

    def files_of(self, driver: str) -> Mapping[str, CellSource]:
        """The further files of ``driver``, by path."""

    def settle(self, result: object = None) -> None:
        """A cell has ended, whichever it was."""

    def values_of(self, option: str, driver: str = "") -> Sequence[str]:
        """What ``option`` of the magic can be on the line of ``driver``, for completion."""

    @property
    def editor(self) -> assist.Editor:
        """What completes and checks cells while they are written."""

    @property
    def editing(self) -> tools.Commands:
        """What the magics for editing do."""


@magics_class
class KernelLabMagics(Magics):
    """The magics that ``%load_ext kernellab`` brings."""

    def __init__(self, shell: InteractiveShell, runner: Runner) -> None:
        super().__init__(shell)
        self._names = shell.user_ns
        self._runner = runner

    @cell_magic
    def rustdriver(self, line: str, cell: str) -> None:
        try:
            options = parse_magic(line)
            source = cell_source(options.name, line, cell)
            run = partial(
                self._runner.run_cell,
                options=options,
                bind=lambda value: self._bind(variable_name(options.name), value),
                display=display,
                rich=is_notebook(self.shell),
                place=place_of(self.shell),
            )
            if not options.fmt:
                run(source)
                return
            with formatted(self.shell, self._runner.editing, source, line) as now:
                run(now, as_written=source)
        except ENDINGS as error:
            raise without_traceback(error) from None

    rustdriver.__doc__ = _HELP + magic_help()

    @line_cell_magic
    def rustfile(self, line: str, cell: str | None = None) -> None:
        try:
            options = parse_file_magic(line)
            if cell is not None and options.path and not options.remove:
                source = cell_source(options.name, line, cell, "rustfile")
                self._add_file(source, line, options)
                print(f"{options.path} goes into {options.name}: run its %%rustdriver cell.")
            elif cell is None and options.path and options.remove:
                self._runner.remove_file(options.name, options.path)
                print(f"{options.path} is taken away from {options.name}.")
            elif cell is None and not options.path and not options.remove:
                self._list_files(options.name)
            else:
                raise UsageError(file_parser().format_help())
        except ENDINGS as error:
            raise without_traceback(error) from None

    rustfile.__doc__ = _FILE_HELP + file_parser().format_help()

    def _add_file(self, source: CellSource, line: str, options: Namespace) -> None:
        if not options.fmt or not options.path.endswith(".rs"):
            self._runner.add_file(options.name, options.path, source)
            return
        commands = self._runner.editing
        with formatted(self.shell, commands, source, line, path=options.path) as now:
            self._runner.add_file(options.name, options.path, now)

    def _list_files(self, name: str) -> None:
        files = self._runner.files_of(name)
        for path, source in sorted(files.items()):
            print(f"{path}: {source.text.count(chr(10))} lines")
        if not files:
            print(f"{name} has no further files: `%%rustfile {name} PATH` makes one.")

    def _bind(self, name: str, value: object) -> None:
        self._names[name] = value


def _complete(runner: Runner, _: object, event: Any) -> list[str]:
    """Tab on the magic's line; IPython asks with the line up to the cursor."""
    words = event.line[: len(event.line) - len(event.symbol)].split()
    if not words or words[0] != "%%rustdriver":
        return []
    name = words[1] if len(words) > 1 else ""
    return complete_magic(words[1:], event.symbol, partial(runner.values_of, driver=name))


def register(shell: InteractiveShell, runner: Runner) -> None:
    """Add the magics and their completion to ``shell``."""
    shell.register_magics(KernelLabMagics(shell, runner))
    shell.events.register("post_run_cell", runner.settle)
    shell.set_hook("complete_command", partial(_complete, runner), str_key="%%rustdriver")
    tools.register(shell, runner.editing)
    assist.register(shell, runner.editor)
