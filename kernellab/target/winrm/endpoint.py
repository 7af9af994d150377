"""A command on a machine, run over WinRM, as a pair of byte streams.

One thread asks for output all the time, on a connection of its own; what is written is sent on
another one. A lost network is waited for; what that costs in output shows in the numbers of the
protocol's events. When this Python is killed, the shell is idle, and the machine ends it after
:data:`IDLE` seconds: then the agent's standard input closes, and it cleans up.
"""

from __future__ import annotations

import atexit
import base64
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, BinaryIO, Final, TypeVar, cast

from winrm.protocol import Protocol

from ... import protocol
from ...errors import KernelLabError, TargetLost, TargetRefused, TargetTimeout
from ...protocol import BugcheckEvent
from .. import minidump
from ..base import Endpoint
from ..config import Machine
from ..credentials import Secret
from ..repeats import again
from . import scripts
from .channel import ABORTED, SHELL_NOT_FOUND, Channel, NothingYet, Unreachable

T = TypeVar("T")

#: Seconds without any request after which the machine ends the shell.
IDLE: Final = 180

#: Bytes in one Send: with base64 and the envelope around it below WinRM's 153,600.
SEND_MOST: Final = 96 * 1024

_open: weakref.WeakSet[WinRMEndpoint] = weakref.WeakSet()


class WinRMEndpoint(Endpoint):
    """Start ``program`` with ``arguments`` in a shell of its own.

    Raises TargetRefused with ``fault`` NO_FILE where it is not there (where the service runs it
    without cmd.exe; with it, the program's output just ends), and what Channel raises.
    """

    def __init__(
        self,
        machine: Machine,
        secret: Secret,
        program: str,
        arguments: str = "",
        *,
        make: Callable[..., Channel] = Channel,
    ) -> None:
        self.machine = machine
        self._secret = secret
        self._make = make
        self._ended: KernelLabError | None = None
        self._exit_code: int | None = None
        self._errors: deque[str] = deque(maxlen=40)
        self._stopping = threading.Event()
        self._inbox = _Inbox()
        self._sender = make(machine, secret)
        self._send_lock = threading.Lock()
        self._repeats = False
        #: How the agent hears prints: ``on``, ``missing``, why not; empty where it was not asked.
        self.capture = ""
        self._born = time.monotonic()
        self._away = False  # whether the last request found nobody
        idle = max(IDLE, int(machine.patience) + 60)
        self._shell = self._sender.call(
            lambda p: p.open_shell(codepage=65001, idle_timeout=f"PT{idle}S")
        )
        try:
            self._command = self._sender.call(
                lambda p: p.run_command(
                    self._shell,
                    program,
                    [arguments] if arguments else [],
                    console_mode_stdin=False,
                    skip_cmd_shell=True,
                )
            )
        except BaseException:
            self._delete(self._sender)
            raise
        self.reader = cast(BinaryIO, self._inbox)
        self.writer = cast(BinaryIO, _Outbox(self._send))
        self._thread = threading.Thread(target=self._receive, name="kernellab-winrm", daemon=True)
        self._thread.start()
        _open.add(self)

    # -- what others see --------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return self._ended is None

    @property
    def exit_code(self) -> int | None:
        """What the program ended with, where it did."""
        return self._exit_code

    def last_words(self) -> str:
        words = list(self._errors)
        if self._ended is not None and self._exit_code is None:
            words.append(str(self._ended))
        return "\n".join(words)

    def cause(self) -> KernelLabError | None:
        return self._ended if self._exit_code is None else None

    def speaks(self, seconds: float) -> bool:
        """Whether the program answers a request of the protocol, or else has ended.

        Raises TargetTimeout where it does neither within ``seconds``.
        """
        try:
            self._send(protocol.encode_line({"id": 0, "command": "hello"}))
        except OSError:
            return False
        line = self._inbox.take_line(seconds)
        try:
            hello = protocol.decode_line(line)
            self._repeats = "again" in hello.get("features", ())
            self.capture = str(hello.get("info", {}).get("capture", ""))
        except (protocol.ProtocolError, TypeError, AttributeError):
            pass  # the session will find that it does not speak the protocol
        return bool(line)

    def post_mortem(self, drivers: Collection[str]) -> BugcheckEvent | None:
        """Where the machine went away: wait until it is back, and ask for the dump it left."""
        if self._exit_code is not None or not (self._away or self._gone()):
            return None
        end = time.monotonic() + self.machine.patience
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                answer = scripts.run(
                    self.machine,
                    self._secret,
                    "dump",
                    {"seconds": time.monotonic() - self._born},
                    timeout=left + 10,
                )
                data = base64.b64decode(str(answer.get("data", "")))
                return minidump.parse(data).event(drivers) if data else None
            except (minidump.DumpError, ValueError):
                return None
            except KernelLabError as error:
                down = isinstance(error, Unreachable) or getattr(error, "status", 0) == 503
                if not down or not left:
                    return None
                self._stopping.wait(1.0)

    def _gone(self) -> bool:
        return isinstance(self._ended, Unreachable | _ShellGoneError)

    def stop(self, grace: float = 0.5) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        _open.discard(self)
        reachable = not isinstance(self._ended, Unreachable)
        # On a thread: a network that has just gone would keep us as long as it likes.
        closer = threading.Thread(target=self._close, args=(grace, reachable), daemon=True)
        closer.start()
        closer.join(grace + 5)
        self._end(TargetLost("the session was closed"))

    # -- inside -----------------------------------------------------------------------------

    def _close(self, grace: float, reachable: bool) -> None:
        channel = self._make(self.machine, self._secret, operation=2, read=4)
        try:
            if not reachable:
                return
            if self._exit_code is None and self._ended is None:
                channel.call(
                    lambda p: p.send_command_input(self._shell, self._command, b"", end=True)
                )
                self._thread.join(grace)
            channel.call(lambda p: p.cleanup_command(self._shell, self._command))
        except (KernelLabError, NothingYet):
            pass  # it is gone already, or will be when the shell has been idle
        finally:
            self._delete(channel)
            channel.close()

    def _delete(self, channel: Channel) -> None:
        try:
            channel.call(lambda p: p.close_shell(self._shell, close_session=False))
        except (KernelLabError, NothingYet):
            pass  # the machine ends it when it has been idle

    def _end(self, why: KernelLabError) -> None:
        if self._ended is None:
            self._ended = why
        self._inbox.end()

    def _send(self, data: bytes) -> None:
        """All of ``data``, in order. Raises OSError when that is not to be had any more.

        What may have arrived is sent again only where it is one whole request, marked so, and the
        agent knows the mark: nothing is done twice.
        """
        whole = self._repeats and len(data) <= SEND_MOST - 100 and data.count(b"\n") == 1
        with self._send_lock:
            for start in range(0, len(data), SEND_MOST):
                part = [data[start : start + SEND_MOST]]

                def retry(lost: Unreachable, part: list[bytes] = part) -> bool:
                    if lost.sent and whole and part[0] is data:
                        part[0] = again(data)
                    return whole or not lost.sent

                def send(p: Protocol, part: list[bytes] = part) -> None:
                    p.send_command_input(self._shell, self._command, part[0])

                self._patiently(self._sender, send, retry)

    def _receive(self) -> None:
        channel = self._make(self.machine, self._secret)
        try:
            while not self._stopping.is_set() or self._ended is None:
                try:
                    out, error, code, done = self._patiently(
                        channel,
                        lambda p: p.get_command_output_raw(self._shell, self._command),
                        lambda lost: not self._stopping.is_set(),
                    )
                except NothingYet:
                    continue
                except OSError:
                    return
                if error:
                    text = error.decode("utf-8", "backslashreplace")
                    self._errors.extend(line[:500] for line in text.splitlines())
                if out:
                    self._inbox.feed(out)
                if done:
                    self._exit_code = code
                    self._end(TargetLost(f"the agent ended with exit code {code:#x}"))
                    return
        finally:
            channel.close()

    def _patiently(
        self,
        channel: Channel,
        function: Callable[[Protocol], T],
        retry: Callable[[Unreachable], bool],
    ) -> T:
        """``function``'s result; a network that is away is waited for where ``retry`` says so.

        Raises OSError where the session is over, which ``cause`` tells then.
        """
        end, pause = time.monotonic() + self.machine.patience, 0.1
        while True:
            if self._ended is not None:
                raise OSError(str(self._ended))
            try:
                result = channel.call(function)
                self._away = False
                return result
            except Unreachable as lost:
                self._away = True
                over = time.monotonic() >= end
                if not over and retry(lost):
                    self._stopping.wait(pause)
                    pause = min(pause * 2, 2.0)
                    continue
                why: KernelLabError = Unreachable(
                    f"{lost}, for {self.machine.patience:g} s"
                    if over
                    else f"{lost} while a request was under way; whether it arrived is not known",
                    sent=lost.sent,
                )
            except TargetRefused as refused:
                why = refused
                if refused.fault in (SHELL_NOT_FOUND, ABORTED):
                    why = _ShellGoneError(
                        f"{self.machine.host} has ended the session: it restarted, or the shell "
                        "was idle too long or has lived its eight hours"
                    )
            except KernelLabError as error:
                why = error
            self._end(why)
            raise OSError(str(why))


class _ShellGoneError(TargetLost):
    """The machine ended the session."""


class _Inbox:
    """What has been received, to be read by the session: the reading end of a stream."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._data = bytearray()
        self._over = False

    def feed(self, data: bytes) -> None:
        with self._changed:
            self._data += data
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def take_line(self, seconds: float) -> bytes:
        """The first line; nothing where the stream ended before there was one."""
        end = time.monotonic() + seconds
        with self._changed:
            while (at := self._data.find(b"\n")) < 0 and not self._over:
                if (left := end - time.monotonic()) <= 0:
                    raise TargetTimeout(f"the agent did not answer within {seconds:g} s")
                self._changed.wait(left)
            line = bytes(self._data[: at + 1])
            del self._data[: at + 1]
            return line

    def read1(self, size: int = -1) -> bytes:
        with self._changed:
            while not self._data and not self._over:
                self._changed.wait()
            taken = bytes(self._data if size < 0 else self._data[:size])
            del self._data[: len(taken)]
            return taken

    read = read1

    def close(self) -> None:
        self.end()


class _Outbox:
    """The writing end of a stream; what is written goes with ``flush``."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        data = bytes(self._data)
        self._data.clear()
        self._send(data)

    def close(self) -> None:
        """The program's input is closed by the endpoint's ``stop``."""


def _stop_all() -> Any:
    for endpoint in list(_open):
        endpoint.stop(grace=0.2)


atexit.register(_stop_all)
