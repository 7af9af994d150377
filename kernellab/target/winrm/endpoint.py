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
from ...errors import KernelLabError, TargetLost, TargetRefused
from ...protocol import BugcheckEvent
from .. import minidump
from ..base import Endpoint
from ..config import Machine
from ..credentials import Secret
from ..repeats import again
from ..steps import step
from . import scripts
from .channel import ABORTED, SHELL_NOT_FOUND, Channel, NothingYet, Unreachable
from .streams import Inbox, Outbox

T = TypeVar("T")

#: Seconds without any request after which the machine ends the shell.
IDLE: Final = 180

#: Where Windows leaves small dumps.
DUMPS: Final = r"C:\Windows\Minidump"

#: STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND, ERROR_PATH_NOT_FOUND as an NTSTATUS:
#: there has never been a dump.
NO_PATH: Final = (0xC0000034, 0xC000003A, 0xC0070003)

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
        self._inbox = Inbox()
        self._sender = make(machine, secret)
        self._send_lock = threading.Lock()
        self._repeats = False
        #: How the agent hears prints: ``on``, ``missing``, why not; empty where it was not asked.
        self.capture = ""
        self._born = time.monotonic()
        self._away = False  # whether the last request found nobody
        self._back = threading.Event()  # wakes who waits for the end of that
        self.absences, self.silence = 0, self._sender.read + 5
        #: The small dumps that were there at the start, where the agent has told them.
        self._dumps: list[str] | None = None
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
        except BaseException as error:
            self._sender.leave(error, lambda p: p.close_shell(self._shell, close_session=False))
            raise
        self.reader = cast(BinaryIO, self._inbox)
        self.writer = cast(BinaryIO, Outbox(self._send))
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
        hello = {"id": 0, "command": "hello"}
        dumps = {"id": -1, "command": "file_list", "path": DUMPS}
        try:
            self._send(protocol.encode_line(hello) + protocol.encode_line(dumps))
        except OSError:
            return False
        line = self._inbox.take_line(seconds)
        try:
            answer = protocol.decode_line(line)
            self._repeats = "again" in answer.get("features", ())
            self.capture = str(answer.get("info", {}).get("capture", ""))
            self.hears_all = self.capture == "on"
            if line:
                self._dumps = _names(protocol.decode_line(self._inbox.take_line(seconds)))
        except (protocol.ProtocolError, TypeError, AttributeError):
            pass  # the session will find that it does not speak the protocol
        return bool(line)

    def post_mortem(self, drivers: Collection[str]) -> BugcheckEvent | None:
        """Where the machine went away: wait until it is back, and ask for the dump it left."""
        if self._exit_code is not None or not (self._away or self._gone()):
            return None
        end = time.monotonic() + self.machine.patience
        while not self._stopping.is_set():
            left = max(0.0, end - time.monotonic())
            step(f"waiting for {self.machine.host} to come back")
            asked: dict[str, Any] = {"seconds": time.monotonic() - self._born}
            if self._dumps is not None:  # the machine's clock may have been changed since
                asked["known"] = self._dumps
            try:
                answer = scripts.run(self.machine, self._secret, "dump", asked, timeout=left + 10)
                data = base64.b64decode(str(answer.get("data", "")))
                return minidump.parse(data).event(drivers) if data else None
            except (minidump.DumpError, ValueError):
                return None
            except KernelLabError as error:
                down = isinstance(error, Unreachable) or getattr(error, "status", 0) == 503
                if not down or not left:
                    return None
                self._stopping.wait(min(1.0, 0.1 + left / 20))
        return None

    def _gone(self) -> bool:
        return isinstance(self._ended, Unreachable | _ShellGoneError)

    def stop(self, grace: float = 0.5) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._back.set()
        _open.discard(self)
        reachable = not isinstance(self._ended, Unreachable)
        # On a thread: a network that has just gone would keep us as long as it likes.
        closer = threading.Thread(target=self._close, args=(grace, reachable), daemon=True)
        closer.start()
        # After ■ nobody wants to wait, and where nobody is there it is no use.
        closer.join(grace + 5 if grace and not self._away else 0.3)
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
            channel.call(lambda p: p.close_shell(self._shell, close_session=False))
        except (KernelLabError, NothingYet):
            pass  # it is gone already, or will be when the shell has been idle
        finally:
            channel.close()

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
        swallowed, look = False, float("inf")

        def retry(lost: Unreachable) -> bool:
            nonlocal swallowed
            swallowed = swallowed or lost.sent  # the answer to it may have had output
            return not self._stopping.is_set()

        try:
            while not self._stopping.is_set() or self._ended is None:
                try:
                    out, error, code, done = self._patiently(
                        channel,
                        lambda p: p.get_command_output_raw(self._shell, self._command),
                        retry,
                    )
                except NothingYet:
                    out, error, code, done = b"", b"", 0, False
                except OSError:
                    return
                now = time.monotonic()
                if swallowed or now > look:
                    # And once more, when the service has given up what it held back for us before.
                    look = now + channel.read if swallowed else float("inf")
                    swallowed = False
                    threading.Thread(
                        target=self.resumed, name="kernellab-resumed", daemon=True
                    ).start()
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
                self._reached()
                return result
            except NothingYet:
                self._reached()
                raise
            except Unreachable as lost:
                self._away = True
                self._back.clear()
                over = time.monotonic() >= end
                if not over and retry(lost):
                    step(f"waiting for {self.machine.host}: the network is away")
                    self._back.wait(pause)
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

    def _reached(self) -> None:
        if self._away:
            self._away, self.absences = False, (self.absences or 0) + 1
        self._back.set()


def _names(reply: dict[str, Any]) -> list[str] | None:
    """The dumps of a ``file_list``; None where the agent cannot tell."""
    if reply.get("ok") is not True:
        error = reply.get("error")
        status = error.get("status") if isinstance(error, dict) else None
        return [] if isinstance(status, int) and status & 0xFFFFFFFF in NO_PATH else None
    entries = reply.get("entries", [])
    return [str(each["name"]) for each in entries if isinstance(each, dict) and "name" in each]


class _ShellGoneError(TargetLost):
    """The machine ended the session."""


def _stop_all() -> Any:
    for endpoint in list(_open):
        endpoint.stop(grace=0.2)


atexit.register(_stop_all)
