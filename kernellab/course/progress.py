"""Which exercises were solved, kept between sessions in the user's own folder."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from platformdirs import user_data_path


def path() -> Path:
    """Where it is kept; KERNELLAB_PROGRESS in the environment names another file."""
    named = os.environ.get("KERNELLAB_PROGRESS")
    return Path(named) if named else user_data_path("kernellab", appauthor=False) / "course.json"


def solved() -> frozenset[str]:
    """The numbers of the solved exercises. A file that is damaged counts as none."""
    try:
        found = json.loads(path().read_text(encoding="utf-8"))["solved"]
        return frozenset(each for each in found if isinstance(each, str))
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def remember(number: str) -> None:
    """The exercise is solved. Where nothing can be written, it is not remembered."""
    done = solved()
    if number in done:
        return
    place = path()
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(f"{place.name}.{os.getpid()}")
        beside.write_text(json.dumps({"solved": sorted({*done, number})}), encoding="utf-8")
        beside.replace(place)


def forget() -> None:
    """Nothing is solved any more."""
    path().unlink(missing_ok=True)
