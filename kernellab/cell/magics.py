"""``%%rustdriver``: the magic, its help and its tab completion. Thin over the workbench."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.display import display

from ..errors import KernelLabError
from .options import complete_magic, magic_help, parse_magic
from .source import CellSource, cell_source, variable_name

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


class Runner(Protocol):
    """What builds and runs a cell: :class:`kernellab.cellrun.Workbench`."""

    def run_cell(
        self,
        source: CellSource,
        options: Namespace,
        *,
        bind: Callable[[object], None],
        display: Callable[..., Any],
        rich: bool,
    ) -> None:
        """Build, load and show; ``bind`` gets the driver. Raises KernelLabError."""

    def values_of(self, option: str) -> Sequence[str]:
        """What ``option`` of the magic can be, for completion."""


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
            self._runner.run_cell(
                source,
                options,
                bind=lambda value: self._bind(variable_name(options.name), value),
                display=display,
                rich=is_notebook(self.shell),
            )
        except KernelLabError as error:
            raise _without_traceback(error) from None

    rustdriver.__doc__ = _HELP + magic_help()

    def _bind(self, name: str, value: object) -> None:
        self._names[name] = value


def is_notebook(shell: object) -> bool:
    """Whether the front end shows rich output; a terminal's IPython does not."""
    return type(shell).__name__ != "TerminalInteractiveShell" and "ipykernel" in sys.modules


def _without_traceback(error: KernelLabError) -> KernelLabError:
    """``error`` shown by its message alone: kernellab's own frames tell a user nothing."""
    text = f"{type(error).__name__}: {error}"
    error._render_traceback_ = lambda *_: [text]  # type: ignore[attr-defined]
    return error


def _complete(runner: Runner, _: object, event: Any) -> list[str]:
    """Tab on the magic's line; IPython asks with the line up to the cursor."""
    words = event.line[: len(event.line) - len(event.symbol)].split()
    if not words or words[0] != "%%rustdriver":
        return []
    return complete_magic(words[1:], event.symbol, runner.values_of)


def register(shell: InteractiveShell, runner: Runner) -> None:
    """Add the magics and their completion to ``shell``."""
    shell.register_magics(KernelLabMagics(shell, runner))
    shell.set_hook("complete_command", partial(_complete, runner), str_key="%%rustdriver")
