"""The endpoint's commands for devices: open, close, transfers, and requests that stay pending."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from . import fields
from .fields import Fields, Usage
from .kernel import io_client, io_shutdown, unload_pending
from .kernel.driver import NtFailure
from .kernel.io_file import File
from .kernel.io_finish import Request
from .kernel.io_request import SendIrp

if TYPE_CHECKING:
    from .kernel.driver import LoadedDriver
    from .kernel.kernel import Kernel

#: Requests whose results nobody has taken; the oldest completed ones are forgotten beyond.
_KEPT: Final = 10_000

#: Runs something on the kernel within the limits of a request.
Within = Callable[[Fields, Callable[["Kernel"], Any]], Any]


class DeviceCommands:
    """``within`` runs an action within a request's limits on the machine that runs now."""

    def __init__(self, within: Within) -> None:
        self._within = within
        self._number = 0
        self.commands: dict[str, Callable[[Fields], Fields]] = {
            "open": self._open,
            "close": self._close,
            "read": self._read,
            "write": self._write,
            "ioctl": self._ioctl,
            "flush": self._flush,
            "poll": self._poll,
            "result": self._result,
            "cancel": self._cancel,
        }

    def _open(self, request: Fields) -> Fields:
        path = fields.text(request, "path")
        admin = fields.flag(request, "admin", True)
        access, share = fields.text(request, "access", "rw"), fields.text(request, "share", "rwd")
        try:
            how = io_client.opening(access, share, admin=admin)
        except ValueError as error:
            raise Usage(str(error)) from None
        run = self._within
        handle = run(
            request,
            lambda k: io_client.run(k, io_client.NtCreateFile(k, path, how), "NtCreateFile"),
        )
        return {"handle": handle}

    def _close(self, request: Fields) -> Fields:
        number = fields.integer(request, "handle")

        def action(k: Kernel) -> None:
            if number in k.closed_handles:
                return
            _file(k, number)
            _close(k, number)

        self._within(request, action)
        return {}

    def close_all(self, request: Fields, driver: LoadedDriver) -> None:
        """Close the client's handles to a driver's devices, and go on with a pending unload."""

        def action(k: Kernel) -> None:
            for number, path in unload_pending.client_handles(k, driver):
                k.closed_handles[number] = f"the handle to {path} was closed: {driver.name}"
                _close(k, number)
                told = {"driver": driver.name, "state": "handle closed", "status": path}
                k.emit("state", told)

        self._within(request, action)

    def _read(self, request: Fields) -> Fields:
        length, offset = fields.size(request, "length"), fields.integer(request, "offset", 0)

        def make(k: Kernel, file: File, wait: bool) -> SendIrp:
            return io_client.read(k, file, length, offset, wait=wait)

        return self._transfer(request, make, "NtReadFile")

    def _write(self, request: Fields) -> Fields:
        data, offset = fields.raw(request), fields.integer(request, "offset", 0)

        def make(k: Kernel, file: File, wait: bool) -> SendIrp:
            return io_client.write(k, file, data, offset, wait=wait)

        return self._transfer(request, make, "NtWriteFile")

    def _flush(self, request: Fields) -> Fields:
        def make(k: Kernel, file: File, wait: bool) -> SendIrp:
            return io_client.flush(k, file, wait=wait)

        return self._transfer(request, make, "NtFlushBuffersFile")

    def _ioctl(self, request: Fields) -> Fields:
        code, out_size = fields.integer(request, "code"), fields.size(request, "out_size")
        if not 0 <= code <= 0xFFFFFFFF:
            raise Usage(f"{code} is not a 32-bit control code")
        data, output = fields.raw(request), fields.raw(request, "output")
        if len(output) > out_size:
            raise Usage("'output' is longer than 'out_size'")

        def make(k: Kernel, file: File, wait: bool) -> SendIrp:
            return io_client.ioctl(k, file, code, data, out_size, output=output, wait=wait)

        return self._transfer(request, make, "NtDeviceIoControlFile")

    def _transfer(
        self, request: Fields, make: Callable[[Kernel, File, bool], SendIrp], name: str
    ) -> Fields:
        """Send it; wait for its end, or give it a number where it is asynchronous."""
        number, wait = (
            fields.integer(request, "handle"),
            not fields.flag(request, "asynchronous", False),
        )

        def action(k: Kernel) -> Request:
            activity = make(k, _file(k, number), wait)
            if wait:
                return io_client.call(k, activity, name)
            sent = io_client.start(k, activity, name)
            self._number += 1
            k.requests[self._number] = sent
            if len(k.requests) > _KEPT:
                done = next((n for n, r in k.requests.items() if r.completed), None)
                if done is not None:
                    del k.requests[done]
            return sent

        sent: Request = self._within(request, action)
        return _transferred(sent) if wait else {"request": self._number, "done": sent.completed}

    # -- pending requests -----------------------------------------------------------------------

    def _poll(self, request: Fields) -> Fields:
        number = fields.integer(request, "request")
        done = self._within(request, lambda k: _sent(k, number).completed)
        return {"done": done}

    def _result(self, request: Fields) -> Fields:
        number = fields.integer(request, "request")

        def action(k: Kernel) -> Request:
            sent = _sent(k, number)
            try:
                return io_client.await_request(k, sent)
            finally:
                if sent.completed:
                    k.requests.pop(number, None)

        return _transferred(self._within(request, action))

    def _cancel(self, request: Fields) -> Fields:
        number = fields.integer(request, "request")
        done = self._within(request, lambda k: io_client.cancel(k, _sent(k, number)))
        return {"cancelled": done}

    def shutdown(self, request: Fields) -> None:
        """Tell the devices that asked for it that the machine goes down."""
        self._within(request, io_shutdown.notify)


def _sent(k: Kernel, number: int) -> Request:
    sent: Request | None = k.requests.get(number)
    if sent is None:
        raise Usage(f"there is no request {number}")
    return sent


def _close(k: Kernel, number: int) -> None:
    """Close a handle; a driver that waited for that is unloaded."""
    io_client.run(k, io_client.NtClose(k, number), "NtClose")
    unload_pending.finish(k)


def _file(k: Kernel, number: int) -> File:
    file = io_client.find(k, number)
    if file is None and number in k.closed_handles:
        why = f"{k.closed_handles[number]} was unloaded; open() it again"
        raise NtFailure("STATUS_INVALID_HANDLE", why)
    if file is None:
        raise Usage(f"there is no handle {number}")
    return file


def _transferred(request: Request) -> Fields:
    return {
        "data": base64.b64encode(request.data).decode(),
        "information": request.information,
        "status": ntdata.status_name(request.status),
    }
