"""What verifier rules are made of, and who reports what they find.

A rule is a class with a name, a line on what it finds, and methods that listen to the kernel's
events (:mod:`..kernel.events`)::

    class PoolTag(Rule):
        name = "pool-tag"
        summary = "pool allocated without a tag of its own"
        page = 'WDK: "ExAllocatePoolWithTag function (wdm.h)"'

        @listens("pool-allocated")
        def look(self, allocation: Allocation) -> None:
            if not allocation.tag:
                self.report("…")

The kernel knows no rule. What a rule keeps is simple data, so that snapshots can copy it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kernellab.protocol import frame_fields

from ..kernel.execution import Context
from ..kernel.structs import well_formed
from ..machine.unwind import REGISTERS
from .listening import listens as listens
from .listening import subscribe
from .locks import HeldLocks

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: A stack that explains a report: what happened there, and where that was.
Related = tuple[str, Context | None]


class Rule:
    """One rule. Subclasses say what they are and listen; they exist only while they are on."""

    #: What users write to switch it off.
    name: ClassVar[str]
    #: What it finds, in one line.
    summary: ClassVar[str]
    #: The page that it follows.
    page: ClassVar[str]

    def __init__(self, verifier: Verifier) -> None:
        self.k: Kernel = verifier.k
        self._verifier = verifier

    def report(
        self,
        message: str,
        driver: str = "",
        *,
        context: Context | None = None,
        related: Iterable[Related] = (),
    ) -> bool:
        """The rule was broken: now and here, unless an earlier moment is given as ``context``.

        ``driver`` is whose mistake it is: that of the current call unless given. False where the
        rule does not hold for that driver.
        """
        return self._verifier.report(self.name, message, driver, context=context, related=related)

    def at(self, routine: int) -> Context:
        """A call stack of one frame: a routine of the driver that is over already."""
        return Context({**dict.fromkeys(REGISTERS, 0), "rip": routine}, 0, b"", (), "")

    def keep(self) -> Context | None:
        """The call stack of now, to be shown later."""
        return self.k.flow.keep()


class ToldRule(Rule):
    """A rule that the kernel sees broken where it happens: its events say how, in a sentence."""

    #: The events, where they are not called as the rule is.
    events: ClassVar[tuple[str, ...]] = ()

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        for event in self.events or (self.name,):
            self.k.bus.on(event, self._told)

    def _told(self, message: str, driver: str = "") -> None:
        self.report(message, driver)


class Verifier:
    """The rules that are on for one machine, and what they have reported."""

    def __init__(
        self, k: Kernel, rules: Sequence[type[Rule]], off: Mapping[str, bool] | None = None
    ) -> None:
        """``off`` says of rules by name whether they are on; what it does not name is on."""
        self.k = k
        #: Rules that do not hold for one driver, by its name; None stands for all rules.
        self._exempt: dict[str, frozenset[str] | None] = {}
        self._reported: set[tuple[object, ...]] = set()
        #: Who holds which spin lock.
        self.locks = HeldLocks(k)
        self._off = {name for name, on in (off or {}).items() if not on}
        self.rules = [rule(self) for rule in rules if rule.name not in self._off]
        k.bus.on("driver-loaded", self._driver_loaded)
        for rule in self.rules:
            subscribe(k, rule)
        # After the rules: they see how it was before an event.
        subscribe(k, self.locks)

    def exempt(self, driver: str, off: str | Mapping[str, bool] | None) -> None:
        """Which rules do not hold for a driver: ``"off"`` for none, or by name."""
        if off is None or off == "on":
            self._exempt.pop(driver, None)
        elif isinstance(off, str):
            self._exempt[driver] = None
        else:
            self._exempt[driver] = frozenset(name for name, on in off.items() if not on)

    def _is_exempt(self, driver: str, rule: str) -> bool:
        off = self._exempt.get(driver, frozenset())
        return off is None or rule in off

    def _driver_loaded(self, driver: Any) -> None:
        """What it does wrong is told again: it is loaded anew."""
        self._reported = {key for key in self._reported if key[0] != driver.name}

    def report(
        self,
        rule: str,
        message: str,
        driver: str = "",
        *,
        context: Context | None = None,
        related: Iterable[Related] = (),
    ) -> bool:
        """Tell the client of a broken rule, once for each place it is broken at.

        False where the rule does not hold for the driver.
        """
        k = self.k
        kept = context is not None
        if context is None and k.flow.in_export:
            context = k.flow.context(trapped=True)
        driver = driver or (k.caller() if k.flow.in_export else "")
        if rule in self._off or self._is_exempt(driver, rule):
            return False
        frames = k.frames(context, live=not kept) if context is not None else []
        message = well_formed(message)
        key = (driver, rule, message, *(f.address for f in frames[:4]))
        if key in self._reported:
            return True
        self._reported.add(key)
        stacks = [
            {"label": label, "frames": [frame_fields(f) for f in k.frames(moment, live=False)]}
            for label, moment in related
            if moment is not None
        ]
        fields = {
            "driver": driver,
            "rule": rule,
            "message": message,
            "frames": [frame_fields(f) for f in frames],
        }
        k.emit("violation", {**fields, "related": stacks} if stacks else fields)
        return True
