"""What a notebook keeps between its cells, and one cell's run from source to pane."""

from __future__ import annotations

import atexit
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import BuildError, KernelLabError, NtStatusError, UsageError

if TYPE_CHECKING:
    from .build import BuildResult
    from .cell.source import CellSource
    from .driver import Driver
    from .lab import Target
    from .protocol import Event


class Workbench:
    """The targets and panes of one notebook. A target is shared by all of its cells."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}
        self._runs: dict[str, CellRun] = {}
        self._lock = threading.Lock()
        self._warming: threading.Thread | None = None
        atexit.register(self.close)

    def target(self, name: str) -> Target:
        """The notebook's target ``name``, connected when first asked for."""
        from .lab import connect

        with self._lock:
            if name not in self._targets:
                self._targets[name] = connect(name)
            return self._targets[name]

    def run_cell(
        self,
        source: CellSource,
        options: Namespace,
        *,
        bind: Callable[[object], None],
        display: Callable[..., Any],
        rich: bool,
    ) -> None:
        """Build the cell, unload what it built before, load it, and show its log."""
        previous = self._runs.pop(source.name, None)
        run = CellRun(self, source, options, display, rich)
        self._runs[source.name] = run
        run.run(previous, bind)

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
            from . import lab, pane, sources  # noqa: F401

            pane.warm()
            sources.warm()
        except KernelLabError:
            pass  # the cell that needs it says it, where the user looks

    def close(self) -> None:
        """End every target of this notebook."""
        for target in self._targets.values():
            target.close()
        if self._targets or self._warming:
            from .target import registry

            registry.get("sim").cool()


class CellRun:
    """One run of one cell: what it built, and the pane that shows it."""

    def __init__(
        self,
        bench: Workbench,
        source: CellSource,
        options: Namespace,
        display: Callable[..., Any],
        rich: bool,
    ) -> None:
        from .pane.show import new_pane, show

        self.source = source
        self.driver: Driver | None = None
        self._bench = bench
        self._options = options
        self._stop_events: Callable[[], None] | None = None
        self._pane = new_pane(
            source.name,
            rich=rich,
            on_unload=self.unload,
            on_reload=self.reload,
            source=source.cell,
        )
        show(self._pane, display)

    # -- the cell -------------------------------------------------------------------------------

    def run(self, previous: CellRun | None, bind: Callable[[object], None]) -> None:
        """Build, take the previous driver away, load. Raises KernelLabError."""
        try:
            result = self._build()
            if self._options.no_run:
                self._pane.set_state("built", f"{result.size} bytes, not loaded (--no-run)")
                bind(result)
                return
            if previous is not None:
                previous.retire()
            self._load(self._bench.target(self._options.target), result, bind)
        except KeyboardInterrupt:
            self._pane.set_state("interrupted")
            raise
        except BuildError as error:
            self._pane.set_state("failed", "it does not build")
            self._pane.set_diagnostics(error.diagnostics)
            if not self._options.allow_failure:
                raise
        except KernelLabError as error:
            if self.driver is None:
                self._pane.set_state("failed", str(error))
                raise
            if not self._options.allow_failure:
                raise
        finally:
            self._pane.finish()

    def _build(self) -> BuildResult:
        from .sources import build_text

        self._pane.set_state("building")
        result = build_text(
            self.source.name,
            self.source.text,
            dependencies=self._options.dep,
            release=self._options.release,
            progress=self._pane.set_progress,
        )
        self._pane.set_diagnostics(result.diagnostics)
        self._pane.set_timings(build=result.seconds)
        return result

    def _load(self, target: Target, result: BuildResult, bind: Callable[[object], None]) -> None:
        name, options = self.source.name, self._options
        current = target.drivers.get(name)
        if current is not None and current.running:
            take_away(current)
        driver = target.prepare(result.sys, name=name)
        driver.timings["build"] = result.seconds
        self.driver = driver
        bind(driver)
        self._follow(driver)
        self._pane.set_state("loading")
        target.run(driver, timeout=options.timeout, budget=options.budget)
        self._pane.set_timings(driver.timings)

    def _follow(self, driver: Driver) -> None:
        if self._stop_events is None:
            self._stop_events = driver.target.subscribe(self._take)
        driver.on_state = self._changed

    def _take(self, events: Sequence[Event]) -> None:
        name = self.source.name
        mine = [event for event in events if event.driver in (name, "")]
        if mine:
            self._pane.add(mine)

    def _changed(self, driver: Driver) -> None:
        self._pane.set_state(driver.state, driver.error)
        if driver.state in ("unloaded", "gone"):
            self._pane.finish()

    # -- the pane's buttons, and the end --------------------------------------------------------

    def unload(self) -> None:
        """The pane's Unload button."""
        if self.driver is not None:
            self.driver.unload()

    def reload(self) -> None:
        """The pane's Reload button: the same image again."""
        if self.driver is not None:
            self._follow(self.driver)
            self.driver.reload(timeout=self._options.timeout)
            self._pane.set_timings(self.driver.timings)

    def retire(self) -> None:
        """The cell runs again: unload what it loaded before, and let its pane rest."""
        if self.driver is not None and self.driver.running:
            take_away(self.driver)
        if self._stop_events is not None:
            self._stop_events()
            self._stop_events = None
        self._pane.retire()


def take_away(driver: Driver) -> None:
    """Unload a driver; one without DriverUnload goes only with its machine."""
    try:
        driver.unload()
    except NtStatusError as error:
        others = [d.name for d in driver.target.drivers.values() if d.running and d is not driver]
        if others:
            raise UsageError(
                f"{driver.name} cannot be unloaded ({error}), and {', '.join(others)} run on the"
                f" same machine: {driver.name}.target.reboot() takes them all away"
            ) from error
        driver.target.reboot()


@cache
def workbench() -> Workbench:
    """The one workbench of this Python process."""
    return Workbench()
