"""A processor that tells of each change of its IRQL, for as long as somebody wants to know."""

from __future__ import annotations

from collections.abc import Callable

from .cpu import Cpu


class WatchedCpu(Cpu):
    """What a :class:`Cpu` becomes by :func:`watch`; made by nothing else."""

    _on_level: Callable[[int], None]

    @property
    def irql(self) -> int:
        """The IRQL, 0 to 15."""
        level: int = self.__dict__["irql"]
        return level

    @irql.setter
    def irql(self, level: int) -> None:
        self.__dict__["irql"] = level
        self._on_level(level)


def watch(cpu: Cpu, on_level: Callable[[int], None]) -> None:
    """Call ``on_level`` each time that the IRQL is set: a processor that is not watched pays
    nothing for that it could be."""
    cpu.__class__ = WatchedCpu
    cpu.__dict__["_on_level"] = on_level


def unwatch(cpu: Cpu) -> None:
    """It is an ordinary one again."""
    cpu.__class__ = Cpu
    del cpu.__dict__["_on_level"]
