"""The protocol in front of the simulated kernel: requests in, replies and events out.

The main thread runs requests in the order they came; a reader thread takes them in, so that
``interrupt`` and the end of the input are noticed while driver code runs. Events are gathered
and written together: when there are many, when a request is done, and otherwise by a flusher
thread a few milliseconds after they came.
"""

from __future__ import annotations

import base64
import gc
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, Final

from kernellab import __version__, ntdata, protocol
from kernellab.errors import LoadError

from ..repeats import Repeats
from . import hardware, verify
from .commands import SystemCommands, parameters
from .deadline import Deadline
from .endpoint_devices import DeviceCommands
from .exports import table
from .fields import Usage, machine
from .fields import flag as _flag
from .fields import integer as _int
from .fields import raw as _bytes
from .fields import rules as _rules
from .fields import seconds as _number
from .fields import text as _text
from .kernel import crash, unload_pending
from .kernel import driver as drivers
from .kernel.bugcheck import BugCheck, Report
from .kernel.crash_dump import crash_dump
from .kernel.driver import NtFailure
from .kernel.execution import Stopped
from .kernel.fs_host import FolderError
from .kernel.io_client import StillPending
from .kernel.kernel import UNITS, Kernel
from .kernel.scheduler import PATIENCE, Stuck
from .kernel.snapshot import Snapshot
from .machine.pe import MAX_FILE
from .output import Output
from .trace_commands import TraceCommands

#: What a machine that has stopped still answers.
_WHEN_STOPPED: Final = frozenset(
    "hello heartbeat status inspect dump get restore trace reboot shutdown".split()
)
_DUMP_FILE: Final = "MEMORY.DMP"
_DEFAULT_TIMEOUT: Final = 10.0


class _Failed(Exception):
    """Answer the request with this error."""

    def __init__(self, kind: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.fields = {"kind": kind, "message": message, **fields}


class Endpoint:
    """Serves one client until its stream ends."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._out = Output(writer)
        self._repeats = Repeats()
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._files: dict[str, bytearray] = {}
        self._stopped = ""
        #: Of the bug check that stopped the machine.
        self._report: Report | None = None
        self._why = ""
        self._busy = False
        # Requests that came, counted where they come, and that were answered.
        self._came = self._done = 0
        self._deadline = Deadline(partial(self._ask, "timeout"))
        self._settings: dict[str, Any] = {}
        self._snapshots: dict[int, Snapshot] = {}
        self._next_snapshot = 0
        self._kernel = self._boot()
        self._devices = DeviceCommands(self._within)
        self._trace = TraceCommands(lambda: self._kernel, self._files)
        self._commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "heartbeat": lambda r: {"echo": r.get("echo"), "events": self._out.count()},
            "put": self._put,
            "load": self._load,
            "unload": self._unload,
            "sleep": self._sleep,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "forget": self._forget,
            "dump": self._dump,
            "get": self._get,
            "status": self._status,
            "reboot": self._reboot,
            "shutdown": self._shutdown,
            "trace": self._trace.answer,
            **self._devices.commands,
            **SystemCommands(
                lambda: self._kernel, partial(self._run, user=True), self._run_on
            ).table(),
        }

    def serve(self) -> None:
        """Answer requests until ``shutdown`` or the end of the stream."""
        threading.Thread(target=self._take, daemon=True).start()
        while (request := self._requests.get()) is not None:
            self._answer(request)
            if request.get("command") == "shutdown":
                break
        self._out.flush()

    def _boot(self) -> Kernel:
        settings = dict(self._settings)
        off = settings.pop("verifier", "on")
        kernel = Kernel(table(), self._out.event, **settings)
        self._verifier = verify.attach(kernel, off)
        return kernel

    # -- requests -----------------------------------------------------------------------------

    def _take(self) -> None:
        while line := self._reader.readline(protocol.MAX_LINE + 1):
            if len(line) > protocol.MAX_LINE and not line.endswith(b"\n"):
                self._skip_line()
            try:
                request = protocol.decode_line(line)
            except protocol.ProtocolError as error:
                failure = {"kind": "usage", "message": str(error)}
                self._out.reply({"reply": 0, "ok": False, "error": failure})
                continue
            if request.get("command") == "interrupt":
                self._ask("interrupted")
                self._out.reply({"reply": request.get("id", 0), "ok": True})
            elif not self._repeats(request, self._out.again):
                self._came += 1
                self._requests.put(request)
        # The client is gone. Nothing of it may stay, not even a driver's endless loop.
        self._requests.put(None)
        if self._busy:
            os._exit(0)

    def _skip_line(self) -> None:
        """Drop the rest of a line that was too long."""
        while rest := self._reader.readline(protocol.MAX_LINE):
            if rest.endswith(b"\n"):
                break

    def _answer(self, request: dict[str, Any]) -> None:
        number = request.get("id", 0)
        try:
            name = request.get("command")
            command = self._command(name) if isinstance(name, str) else None
            if command is None:
                raise Usage(f"there is no command {name!r}")
            if self._stopped and name not in _WHEN_STOPPED:
                raise _Failed("stopped", self._stopped)
            reply = {"reply": number, "ok": True, **command(request)}
        except _Failed as failed:
            reply = {"reply": number, "ok": False, "error": failed.fields}
        except Usage as error:
            reply = _error(number, "usage", str(error))
        except LoadError as error:
            reply = _error(number, "load", str(error), missing=list(error.missing))
        except NtFailure as error:
            reply = _error(number, "ntstatus", str(error), status=error.status)
        except StillPending as error:
            reply = _error(number, "pending", str(error))
        except Exception as error:  # a defect of ours must reach the client as an answer
            traceback.print_exc()
            reply = _error(number, "internal", f"{type(error).__name__}: {error}")
        # Before the reply: an interrupt of the next request is not taken for one of this.
        self._done += 1
        self._why = ""
        self._repeats.keep(number, self._out.reply(reply))

    def _command(self, name: str) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        about_hardware = hardware.COMMANDS.get(name)
        if about_hardware is None:
            return self._commands.get(name)
        return lambda request: about_hardware(self._kernel, request, self._run_in_kernel)

    def _run_in_kernel(self, request: dict[str, Any], activity: Any, name: str) -> Any:
        return self._run(request, activity, name, user=False)

    def _run(self, request: dict[str, Any], activity: Any, name: str, *, user: bool) -> Any:
        """Run an activity within the request's limits; everything that stops it is told."""
        return self._within(request, lambda k: k.run(activity, name, user=user))

    def _run_on(self, request: dict[str, Any], thread: Any, activity: Any, name: str) -> Any:
        return self._within(request, lambda k: k.run_on(thread, activity, name))

    def _within(self, request: dict[str, Any], action: Callable[[Kernel], Any]) -> Any:
        k = self._kernel
        seconds, budget = _limits(request)
        k.cpu.budget = budget
        # Before the time limit, which is the wall clock's, so that each run ends in the same way.
        k.scheduler.patience = round(seconds * PATIENCE / _DEFAULT_TIMEOUT)
        k.cpu.clear()
        self._busy = True
        self._deadline.set(seconds)
        if self._why:  # it came before there was anything to stop
            k.cpu.ask()
        try:
            return action(k)
        except BugCheck as check:
            raise self._crashed(check) from None
        except Stopped as stopped:
            limit = stopped.why == "asked" and self._why != "interrupted"
            if limit and (ahead := crash.endless(k)) is not None:
                raise self._crashed(ahead) from None
            raise self._stop(stopped, seconds, budget) from None
        except Stuck as stuck:
            raise self._stuck(stuck) from None
        finally:
            self._deadline.clear()
            self._busy = False
            k.cpu.clear()
            k.cpu.budget = None

    def _crashed(self, check: BugCheck) -> _Failed:
        self._stopped = f"{check.name} ({check.code:#x})"
        self._report = check.report
        if check.report is not None:
            self._out.event("bugcheck", check.report.fields())
        return _Failed("bugcheck", str(check))

    def _stuck(self, stuck: Stuck) -> _Failed:
        k = self._kernel
        frames = k.frames(stuck.thread.context(trapped=True))
        self._stopped = f"driver code waits for ever for {stuck.why}"
        return _Failed("timeout", self._stopped, frames=[protocol.frame_fields(f) for f in frames])

    def _ask(self, why: str) -> None:
        if self._came != self._done:
            self._why = self._why or why
        if self._busy:
            self._kernel.cpu.ask()

    def _stop(self, stopped: Stopped, seconds: float, budget: object) -> _Failed:
        k = self._kernel
        frames = k.frames(k.flow.context(trapped=False))
        told = [protocol.frame_fields(f) for f in frames]
        if stopped.why == "halted":
            kind, message = "timeout", "the driver halted the processor"
        elif stopped.why == "budget":
            kind, message = "timeout", f"driver code ran for more than {budget} instructions"
        elif self._why == "interrupted":
            kind, message = "interrupted", "interrupted while driver code ran"
        else:
            kind, message = "timeout", f"driver code ran for more than {seconds:g} s"
        self._stopped = message
        return _Failed(kind, message, frames=told)

    # -- commands -----------------------------------------------------------------------------

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        self._out.columns = _flag(request, "columns", False)
        features = "ioctl budget violations interrupt async inspect trace again".split()
        both = {"protocol": protocol.VERSION, "version": __version__}
        return {**both, "endpoint": "sim", "features": features}

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        name, offset, data = _text(request, "file"), _int(request, "offset"), _bytes(request)
        content = bytearray() if offset == 0 else self._files.get(name)
        if content is None or offset != len(content) or offset + len(data) > MAX_FILE:
            raise Usage(f"a chunk of {name} at {offset} does not follow what is there")
        self._files[name] = content
        content += data
        return {"size": len(content)}

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        name, file = _text(request, "driver"), _text(request, "file")
        _limits(request)
        data = self._files.pop(file, None)
        if data is None:
            raise Usage(f"no file {file} was put")
        k = self._kernel
        if self._verifier is not None:
            self._verifier.exempt(name, _rules(request))
        values = parameters(request)
        driver = drivers.load(k, name, bytes(data))
        k.cm.set_parameters(name, values)
        self._state(name, "loaded")
        try:
            activity = drivers.IopLoadDriver(k, driver)
            status = self._run(request, activity, "IopLoadDriver", user=False)
        except _Failed:
            raise  # the machine has stopped, as it is
        except BaseException:
            drivers.remove(k, driver)
            self._state(name, "failed")
            raise
        if not ntdata.nt_success(status):
            drivers.remove(k, driver)
            self._state(name, "failed", ntdata.status_name(status))
            raise NtFailure(status, f"DriverEntry returned {ntdata.status_name(status)}")
        self._state(name, "running", ntdata.status_name(status))
        return {"status": ntdata.status_name(status), "base": driver.base, "size": driver.size}

    def _unload(self, request: dict[str, Any]) -> dict[str, Any]:
        name = _text(request, "driver")
        driver = self._kernel.drivers.get(name)
        if driver is None:
            raise Usage(f"{name} is not loaded")
        k, done = self._kernel, {"status": "STATUS_SUCCESS"}
        if _flag(request, "close_handles", False):
            self._devices.close_all(request, driver)
            if name not in k.drivers:  # its unload was pending
                return done
        why = unload_pending.begin(k, driver)
        if why:
            self._state(name, "unload pending", why)
            return {**done, "pending": why}
        activity = drivers.IopUnloadDriver(k, driver)
        self._run(request, activity, "IopUnloadDriver", user=False)
        drivers.remove(k, driver)
        self._state(name, "unloaded")
        return done

    def _sleep(self, request: dict[str, Any]) -> dict[str, Any]:
        units = round(_number(request, "seconds", 0.0) * UNITS)
        self._within(request, lambda k: k.drive(None, units=units))
        return {}

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        k = self._kernel
        pool: dict[str, int] = {}
        paged: dict[str, int] = {}
        for allocation in k.pool.live.values():
            tag, size = allocation.tag_text, allocation.size
            if allocation.owner:
                pool[tag] = pool.get(tag, 0) + size
                if allocation.paged:
                    paged[tag] = paged.get(tag, 0) + size
        return {
            "state": self._stopped or "running",
            "time": k.time,
            "drivers": [
                {"name": d.name, "base": f"{d.base:#x}", "size": d.size} for d in k.drivers.values()
            ],
            "devices": [
                {"name": d.name, "driver": d.owner, "handles": d.handles}
                for d in k.objects.devices.values()
            ],
            "symbolic_links": {link.name: link.target for link in k.objects.links.values()},
            "pool": pool,
            "paged_pool": paged,
        }

    def _snapshot(self, _: dict[str, Any]) -> dict[str, Any]:
        self._next_snapshot += 1
        self._snapshots[self._next_snapshot] = Snapshot(self._kernel)
        return {"snapshot": self._next_snapshot}

    def _restore(self, request: dict[str, Any]) -> dict[str, Any]:
        self._trace.restore(self._find_snapshot(request))
        self._stopped, self._report = "", None
        return {}

    def _forget(self, request: dict[str, Any]) -> dict[str, Any]:
        self._find_snapshot(request).forget(self._kernel)
        del self._snapshots[_int(request, "snapshot")]
        return {}

    def _dump(self, _: dict[str, Any]) -> dict[str, Any]:
        content = crash_dump(self._kernel, self._report)
        self._files[_DUMP_FILE] = bytearray(content)
        return {"file": _DUMP_FILE, "size": len(content)}

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        name, offset = _text(request, "file"), _int(request, "offset")
        content = self._files.get(name)
        if content is None or offset < 0:
            raise Usage(f"there is no file {name}")
        chunk = content[offset : offset + protocol.GET_CHUNK]
        if offset + len(chunk) >= len(content):
            del self._files[name]  # the client has it all
        return {"data": base64.b64encode(chunk).decode()}

    def _find_snapshot(self, request: dict[str, Any]) -> Snapshot:
        number = _int(request, "snapshot")
        found = self._snapshots.get(number)
        if found is None:
            raise Usage(f"there is no snapshot {number} of this machine")
        return found

    def _reboot(self, request: dict[str, Any]) -> dict[str, Any]:
        settings = {**machine(request), "verifier": _rules(request)}
        self._tell_shutdown()
        self._trace.end()
        self._settings = settings
        self._files.clear()
        self._snapshots.clear()
        self._stopped, self._report = "", None
        try:
            self._kernel = self._boot()
        except FolderError as error:
            raise Usage(str(error)) from None
        return {}

    def _shutdown(self, _: dict[str, Any]) -> dict[str, Any]:
        self._tell_shutdown()
        return {}

    def _tell_shutdown(self) -> None:
        """A machine that runs goes down as Windows does; whatever goes wrong then is told."""
        if self._stopped:
            return
        try:
            self._devices.shutdown({})
        except (_Failed, NtFailure):
            pass  # it goes down anyway; a bug check was told as an event

    def _state(self, driver: str, state: str, status: str = "") -> None:
        self._out.event("state", {"driver": driver, "state": state, "status": status})


def _limits(request: dict[str, Any]) -> tuple[float, int | None]:
    """The seconds and the instructions that driver code may run for a request."""
    seconds = _number(request, "timeout", _DEFAULT_TIMEOUT)
    budget = request.get("budget")
    return seconds, _int(request, "budget") if budget is not None else None


def _error(number: object, kind: str, message: str, **fields: Any) -> dict[str, Any]:
    error = {"kind": kind, "message": message, **fields}
    return {"reply": number, "ok": False, "error": error}


def main() -> None:
    """Serve on standard input and output; whatever else prints goes to standard error."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    endpoint = Endpoint(sys.stdin.buffer, out)
    # What is there now stays: looking through it for garbage again and again takes time.
    gc.freeze()
    endpoint.serve()
    # Threads that wait on the client must not keep the process.
    os._exit(0)
