"""The targets by name: built-in ones, configured machines, and what other packages bring."""

from __future__ import annotations

import threading
from functools import cache
from importlib.metadata import entry_points

from ..errors import TargetLost, UsageError
from . import config
from .base import TargetKind
from .simulator import Sim
from .wine.kind import WineKind

_BUILT_IN: tuple[type[TargetKind], ...] = (Sim, WineKind)
_lock = threading.Lock()
_kinds: dict[str, TargetKind] = {}


@cache
def _plugins() -> dict[str, type[TargetKind]]:
    found: dict[str, type[TargetKind]] = {}
    for entry in entry_points(group="kernellab.targets"):
        try:
            kind = entry.load()
        except Exception as error:  # a plug-in's import can fail in any way
            raise TargetLost(f"the target {entry.name!r} cannot be imported: {error}") from error
        found[entry.name] = kind
    return found


def names() -> list[str]:
    """The names that ``--target`` takes: built-in ones, machines of kernellab.toml, others.

    Raises ConfigError where kernellab.toml has a mistake.
    """
    built_in = [kind.name for kind in _BUILT_IN]
    brought = sorted(e.name for e in entry_points(group="kernellab.targets"))
    return list(dict.fromkeys([*built_in, *config.machines(), *brought]))


def get(name: str) -> TargetKind:
    """The one instance of the target ``name``; UsageError lists the names there are."""
    with _lock:
        classes = {kind.name: kind for kind in _BUILT_IN}
        if name not in classes and (machine := config.machines().get(name)) is not None:
            return _machine(machine)
        if name not in _kinds:
            if name not in classes and name in names():
                classes.update(_plugins())
            if name not in classes:
                raise UsageError(f"there is no target {name!r}; there are: {', '.join(names())}")
            _kinds[name] = classes[name]()
        return _kinds[name]


def _machine(machine: config.Machine) -> TargetKind:
    """The target of a configured machine, made anew where its file has changed."""
    from .winrm.target import WinRM

    kind = _kinds.get(machine.name)
    if not isinstance(kind, WinRM) or kind.machine != machine:
        kind = _kinds[machine.name] = WinRM(machine)
    return kind
