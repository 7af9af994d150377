"""Commands about the machine's own things rather than its drivers: registry, processes.

Each is what a program in the client's process would do, and is seen by drivers as that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fields import Usage, data, integer, text
from .kernel import cm_client
from .kernel.kernel import Kernel

Request = dict[str, Any]
#: Runs an activity on the client's thread, within the request's limits.
Run = Callable[[Request, Any, str], Any]


class SystemCommands:
    """Commands by name, for the endpoint to answer."""

    def __init__(self, kernel: Callable[[], Kernel], run: Run) -> None:
        self._kernel = kernel
        self._run = run

    def table(self) -> dict[str, Callable[[Request], Request]]:
        """What is answered here."""
        return {
            "key_read": self._key_read,
            "key_create": self._key_create,
            "key_delete": self._key_delete,
            "value_set": self._value_set,
            "value_delete": self._value_delete,
        }

    def _key_read(self, request: Request) -> Request:
        activity = cm_client.read(self._kernel(), text(request, "path"))
        return cm_client.describe(self._run(request, activity, "NtQueryKey"))

    def _key_create(self, request: Request) -> Request:
        activity = cm_client.create(self._kernel(), text(request, "path"))
        self._run(request, activity, "NtCreateKey")
        return {}

    def _key_delete(self, request: Request) -> Request:
        activity = cm_client.delete_key(self._kernel(), text(request, "path"))
        self._run(request, activity, "NtDeleteKey")
        return {}

    def _value_set(self, request: Request) -> Request:
        activity = cm_client.set_value(
            *(self._kernel(), text(request, "path"), text(request, "name")),
            *(value_type(request), data(request)),
        )
        self._run(request, activity, "NtSetValueKey")
        return {}

    def _value_delete(self, request: Request) -> Request:
        activity = cm_client.delete_value(
            self._kernel(), text(request, "path"), text(request, "name")
        )
        self._run(request, activity, "NtDeleteValueKey")
        return {}


def value_type(request: Request) -> int:
    """The number of a registry value's type."""
    number = integer(request, "type")
    if not 0 <= number <= 0xFFFFFFFF:
        raise Usage(f"{number} is no type of a registry value")
    return number


def parameters(request: Request) -> list[tuple[str, int, bytes]]:
    """The values that ``load`` puts into a service's Parameters key: name, type, data."""
    given = request.get("parameters", [])
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise Usage("'parameters' has to be a list of values")
    return [(text(entry, "name"), value_type(entry), data(entry)) for entry in given]
