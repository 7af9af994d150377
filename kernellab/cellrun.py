"""One cell's run from source to pane."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .driver import exclusive, take_away
from .errors import BuildCancelled, BuildError, KernelLabError, TestsFailed, UsageError
from .failures import reason_of
from .prints import parts_of
from .protocol import BugcheckEvent, ErrorEvent, State
from .target import steps
from .trace.cell import CellTrace
from .verifier import without
from .view.paneinfo import NOT_BUILT, NOT_LOADED, about_build, rules_of, with_code

if TYPE_CHECKING:
    from .build import BuildResult, Diagnostic
    from .cell.source import CellSource
    from .driver import Driver
    from .lab import Target
    from .protocol import Event
    from .workbench import Workbench


class CellRun:
    """One run of one cell: what it built, and the pane that shows it."""

    def __init__(
        self,
        bench: Workbench,
        source: CellSource,
        options: Namespace,
        display: Callable[..., Any],
        rich: bool,
        as_written: CellSource | None = None,
    ) -> None:
        from .crate import CELL
        from .pane.show import new_pane, show

        self.source = source
        self._as_written = as_written
        files = bench.files_of(source.name)
        self._modules = {path: each.text for path, each in files.items()}
        self._texts = {CELL: source.cell, **{path: each.cell for path, each in files.items()}}
        self.driver: Driver | None = None
        self.does_not_build = False
        self.diagnostics: Sequence[Diagnostic] = ()
        self._bench = bench
        self.options = options
        self._cancel = threading.Event()  # the build is to end
        self._stop_events: Callable[[], None] | None = None
        self.retired = False
        #: What this run has yet to take away: the last run that loaded the driver.
        self._replaces: CellRun | None = None
        #: Loads what ``--no-run`` only built.
        self._load_built: Callable[[], None] | None = None
        self._connecting_to = False  # the target has said what it does about that
        self._in_cell = True  # at its end, everything is brought to the front end
        self._on_machine = False  # what becomes of the machine is this driver's matter as well
        self.pane = new_pane(
            source.name,
            rich=rich,
            on_unload=self.unload,
            on_reload=self.reload,
            on_cancel=self._cancel.set,
            rules=rules_of(options.target),
            source=self._texts,
            log_file=not options.no_log_file,
        )
        self._view_changed: Callable[[], object] = lambda: None  # of the driver, in the pane
        self._view_over: Callable[[], object] = lambda: None
        self._trace = CellTrace(options.trace, self.pane)
        self._display = display
        show(self.pane, display)

    # -- the cell -------------------------------------------------------------------------------

    def run(self, previous: CellRun | None, bind: Callable[[object], None]) -> None:
        """Build, take the previous driver away, load. Raises KernelLabError."""
        from .view.actions import offer_view

        self._follows(previous)
        try:
            if self.options.test:
                self._test(bind)
                return
            result = self._build()
            self._view_changed, self._view_over = offer_view(self, result.sys)
            self._show_code(result)
            if self.options.no_run:
                self.pane.set_state("built", f"{result.size} bytes, not loaded (--no-run)")
                self._load_built = partial(self._load_later, result, bind)
                bind(result)
                return
            self._take_over()
            self._load(self._machine(), result, bind)
        except (KeyboardInterrupt, BuildCancelled):
            building = self.driver is None and not self._on_machine
            why = NOT_LOADED if self._connecting_to else NOT_BUILT
            self.pane.set_state("interrupted", why if building else "")
            raise
        except BuildError as error:
            self.does_not_build, self.diagnostics = True, error.diagnostics
            self.pane.set_state("failed", "it does not build: mend the cell and run it again")
            self.pane.set_diagnostics(error.diagnostics)
            if not self.options.allow_failure:
                raise
        except KernelLabError as error:
            if self.driver is None:
                self.pane.set_state("failed", str(error))
                raise
            if not self.options.allow_failure:
                raise
        finally:
            self._in_cell = False
            self.pane.finish()

    def _follows(self, previous: CellRun | None) -> None:
        """The cell ran before: what was loaded then stays until :meth:`_take_over`."""
        self._replaces = previous
        if previous is not None and previous.driver is None:  # it has loaded nothing itself
            self._replaces, previous._replaces = previous._replaces, None
            previous.retire()

    def _take_over(self) -> None:
        if self._replaces is not None:
            self._replaces.retire()
            self._replaces = None

    def _build(self) -> BuildResult:
        from .sources import build_text

        self.pane.set_state("building")
        how = self._how_to_build()
        try:
            result = build_text(self.source.name, self.source.text, **how)
        except BuildError:
            if self._as_written is None:
                raise
            # The front end keeps the cell as it is: so that the messages name its lines.
            self.source = self._as_written
            result = build_text(self.source.name, self.source.text, **how)
        self._built(result)
        return result

    def _show_code(self, result: BuildResult) -> None:
        """What ``--asm`` asks for. Raises UsageError for a function that is not there."""
        if self.options.asm:
            from .editing.disassembly import disassemble

            for function in self.options.asm:
                self._display(disassemble(result, function, sources=self._texts))

    def _how_to_build(self) -> dict[str, Any]:
        return {
            "dependencies": self.options.dep,
            "modules": self._modules,
            "release": self.options.release,
            "progress": self.pane.set_progress,
            "cancel": self._cancel,
        }

    def _built(self, result: BuildResult) -> None:
        self.pane.set_diagnostics(result.diagnostics)
        self.pane.set_timings(build=result.seconds)
        self.pane.set_built(about_build(result))

    def _test(self, bind: Callable[[object], None]) -> None:
        """Run the cell's own tests; the report is its result."""
        from .sources import build_tests
        from .testing import run_tests

        self.pane.set_state("building")
        result, tests = build_tests(self.source.name, self.source.text, **self._how_to_build())
        self._built(result)
        self._take_over()
        driver = self._prepare(self._machine(), result)
        driver.on_state = lambda _: None  # what becomes of one test is not the pane's end
        self._on_machine = True
        report = run_tests(
            driver,
            tests,
            timeout=self.options.timeout,
            budget=self.options.budget,
            progress=lambda done, total, name: self.pane.set_progress(done, total, name, "testing"),
        )
        self._on_machine = False
        bind(report)
        self.pane.set_state("loading")  # takes the last test's panels away: the report has all
        self.pane.set_state("tested" if report.ok else "failed", report.summary)
        self.pane.finish()
        self._display(report)
        if not report.ok and not self.options.allow_failure:
            raise TestsFailed(f"{report.driver}: {report.summary}", report)

    def _machine(self) -> Target:
        """The target, connected; the pane says what takes long about that."""
        with steps.told_to(self._connecting):
            return self._bench.target(self.options.target, fresh=self.options.fresh)

    def _connecting(self, done: int, total: int, what: str) -> None:
        self._connecting_to = True
        self.pane.set_progress(done, total, what, "connecting")

    def _load_later(self, result: BuildResult, bind: Callable[[object], None]) -> None:
        target = self._machine()
        with exclusive(target, self._waiting):
            self._going_on()
            self._take_over()
            self._load(target, result, bind)

    def _load(self, target: Target, result: BuildResult, bind: Callable[[object], None]) -> None:
        options, driver = self.options, self._prepare(target, result)
        driver.timings["build"] = result.seconds
        self.driver = driver
        bind(driver)
        self._run_driver(
            partial(target.run, driver, timeout=options.timeout, budget=options.budget)
        )

    def _prepare(self, target: Target, result: BuildResult) -> Driver:
        """A driver of the image that this cell's pane follows, in the place of the last one."""
        name, options = self.source.name, self.options
        current = target.drivers.get(name)
        if current is not None and current.loaded:
            take_away(current)
        verifier = without(options.no_verify) if options.no_verify else None
        driver = target.prepare(result.sys, name=name, verifier=verifier)
        driver.parameters, driver.sources = dict(options.param), self._texts
        self._follow(driver)
        return driver

    def _run_driver(self, load: Callable[[], None]) -> None:
        self._on_machine = True  # from here on: a machine that has stopped is rebooted first
        self.pane.set_state("loading")
        try:
            self._trace.begin(self.driver)
            with steps.told_to(self._connecting):  # a machine that is gone is started again
                load()
        finally:
            if self.driver is not None:
                self.pane.set_timings(self.driver.timings)
            self._trace.show()

    def _follow(self, driver: Driver) -> None:
        if self._stop_events is None:
            self._stop_events = driver.target.subscribe(self._take)
        driver.on_state = self._changed

    def _take(self, events: Sequence[Event]) -> None:
        mine = [
            with_code(event, self.driver) for event in parts_of(events) if self._concerns(event)
        ]
        if mine:
            self.pane.add(mine)
        if not self._in_cell and any(isinstance(e, BugcheckEvent | ErrorEvent) for e in mine):
            self.pane.finish()
        gone = self.driver is not None and self.driver.state == "gone"
        if gone and any(isinstance(e, State) and e.state == "rebooted" for e in mine):
            self._on_machine = False  # it has seen its machine's end

    def _concerns(self, event: Event) -> bool:
        name = self.source.name
        if event.driver:
            return event.driver == name
        if isinstance(event, ErrorEvent) and event.frames:
            return any(frame.module.removesuffix(".sys") == name for frame in event.frames)
        return self._on_machine

    def _changed(self, driver: Driver) -> None:
        if driver.state == "gone":
            why = driver.target.stopped
            detail = f"its machine has stopped ({why})" if why else "with its machine"
            variable = driver.name.replace("-", "_")
            self.pane.set_state("gone", f"{detail}: {variable}.reload() loads it again")
        else:
            self.pane.set_state(driver.state, reason_of(driver, self._texts))
        if driver.state != "gone":  # one that is gone still sees the reboot
            self._on_machine = driver.state == "loading" or driver.loaded
        self._view_changed()
        if driver.state in ("unload pending", "unloaded", "gone"):
            self.pane.finish()

    # -- the pane's buttons, and the end --------------------------------------------------------

    def unload(self) -> None:
        """The pane's Unload button."""
        if self.driver is not None:
            with self.driver.exclusive(self._waiting):
                self._going_on()
                self.driver.unload()

    def reload(self) -> None:
        """The pane's Load and Reload buttons: the image that was built, or the same again."""
        if self.driver is None and self._load_built is not None:
            self._load_built()
        elif self.driver is not None:
            with self.driver.exclusive(self._waiting):
                self._going_on()
                self._follow(self.driver)
                self.driver.unload(close_handles=True, timeout=self.options.timeout)
                driver, options = self.driver, self.options
                if driver.loaded:
                    raise UsageError(f"{driver.name} is not unloaded yet: {driver.error}")
                again = partial(
                    driver.target.run, driver, timeout=options.timeout, budget=options.budget
                )
                self._run_driver(again)

    def _waiting(self) -> None:
        target = self.options.target if self.driver is None else self.driver.target.name
        self.pane.set_waiting(f"{target} is busy with another call: this follows when it has ended")

    def _going_on(self) -> None:
        """The target is this button's now; what has happened meanwhile may have settled it."""
        self.pane.set_waiting("")
        if self.retired:
            raise UsageError("the cell was run again meanwhile")

    def settle(self) -> None:
        """Bring the pane's saved form up to date, where something has changed."""
        self._trace.settle()
        self.pane.settle()

    def retire(self) -> None:
        """The cell runs again: unload what it loaded before, and let its pane rest."""
        self._take_over()
        if self.driver is not None and self.driver.loaded:
            take_away(self.driver)
        self._trace.end()
        self.retired = True
        self._view_over()
        self._unfollow()
        self.pane.retire()

    def _unfollow(self) -> None:
        if self._stop_events is not None:
            self._stop_events()
            self._stop_events = None

    def ignore(self) -> None:
        """Hear no more of the driver."""
        self._unfollow()
        if self.driver is not None:
            self.driver.on_state = lambda _: None

    def held(self) -> int:
        """About how many characters the pane keeps."""
        return self.pane.held()

    def leave(self) -> None:
        """The pane is not on the page any more: let go of it. A driver that runs goes on."""
        self._trace.end()
        self.retired = True
        self.ignore()
        self.pane.close()
