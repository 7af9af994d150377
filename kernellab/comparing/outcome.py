"""What a driver did on each target, and what of that differs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

#: Addresses and handles of objects differ from run to run, and are no difference.
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{9,16}\b|\b[0-9a-fA-F]{16}\b")


def comparable(text: str) -> str:
    """``text`` without what may differ: addresses, which have more than 32 bits."""
    return _ADDRESS.sub("‹address›", text).rstrip()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done, such as ``load``, and its ``result``; ``detail`` is not compared."""

    what: str
    result: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """What happened on one target. ``notes`` are what only that target says, and not compared."""

    target: str
    steps: tuple[Step, ...] = ()
    #: What the driver printed.
    log: tuple[str, ...] = ()
    #: What the client printed.
    printed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same on all targets: ``values`` has each target's, in order."""

    what: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Lines of two logs beside each other; None where one has nothing there."""

    first: str | None
    second: str | None
    same: bool


def rows(first: Sequence[str], second: Sequence[str]) -> Iterator[Row]:
    """The lines of two logs, aligned."""
    keys = [comparable(line) for line in first], [comparable(line) for line in second]
    matcher = difflib.SequenceMatcher(None, *keys, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        for n in range(max(b - a, d - c)):
            left = first[a + n] if a + n < b else None
            right = second[c + n] if c + n < d else None
            yield Row(left, right, kind == "equal")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A driver's run on several targets. It is true where all of them agree."""

    driver: str
    sides: tuple[Side, ...]

    @property
    def differences(self) -> list[Difference]:
        """What differs: results of steps by name, then ``log`` and ``client's output``."""
        found = []
        for what in self.steps():
            values = tuple(_result(side, what) for side in self.sides)
            if len(set(map(comparable, values))) > 1:
                found.append(Difference(what, values))
        for what, texts in (
            ("log", [side.log for side in self.sides]),
            ("client's output", [side.printed for side in self.sides]),
        ):
            keys = [[comparable(line) for line in text] for text in texts]
            if any(key != keys[0] for key in keys):
                found.append(Difference(what, tuple("\n".join(text) for text in texts)))
        return found

    @property
    def same(self) -> bool:
        """Whether all targets agree."""
        return not self.differences

    def __bool__(self) -> bool:
        return self.same

    def steps(self) -> list[str]:
        """The names of all steps, in order."""
        return list(dict.fromkeys(step.what for side in self.sides for step in side.steps))

    @property
    def only_order(self) -> bool:
        """Whether the logs have the same lines, and only their order differs."""
        keys = [[comparable(line) for line in side.log] for side in self.sides]
        return any(k != keys[0] for k in keys) and all(sorted(k) == sorted(keys[0]) for k in keys)

    def __str__(self) -> str:
        from .report import as_text

        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from .report import as_html

        return as_html(self)


def _result(side: Side, what: str) -> str:
    return next((step.result for step in side.steps if step.what == what), "not reached")
