"""Requests about what is around drivers: the error log, devices that come and go, interrupts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kernel.kernel import Kernel

#: Runs an activity within a request's limits: the request, the activity, its name.
Run = Callable[[dict[str, Any], Any, str], Any]
Command = Callable[["Kernel", dict[str, Any], Run], dict[str, Any]]


def _error_log(k: Kernel, _request: dict[str, Any], _run: Run) -> dict[str, Any]:
    return {"entries": k.system.error_log}


#: Each command's function.
COMMANDS: Mapping[str, Command] = {
    "error_log": _error_log,
}
