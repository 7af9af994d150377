"""What Cargo says of its work while it runs: how far it is, and how long each crate took."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from . import ansi
from .cache import Progress

#: The bar that Cargo draws: ``    Building [====>     ] 3/12: syn, quote``.
_BAR: Final = re.compile(r"\s*Building \[[=> ]*\] (\d+)/(\d+)(?:: (.*))?")
#: A line of Cargo's on its work: a verb that ends in this column.
_COLUMNS: Final = 12
_STATUS: Final = re.compile(r"( *)([A-Z][a-z]+) (.*)")

#: Cargo draws its bar though there is no terminal (The Cargo Book, "term.progress").
ENVIRONMENT: Final = {
    "CARGO_TERM_PROGRESS_WHEN": "always",
    "CARGO_TERM_PROGRESS_WIDTH": "120",
}


class CargoProgress:
    """Follows one run of Cargo; ``progress`` is told what is under way."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done, self._total = 0, 0
        self._began: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    @property
    def crates(self) -> tuple[tuple[str, float], ...]:
        """The crates that the driver is made of, in the order they were done, and the seconds that
        each took: 0 where it was there already."""
        return tuple(self._seconds.items())

    def status(self, line: str) -> bool:
        """A line of Cargo's standard error; whether it is of its progress."""
        line = ansi.strip(line)
        bar = _BAR.match(line)
        if bar is not None:
            self._done, self._total = int(bar[1]), int(bar[2])
            if names := (bar[3] or "").strip():
                self.say(f"compiling {names}")
            return True
        said = _STATUS.match(line)
        if said is None or said.end(2) != _COLUMNS:
            return not line.strip()
        verb, rest = said[2], said[3].strip()
        name = rest.split(" ")[0]
        if verb == "Compiling":
            self._began.setdefault(name, time.monotonic())
            self.say(f"compiling {name}")
        elif verb in ("Downloading", "Downloaded", "Updating", "Blocking"):
            self.say(f"{verb.lower()} {rest}")
        return True

    def artifact(self, message: Mapping[str, Any]) -> None:
        """Cargo's message that a crate, or the build script of one, is done."""
        if not self._total:
            self._done += 1
        name = _package(message)
        began = self._began.get(name)
        now = time.monotonic()
        self._seconds[name] = 0.0 if began is None or message.get("fresh") else now - began

    def say(self, text: str) -> None:
        """Tell what is under way."""
        if self._progress is not None:
            self._progress(self._done, self._total, text)


def _package(message: Mapping[str, Any]) -> str:
    """A package's name from its id (The Cargo Book, "Package ID Specifications")."""
    place, _, end = str(message.get("package_id", "")).rpartition("#")
    return end.split("@")[0] if "@" in end else place.rstrip("/").rpartition("/")[2]
