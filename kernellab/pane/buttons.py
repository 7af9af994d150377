"""The pane's buttons: which of them act now, why the others do not, and what is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from ..errors import KernelLabError
from .text import one_line

_ALIVE: Final = ("running",)
_COMING: Final = ("", "building", "connecting", "loading", "unloading", "reloading", "compiling")

#: Where the button Reload is called Load: the driver is not on the machine.
_NOT_LOADED: Final = ("built", "failed", "unloaded", "gone")

#: The state that Cancel ends.
_CANCELLED: Final = "building"

#: Characters of a press's own mark that are kept and sent back.
_MARK: Final = 40


class Buttons:
    """What the user can press. ``lock`` guards it; ``changed`` is called with the lock held."""

    def __init__(
        self,
        actions: Mapping[str, Callable[[], object] | None],
        lock: threading.Condition,
        changed: Callable[[], None],
    ) -> None:
        self._actions = dict(actions)
        self._work = lock
        self._changed = changed
        #: The action under way, or empty.
        self.busy = ""
        #: What the action under way waits for, in words; empty when it waits for nothing.
        self.waiting = ""
        #: What the last action failed with, or another note; one line.
        self.note = ""
        #: The mark of the press that was heard last.
        self.heard = ""
        #: The cell was run again: nothing acts any more.
        self.retired = False

    def reasons(self, state: str, *, loaded: bool) -> dict[str, str]:
        """Why each button does not act now; empty where it does."""
        blocked = ""
        if self.retired:
            blocked = "the cell was run again"
        elif self.busy:
            blocked = f"{self.busy} is under way"
        elif state in _COMING:
            blocked = "the driver is not loaded yet"
        reasons = dict.fromkeys(self._actions, blocked)
        if not blocked and state not in _ALIVE:
            pending = state == "unload pending"
            reasons["unload"] = "it is pending" if pending else "the driver is not running"
        if not blocked and not loaded and state != "built":
            reasons["reload"] = "nothing was loaded"
        if "cancel" in reasons:  # what is being built does not mind what else goes on
            building = state == _CANCELLED and not self.retired
            reasons["cancel"] = "" if building else "nothing is being built"
        for name, action in self._actions.items():
            if action is None:
                reasons[name] = "not available here"
        return reasons

    def hear(self, mark: object) -> None:
        """A press came, of a button here or in a tab (the lock is held)."""
        self.heard = one_line(mark)[:_MARK] if isinstance(mark, str) else ""
        self._changed()

    def press(self, name: object, mark: object, state: str, *, loaded: bool) -> None:
        """A view says that a button was pressed; what is not a button is ignored."""
        if not isinstance(name, str) or name not in self._actions:
            return
        with self._work:
            self.heard = one_line(mark)[:_MARK] if isinstance(mark, str) else ""
            action = self._actions[name]
            if action is None or self.reasons(state, loaded=loaded)[name]:
                self._changed()
                return
            word = "load" if name == "reload" and state in _NOT_LOADED else name
            self.busy, self.note = word, ""
            self._changed()
        thread = threading.Thread(
            target=self._run, args=(word, action), name=f"kernellab-{word}", daemon=True
        )
        thread.start()

    def _run(self, name: str, action: Callable[[], object]) -> None:
        note = ""
        try:
            action()
        except KernelLabError as error:
            note = f"{name} failed: {error}"
        except Exception as error:  # shown where the user pressed
            note = f"{name} failed: {type(error).__name__}: {error}"
        with self._work:
            self.busy, self.waiting, self.note = "", "", one_line(note)
            self._changed()
