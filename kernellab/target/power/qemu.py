"""QEMU over its machine protocol (QMP): "QEMU Machine Protocol Specification"."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import subprocess
import threading
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from ...errors import PowerError
from .base import OFF, PAUSED, RUNNING, SNAPSHOT, UNKNOWN, Power

T = TypeVar("T")

KEYS: Final[Mapping[str, type]] = {"socket": str, "command": list}

#: Seconds for a command that only asks, and for saving or loading the memory.
ASK: Final = 10.0
JOB: Final = 300.0

_jobs = itertools.count()


class Qemu(Power):
    """``socket`` is QMP's: a path, or ``HOST:PORT``; ``command`` starts QEMU where it is off."""

    def __init__(self, table: Mapping[str, Any], folder: Path = Path()) -> None:
        socket = str(table["socket"])
        host, colon, port = socket.rpartition(":")
        self._where: str | tuple[str, int] = (
            (host, int(port)) if colon and port.isdigit() else str(folder / socket)
        )
        self._command: list[str] = list(table.get("command", []))
        self._folder = folder

    def state(self) -> str:
        try:
            status = self._ask("query-status")["status"]
        except _NobodyError:
            return OFF
        known = {"running": RUNNING, "paused": PAUSED, "prelaunch": PAUSED, "shutdown": OFF}
        return known.get(status, UNKNOWN)

    def start(self) -> None:
        state = self.state()
        if state == PAUSED:
            self._ask("cont")
        elif state == OFF:
            self._launch()

    def _launch(self) -> None:
        if not self._command:
            raise PowerError(
                f"nothing answers on {self._where}, and power has no command to start QEMU with"
            )
        try:
            process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=os.name != "nt",
            )
        except OSError as error:
            raise PowerError(f"cannot start {self._command[0]}: {error.strerror}") from None
        end = time.monotonic() + ASK
        while self.state() == OFF:
            code = process.poll()
            if code not in (None, 0):  # 0: -daemonize
                said = process.stderr.read() if process.stderr else b""
                raise PowerError(
                    f"QEMU ended with {code}: {said.decode('utf-8', 'replace')[-400:]}"
                )
            if time.monotonic() > end:
                raise PowerError(f"QEMU was started and does not answer on {self._where}")
            time.sleep(0.05)
        if process.stderr is not None:
            process.stderr.close()
        # Whoever reaps it: without this a finished QEMU stays as a zombie of ours.
        threading.Thread(target=process.wait, daemon=True).start()

    def stop(self, grace: float = 60.0) -> None:
        end = time.monotonic() + grace
        try:
            if grace > 0:
                self._ask("system_powerdown")
            while time.monotonic() < end and self.state() != OFF:
                time.sleep(0.2)
            self._ask("quit")
        except _NobodyError:
            return
        end = time.monotonic() + ASK
        while self.state() != OFF:
            if time.monotonic() > end:
                raise PowerError("QEMU does not end")
            time.sleep(0.05)

    def reset(self) -> None:
        self._ask("system_reset")
        if self.state() == PAUSED:
            self._ask("cont")

    def snapshot(self, name: str = SNAPSHOT) -> None:
        self._run(self._snapshot(name))

    def revert(self, name: str = SNAPSHOT) -> None:
        self._run(self._job("snapshot-load", name, resume=True))

    async def _snapshot(self, name: str) -> None:
        async with _Session(self._where) as session:
            if name in await session.tags():
                await session.job("snapshot-delete", name)
            await session.job("snapshot-save", name)

    async def _job(self, kind: str, name: str, *, resume: bool = False) -> None:
        async with _Session(self._where) as session:
            if name not in await session.tags():
                there = ", ".join(sorted(await session.tags())) or "none"
                raise PowerError(
                    f"there is no snapshot {name!r} of the machine; there are: {there}"
                )
            await session.job(kind, name)
            if resume:
                await session.execute("cont")

    def _ask(self, command: str) -> Any:
        async def ask() -> Any:
            async with _Session(self._where) as session:
                return await session.execute(command)

        return self._run(ask())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """On a thread of its own: a notebook's own event loop may be running here."""
        result: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                result.append(asyncio.run(work))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return result[0]


class _NobodyError(PowerError):
    """No QEMU listens there."""


class _Session:
    """A connection to the monitor, for a few commands."""

    def __init__(self, where: str | tuple[str, int]) -> None:
        try:
            from qemu.qmp import QMPClient
        except ImportError:
            raise PowerError(
                "QEMU needs the package qemu.qmp: pip install 'kernellab[vm]'"
            ) from None
        self._client = QMPClient("kernellab")
        # It would log as an error, to the terminal, that a machine which is off does not answer.
        for module in ("protocol", "qmp_client"):
            logger = logging.getLogger(f"qemu.qmp.{module}.kernellab")
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        self._where = where

    async def __aenter__(self) -> _Session:
        from qemu.qmp import ConnectError

        try:
            await asyncio.wait_for(self._client.connect(self._where), ASK)
        except (ConnectError, TimeoutError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise PowerError(f"QEMU's monitor on {self._where} does not answer") from None
            raise _NobodyError(f"no QEMU listens on {self._where}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.wait_for(self._client.disconnect(), ASK)
        except Exception:  # it has ended, as `quit` makes it
            return

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        from qemu.qmp import ExecuteError, QMPError

        try:
            return await asyncio.wait_for(self._client.execute(command, arguments), ASK)
        except ExecuteError as error:
            raise PowerError(f"QEMU refuses {command}: {error}") from None
        except (QMPError, TimeoutError, OSError) as error:
            if command == "quit":
                return None  # it does not always get to answer
            raise PowerError(f"QEMU did not answer {command} ({type(error).__name__})") from None

    async def disks(self) -> list[dict[str, Any]]:
        """The block nodes that can hold a snapshot: qcow2 that is written to."""
        nodes = await self.execute("query-named-block-nodes", {"flat": True})
        found = [n for n in nodes if n.get("drv") == "qcow2" and not n.get("ro")]
        if not found:
            raise PowerError("the machine has no qcow2 disk, so QEMU has nowhere for a snapshot")
        return found

    async def tags(self) -> set[str]:
        disks = await self.disks()
        lists = [disk.get("image", {}).get("snapshots", []) for disk in disks]
        return {each["name"] for each in lists[0]}

    async def job(self, kind: str, tag: str) -> None:
        """One of QEMU's snapshot jobs, to its end."""
        names = [disk["node-name"] for disk in await self.disks()]
        number = f"kernellab-{os.getpid()}-{next(_jobs)}"
        arguments: dict[str, Any] = {"job-id": number, "tag": tag, "devices": names}
        if kind != "snapshot-delete":
            arguments["vmstate"] = names[0]
        await self.execute(kind, arguments)
        end = time.monotonic() + JOB
        while True:
            jobs = {job["id"]: job for job in await self.execute("query-jobs")}
            job = jobs.get(number)
            if job is None or job["status"] == "concluded":
                break
            if time.monotonic() > end:
                raise PowerError(f"{kind} takes longer than {JOB:g} s")
            await asyncio.sleep(0.05)
        if job is not None:
            await self.execute("job-dismiss", {"id": number})
            if job.get("error"):
                raise PowerError(f"QEMU could not do {kind}: {job['error']}")
