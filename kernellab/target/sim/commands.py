"""Commands about the machine's own things rather than its drivers: registry, processes.

Each is what a program in the client's process would do, and is seen by drivers as that.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from .fields import Usage, integer, raw, size, text
from .kernel import cm_client, fs_client, inspection, programs
from .kernel.kernel import Kernel
from .kernel.thread import Thread

#: Rows of a list that ``inspect`` answers: unless asked otherwise, and at most.
_ROWS: Final = 200
_MOST_ROWS: Final = 2000

Request = dict[str, Any]
#: Runs an activity on the client's thread, within the request's limits.
Run = Callable[[Request, Any, str], Any]
#: The same on a thread of a program.
RunOn = Callable[[Request, Thread, Any, str], Any]


class SystemCommands:
    """Commands by name, for the endpoint to answer."""

    def __init__(self, kernel: Callable[[], Kernel], run: Run, run_on: RunOn) -> None:
        self._kernel = kernel
        self._run = run
        self._run_on = run_on

    def table(self) -> dict[str, Callable[[Request], Request]]:
        """What is answered here."""
        return {
            "key_read": self._key_read,
            "key_create": self._key_create,
            "key_delete": self._key_delete,
            "value_set": self._value_set,
            "value_delete": self._value_delete,
            "file_read": self._file_read,
            "file_write": self._file_write,
            "file_delete": self._file_delete,
            "file_list": self._file_list,
            "spawn": self._spawn,
            "processes": self._processes,
            "inspect": self._inspect,
            "exit_process": self._exit_process,
            "load_image": self._load_image,
            "start_thread": self._start_thread,
            "exit_thread": self._exit_thread,
            "open_process": self._open_process,
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
            *(value_type(request), raw(request)),
        )
        self._run(request, activity, "NtSetValueKey")
        return {}

    def _value_delete(self, request: Request) -> Request:
        activity = cm_client.delete_value(
            self._kernel(), text(request, "path"), text(request, "name")
        )
        self._run(request, activity, "NtDeleteValueKey")
        return {}

    # -- files ----------------------------------------------------------------------------------

    def _file_read(self, request: Request) -> Request:
        content, whole = fs_client.read(
            *(self._kernel(), text(request, "path"), integer(request, "offset", 0)),
            size(request, "length"),
        )
        return {"data": base64.b64encode(content).decode(), "size": whole}

    def _file_write(self, request: Request) -> Request:
        offset = integer(request, "offset", 0)
        fs_client.write(self._kernel(), text(request, "path"), offset, raw(request))
        return {}

    def _file_delete(self, request: Request) -> Request:
        fs_client.delete(self._kernel(), text(request, "path"))
        return {}

    def _file_list(self, request: Request) -> Request:
        return {"entries": fs_client.listing(self._kernel(), text(request, "path"))}

    # -- processes ------------------------------------------------------------------------------

    def _spawn(self, request: Request) -> Request:
        k = self._kernel()
        activity = programs.PspCreateProcess(
            *(k, text(request, "name"), text(request, "command_line")),
            integer(request, "parent", 0),
        )
        process = self._run(request, activity, "NtCreateUserProcess")
        if not process.exited:  # a driver may have ended it
            start = programs.PspUserThreadStartup(k, process)
            self._run_on(request, process.threads[0], start, "PspUserThreadStartup")
        return programs.describe(process)

    def _processes(self, _: Request) -> Request:
        return {"processes": [programs.describe(p) for p in self._kernel().ps.processes.values()]}

    def _inspect(self, request: Request) -> Request:
        most = integer(request, "most", _ROWS)
        if not 0 <= most <= _MOST_ROWS:
            raise Usage(f"'most' has to be from 0 to {_MOST_ROWS}")
        return inspection.driver_state(self._kernel(), text(request, "driver"), most)

    def _exit_process(self, request: Request) -> Request:
        k = self._kernel()
        process = programs.find(k, integer(request, "pid"))
        programs.may_end(k, process)
        activity = programs.PspExitProcess(k, process, integer(request, "code", 0) & 0xFFFFFFFF)
        thread = process.threads[0]
        self._run_on(request, thread, activity, "NtTerminateProcess")
        if thread in process.threads:
            k.ps.remove_thread(thread)
        programs.finish(k, process)
        return {}

    def _load_image(self, request: Request) -> Request:
        k = self._kernel()
        process = programs.find(k, integer(request, "pid"))
        programs.may_end(k, process)
        path = programs.image_path(text(request, "name"))
        activity = programs.MmLoadImage(k, process, path, size(request, "size"))
        base = self._run_on(request, process.threads[0], activity, "NtMapViewOfSection")
        return {"base": f"{base:#x}"}

    def _start_thread(self, request: Request) -> Request:
        k = self._kernel()
        process = programs.find(k, integer(request, "pid"))
        programs.may_end(k, process)
        activity = programs.PspCreateThread(k, process)
        thread = self._run_on(request, process.threads[0], activity, "NtCreateThreadEx")
        return {"thread": thread.id}

    def _exit_thread(self, request: Request) -> Request:
        k = self._kernel()
        thread = k.ps.threads.get(integer(request, "thread"))
        if thread is None or not thread.rests:
            raise Usage("there is no such thread of a program")
        if len(thread.process.threads) == 1:
            return self._exit_process({**request, "pid": thread.process.pid})
        activity = programs.PspExitThread(k, thread)
        self._run_on(request, thread, activity, "NtTerminateThread")
        k.ps.remove_thread(thread)
        return {}

    def _open_process(self, request: Request) -> Request:
        k = self._kernel()
        access = integer(request, "access") & 0xFFFFFFFF
        activity = programs.open_process(k, integer(request, "pid"), access)
        return {"access": self._run(request, activity, "NtOpenProcess")}


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
    return [(text(entry, "name"), value_type(entry), raw(entry)) for entry in given]
