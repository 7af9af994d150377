"""Code that would still be called when its driver is unloaded: threads, callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Rule, Verifier, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver
    from ..kernel.execution import Context
    from ..kernel.thread import Thread


class LeakThread(Rule):
    """As soon as it runs on, its code is gone: bug check 0xCE."""

    name = "leak-thread"
    summary = "a system thread had not ended when the driver was unloaded"
    page = 'WDK: "PsCreateSystemThread function (wdm.h)"; Bug Check 0xCE'

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._created: dict[int, Context | None] = {}

    @listens("thread-created")
    def _thread_created(self, thread: Thread) -> None:
        self._created[thread.id] = self.keep()

    @listens("thread-ended")
    def _thread_ended(self, thread: Thread) -> None:
        self._created.pop(thread.id, None)

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for thread in self.k.ps.threads.values():
            if thread.owner != driver.name:
                continue
            why = f"it waits for {thread.wait.why}" if thread.wait else "it can run"
            self.report(
                f"the system thread {thread.id} has not ended ({why}): tell it to end in "
                "DriverUnload, and wait for its thread object",
                driver.name,
                context=self._created.get(thread.id),
            )


class LeakCallback(Rule):
    """Notify routines and other callbacks would be called where no code is any more."""

    name = "leak-callback"
    summary = "a callback was still registered when the driver was unloaded"
    page = "Bug Check 0xCE: DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS"

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for left in self.k.callbacks.owned_by(driver.name):
            self.report(
                f"what was registered with {left.kind} was not taken back: Windows would call "
                "code that is gone",
                driver.name,
                context=left.where,
            )
