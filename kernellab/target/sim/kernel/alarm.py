"""What is to happen at a moment of virtual time: see :mod:`.scheduler`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class Alarm:
    """Something to do at a moment of virtual time; ``due`` in units since boot."""

    due: int
    number: int
    action: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)
