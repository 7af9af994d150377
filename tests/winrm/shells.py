"""Shells and the commands that run in them, with the quotas of a WinRM service."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Final, cast

from . import soap
from .soap import Fault, Message

Spawn = Callable[[str, str, Mapping[str, str], bool], "subprocess.Popen[bytes]"]

#: Output that one Receive answers with, bytes before base64: fits the smallest envelope.
MOST_OUTPUT: Final = 100_000


@dataclass(slots=True)
class Quotas:
    """As in ``winrm get winrm/config``; times in seconds."""

    max_envelope: int = 512_000
    max_shells_per_user: int = 30
    idle_timeout: float = 7200.0
    #: How long any shell lives; 0: no limit.
    lifetime: float = 0.0


class Command:
    """A running process whose output is kept until a Receive takes it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.id = str(uuid.uuid4()).upper()
        self.process = process
        self._changed = threading.Condition()
        self._output: list[tuple[str, bytes]] = []
        self._open = 2
        for name in ("stdout", "stderr"):
            stream = cast(IO[bytes], getattr(process, name))
            threading.Thread(target=self._pump, args=(name, stream), daemon=True).start()

    def _pump(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while data := stream.read1(65536):  # type: ignore[attr-defined]
                with self._changed:
                    while sum(len(d) for _, d in self._output) > 8 * MOST_OUTPUT:
                        self._changed.wait(0.05)  # nobody reads: the program has to wait
                    self._output.append((name, data))
                    self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def send(self, data: bytes, end: bool) -> None:
        stdin = cast(IO[bytes], self.process.stdin)
        try:
            if data:
                stdin.write(data)
                stdin.flush()
            if end:
                stdin.close()
        except (OSError, ValueError):
            raise Fault(0x8007006D, "w:InternalError", "The pipe has been ended.") from None

    def receive(self, timeout: float) -> tuple[list[tuple[str, bytes]], int | None]:
        end = time.monotonic() + timeout
        with self._changed:
            while not self._output and self._open:
                left = end - time.monotonic()
                if left <= 0:
                    raise Fault(
                        soap.OPERATION_TIMED_OUT,
                        "w:TimedOut",
                        "The WS-Management service cannot complete the operation within the "
                        "time specified in OperationTimeout.",
                        "s:Receiver",
                    )
                self._changed.wait(left)
            taken: list[tuple[str, bytes]] = []
            room = MOST_OUTPUT
            while self._output and room > 0:
                name, data = self._output.pop(0)
                if len(data) > room:
                    self._output.insert(0, (name, data[room:]))
                    data = data[:room]
                room -= len(data)
                if taken and taken[-1][0] == name:
                    taken[-1] = (name, taken[-1][1] + data)
                else:
                    taken.append((name, data))
            self._changed.notify_all()
            done = not self._output and not self._open
        return taken, self.process.wait() & 0xFFFFFFFF if done else None

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait()
        try:
            cast(IO[bytes], self.process.stdin).close()
        except OSError:
            pass


class Shell:
    def __init__(self, owner: str, environment: Mapping[str, str], idle: float) -> None:
        self.id = str(uuid.uuid4()).upper()
        self.owner = owner
        self.environment = dict(environment)
        self.idle = idle
        self.born = self.used = time.monotonic()
        self.busy = 0
        self.commands: dict[str, Command] = {}

    def end(self) -> None:
        for command in list(self.commands.values()):
            command.kill()


class Shells:
    """All shells of a machine, and what each operation does to them."""

    def __init__(self, spawn: Spawn, quotas: Quotas) -> None:
        self.quotas = quotas
        self._spawn = spawn
        self._lock = threading.Lock()
        self._shells: dict[str, Shell] = {}
        #: Operations by name, in order, since the machine started.
        self.operations: list[str] = []

    def ids(self) -> list[str]:
        return list(self._shells)

    def end_all(self) -> None:
        """As when the machine goes down."""
        with self._lock:
            shells = list(self._shells.values())
            self._shells.clear()
        for shell in shells:
            shell.end()

    def end(self, shell_id: str) -> None:
        """As when it was idle too long, or has lived its eight hours."""
        with self._lock:
            shell = self._shells.pop(shell_id)
        shell.end()

    def answer(self, message: Message, user: str) -> bytes:
        self._expire()
        name = message.action.rsplit("/", 1)[-1]
        self.operations.append(name)
        operation = {
            **{"Create": self._create, "Delete": self._delete, "Command": self._command},
            **{"Send": self._send, "Receive": self._receive, "Signal": self._signal},
        }.get(name)
        if operation is None or not message.resource.startswith(soap.SHELL):
            raise Fault(soap.UNSUPPORTED, "w:ActionNotSupported", f"no operation {name}")
        if name == "Create":
            return self._create(message, user)
        shell = self._shell(message, user)
        shell.busy += 1
        try:
            answer = cast(Callable[[Message, Shell], bytes], operation)(message, shell)
            if name == "Receive" and shell.id not in self._shells:
                text = "The I/O operation has been aborted because of a thread exit."
                raise Fault(soap.ABORTED, "w:InternalError", text, "s:Receiver")
            return answer
        finally:
            shell.busy -= 1
            shell.used = time.monotonic()

    def _expire(self) -> None:
        now = time.monotonic()
        with self._lock:
            over = [
                shell
                for shell in self._shells.values()
                if (not shell.busy and now - shell.used > shell.idle)
                or (self.quotas.lifetime and now - shell.born > self.quotas.lifetime)
            ]
            for shell in over:
                del self._shells[shell.id]
        for shell in over:
            shell.end()

    def _shell(self, message: Message, user: str) -> Shell:
        with self._lock:
            shell = self._shells.get(message.shell_id)
        if shell is None or shell.owner != user:
            raise Fault(
                soap.SHELL_NOT_FOUND,
                "w:InvalidSelectors",
                "The request for the Windows Remote Shell with ShellId "
                f"{message.shell_id} failed because the shell was not found on the server. "
                "Possible causes are: the specified ShellId is incorrect or the shell no longer "
                "exists on the server. Provide the correct ShellId or create a new shell and "
                "retry the operation.",
            )
        return shell

    def _create(self, message: Message, user: str) -> bytes:
        wanted = message.find("rsp:Shell")
        idle = soap.seconds(wanted.findtext("rsp:IdleTimeOut", "", soap.NS) or "PT7200S")
        variables = {
            each.get("Name", ""): each.text or ""
            for each in wanted.findall("rsp:Environment/rsp:Variable", soap.NS)
        }
        shell = Shell(user, variables, min(idle, self.quotas.idle_timeout))
        with self._lock:
            mine = sum(each.owner == user for each in self._shells.values())
            most = self.quotas.max_shells_per_user
            if mine >= most:
                raise Fault(
                    soap.QUOTA_MAX_SHELLS,
                    "w:QuotaLimit",
                    "The WS-Management service cannot process the request. This user is allowed "
                    f"a maximum number of {most} concurrent shells, which has been exceeded. "
                    "Close existing shells or raise the quota for this user.",
                )
            self._shells[shell.id] = shell
        return soap.reply(message, soap.shell_created(shell.id, shell.idle, user))

    def _delete(self, message: Message, shell: Shell) -> bytes:
        with self._lock:
            self._shells.pop(shell.id, None)
        shell.end()
        return soap.reply(message)

    def _command(self, message: Message, shell: Shell) -> bytes:
        line = message.find("rsp:CommandLine")
        command = line.findtext("rsp:Command", "", soap.NS)
        arguments = " ".join(a.text or "" for a in line.findall("rsp:Arguments", soap.NS))
        skip = message.options.get("WINRS_SKIP_CMD_SHELL", "FALSE").upper() == "TRUE"
        try:
            process = self._spawn(command, arguments, shell.environment, skip)
        except FileNotFoundError:
            text = "The system cannot find the file specified."
            raise Fault(soap.FILE_NOT_FOUND, "w:InternalError", text, "s:Receiver") from None
        started = Command(process)
        shell.commands[started.id] = started
        return soap.reply(message, soap.command_started(started.id))

    def _named(self, shell: Shell, command_id: str | None) -> Command:
        command = shell.commands.get(command_id or "")
        if command is None:
            text = "The Windows Remote Shell received a request for an unknown command."
            raise Fault(soap.SHELL_NOT_FOUND, "w:InvalidSelectors", text)
        return command

    def _send(self, message: Message, shell: Shell) -> bytes:
        for stream in message.find("rsp:Send").findall("rsp:Stream", soap.NS):
            command = self._named(shell, stream.get("CommandId"))
            end = stream.get("End", "false").lower() in ("true", "1")
            command.send(base64.b64decode(stream.text or ""), end)
        return soap.reply(message, "<rsp:SendResponse/>")

    def _receive(self, message: Message, shell: Shell) -> bytes:
        command = self._named(shell, message.find("rsp:Receive/rsp:DesiredStream").get("CommandId"))
        output, code = command.receive(message.timeout)
        return soap.reply(message, soap.received(command.id, output, code))

    def _signal(self, message: Message, shell: Shell) -> bytes:
        sent = message.find("rsp:Signal")
        command = self._named(shell, sent.get("CommandId"))
        code = sent.findtext("rsp:Code", "", soap.NS).strip().lower()
        if code.endswith(("/terminate", "/ctrl_c", "/ctrl_break")):
            command.kill()
        if code.endswith("/terminate"):
            shell.commands.pop(command.id, None)
        return soap.reply(message, "<rsp:SignalResponse/>")
