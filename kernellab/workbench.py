"""What a notebook keeps between its cells: targets, drivers, files, and the panes on its page."""

from __future__ import annotations

import atexit
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from .cell.source import NOWHERE, Place
from .cellrun import CellRun
from .errors import KernelLabError, UsageError
from .verifier import EVERY_RULE
from .view.cellpanes import CellPanes

if TYPE_CHECKING:
    from .build import Diagnostic
    from .cell.source import CellSource
    from .driver import Driver
    from .editing.commands import Commands
    from .editing.editor import Editor
    from .lab import Target


class Workbench:
    """The targets and panes of one notebook. A target is shared by all of its cells."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}
        self._runs: dict[str, CellRun] = {}
        self._files: dict[str, dict[str, CellSource]] = {}
        self._panes = CellPanes()
        self._lock = threading.Lock()
        self._warming: threading.Thread | None = None
        atexit.register(self.close)

    def target(self, name: str, *, fresh: bool = False) -> Target:
        """The notebook's target ``name``, connected when first asked for.

        ``fresh``: as it was in its snapshot; what ran on it is gone.
        """
        from .lab import connect

        with self._lock:
            if name not in self._targets:
                self._targets[name] = connect(name, fresh=fresh)
            elif fresh:
                self._targets[name].refresh()
            return self._targets[name]

    def driver(self, name: str) -> Driver | None:
        """The driver that was loaded last under ``name`` on one of the targets, if any was."""
        found = (target.drivers.get(name) for target in self._targets.values())
        return next((driver for driver in found if driver is not None), None)

    def does_not_build(self, name: str) -> bool:
        """Whether the cell of ``name`` did not build when it was run last."""
        run = self._runs.get(name)
        return run is not None and run.does_not_build

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
        """Build the cell, unload what it built before, load it, and show its log.

        ``as_written`` is the cell where ``source`` is it formatted; ``place`` is where in the
        notebook it is.
        """
        self.editor.ran(source.cell)
        previous = self._runs.pop(source.name, None)  # and to the end: the last that was run
        run = CellRun(self, source, options, display, rich, as_written)
        self._runs[source.name] = run
        try:
            run.run(previous, bind)
        finally:
            self._panes.add(place, run)
            self._panes.trim()

    def add_file(self, driver: str, path: str, source: CellSource) -> None:
        """Make a cell a further file of ``driver``. Raises UsageError for a bad name or path."""
        from .crate import validate_module, validate_name

        validate_name(driver)
        self._files.setdefault(driver, {})[validate_module(path)] = source

    def remove_file(self, driver: str, path: str) -> None:
        """Take a file of ``driver`` away. Raises UsageError where there is none."""
        if self._files.get(driver, {}).pop(path, None) is None:
            raise UsageError(f"{driver} has no file {path!r}: `%rustfile {driver}` lists them")

    def files_of(self, driver: str) -> Mapping[str, CellSource]:
        """The further files of ``driver``, by path."""
        return self._files.get(driver, {})

    def settle(self, _: object = None) -> None:
        """A cell has ended: what it changed is in the saved form of every pane."""
        for run in list(self._runs.values()):
            run.settle()

    def sources(self) -> Mapping[str, CellSource]:
        """The cells that were run, by driver, the last one at the end."""
        return {name: run.source for name, run in self._runs.items()}

    def options_of(self, driver: str) -> Namespace:
        """The options that the cell of ``driver`` was run with; KeyError where none was."""
        return self._runs[driver].options

    def last_diagnostics(self) -> Sequence[Diagnostic]:
        """What the compiler said of the cell that was built last without success."""
        failed = (run.diagnostics for run in reversed(self._runs.values()) if run.does_not_build)
        return next(failed, ())

    @cached_property
    def editing(self) -> Commands:
        """What ``%rustfmt`` and its like do."""
        from .editing.commands import Commands

        return Commands(self)

    @cached_property
    def editor(self) -> Editor:
        """What is known of the Rust that is being written; it starts with :meth:`warm`."""
        from .editing.editor import Editor

        return Editor(self.files_of)

    def values_of(self, option: str, driver: str = "") -> Sequence[str]:
        """What ``--no-verify`` can be: the rules of the default target's verifier; what ``--asm``
        can be: the functions in the driver's cell; what ``--target`` can be."""
        if option in ("--target", "-t"):
            from .target import registry

            return registry.names()
        if option == "--asm" and driver in self._runs:
            return self.editing.functions(driver)
        if option != "--no-verify":
            return ()
        from .target import registry

        return [EVERY_RULE, *(rule.name for rule in registry.get("sim").rules())]

    def warm(self) -> None:
        """Import what the first cell needs and start a simulator, in the background."""
        if self._warming is None:
            self._warming = threading.Thread(target=self._warm, name="kernellab-warm", daemon=True)
            self._warming.start()

    def _warm(self) -> None:
        # A short pause: the front end's own first requests come right after %load_ext.
        time.sleep(0.05)
        try:
            from .target import registry

            registry.get("sim").warm()
            self.editor.start()
            from . import lab, pane, sources  # noqa: F401

            pane.warm()
            sources.warm()
        except KernelLabError:
            pass  # the cell that needs it says it, where the user looks

    def close(self) -> None:
        """End every target of this notebook, and its rust-analyzer."""
        self.editor.close()
        for run in self._runs.values():
            run.ignore()  # what the end of its machine changes, nobody sees any more
        for target in self._targets.values():
            target.close()
        if self._targets or self._warming:
            from .target import registry

            registry.get("sim").cool()


@cache
def workbench() -> Workbench:
    """The one workbench of this Python process."""
    return Workbench()
