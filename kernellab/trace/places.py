"""From a trace's addresses to functions and lines of the driver's own source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..build.symbols import Symbols
    from ..protocol import Frame


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a driver's own source; ``file`` is ``cell`` for the notebook's cell."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Places:
    """Looks addresses up, each once. ``modules`` say where which image was on the machine."""

    def __init__(self, modules: Sequence[Mapping[str, Any]], images: Mapping[str, Symbols]) -> None:
        found = sorted((int(m["base"]), int(m["size"]), str(m["name"])) for m in modules)
        self._modules = found
        self._bases = [base for base, _, _ in found]
        self._images = images
        self._known: dict[int, tuple[str, list[Frame]]] = {}

    def _frames(self, address: int) -> tuple[str, list[Frame]]:
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = self._look_up(address)
        return known

    def _look_up(self, address: int) -> tuple[str, list[Frame]]:
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            return "", []
        base, size, name = self._modules[index]
        if address >= base + size:
            return "", []
        symbols = self._images.get(name)
        return name, symbols.lookup(address - base) if symbols is not None else []

    def of_stack(self, stack: Sequence[int]) -> tuple[Place | None, str]:
        """The innermost own line of a stack of return addresses, and the caller's driver."""
        driver = self._frames(stack[0] - 1)[0] if stack else ""
        for address in stack:
            for frame in self._frames(address - 1)[1]:
                if _is_own(frame):
                    return Place(frame.file, frame.line, frame.function), driver
        return None, driver

    def of_routine(self, address: int) -> tuple[Place | None, str, str]:
        """A routine's own line where it has one, its driver, and its name."""
        driver, frames = self._frames(address)
        own = next((f for f in frames if _is_own(f)), None)
        function = frames[-1].function if frames else ""
        place = Place(own.file, own.line, own.function) if own is not None else None
        return place, driver, function


def _is_own(frame: Frame) -> bool:
    """Whether it is in the driver's own source: the files of crates are ``NAME/src/…``."""
    return bool(frame.file and frame.line) and "/src/" not in frame.file
