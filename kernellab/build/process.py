"""Run a program of the toolchain so that it can be stopped, with all that it started."""

from __future__ import annotations

import codecs
import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

#: How long to wait before looking again whether to stop, seconds.
_TICK: Final = 0.05


class Cancelled(Exception):
    """The caller's event was set; the processes are gone."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended: its exit code and what it wrote (decoded, bad bytes replaced)."""

    returncode: int
    stdout: str
    stderr: str


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    cancel: threading.Event | None = None,
    on_line: Callable[[str], None] | None = None,
    on_status: Callable[[str], bool] | None = None,
    grace: float = 0,
    stdin: Path | None = None,
) -> Completed:
    """Run a program to its end, its standard input the file ``stdin``, or nothing.

    The program gets a session (on Windows a process group) of its own: KeyboardInterrupt,
    ``cancel`` or ``timeout`` seconds kill it together with its children before this returns.
    Should this Python be killed, they end as well. With ``grace`` the program is interrupted
    first, gets so many seconds to end by itself, and outlives a killed Python: what a package
    manager needs. ``on_line`` gets each line of standard output as it comes, ``on_status`` each
    of standard error, also one that a carriage return ends (a progress bar); those it returns
    True for are not part of what the program wrote.

    Raises OSError (cannot be started), subprocess.TimeoutExpired, Cancelled.
    """
    words = [str(word) for word in arguments]
    lines: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    with _started(words, cwd, env, grace, stdin) as process:
        streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
        readers = [
            threading.Thread(target=_read, args=(index, stream, lines), daemon=True)
            for index, stream in enumerate(streams)
        ]
        for reader in readers:
            reader.start()
        texts: tuple[list[str], list[str]] = ([], [])
        deadline = None if timeout is None else time.monotonic() + timeout
        open_streams = len(streams)
        while open_streams:
            if cancel is not None and cancel.is_set():
                raise Cancelled
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(words, timeout or 0)
            try:
                index, line = lines.get(timeout=_TICK)
            except queue.Empty:
                continue
            if line is None:
                open_streams -= 1
                continue
            if index and on_status is not None and on_status(line.rstrip("\n")):
                continue
            texts[index].append(line)
            if index == 0 and on_line is not None:
                on_line(line)
        code = process.wait()
    return Completed(code, "".join(texts[0]), "".join(texts[1]))


@contextlib.contextmanager
def _started(
    words: list[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    grace: float,
    stdin: Path | None,
) -> Iterator[subprocess.Popen[bytes]]:
    started: list[subprocess.Popen[bytes]] = []
    watches: list[subprocess.Popen[bytes] | None] = []
    failed: list[OSError] = []
    abandoned = False
    lock = threading.Lock()

    def start() -> None:
        with lock:
            try:
                if not abandoned:
                    started.append(_popen(words, cwd, env, stdin))
                    if not grace:
                        watches.append(watch_group(started[0].pid))
            except OSError as error:
                failed.append(error)

    # In a thread: an interrupt would otherwise find the main one inside Popen, when the program
    # runs already and nobody knows its id.
    try:
        starter = threading.Thread(target=start)
        starter.start()
        starter.join()
        if failed:
            raise failed[0]
        yield started[0]
    except BaseException:
        with lock:
            abandoned = True
        for process in started:
            try:
                _wait_for_end(process, grace)
            finally:
                _kill_tree(process)
        raise
    finally:
        for watch in watches:
            dismiss(watch)
        for stream in (s for p in started for s in (p.stdout, p.stderr)):
            if stream is not None and started[0].poll() is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()


def _popen(
    words: list[str], cwd: Path | None, env: Mapping[str, str] | None, stdin: Path | None
) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as opened:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL if stdin is None else opened.enter_context(stdin.open("rb")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


#: Ends the group $0 when standard input ends without a line: the Python that held it is gone.
_WATCH: Final = 'read -r _ || kill -s KILL -- "-$0"'


def watch_group(group: int) -> subprocess.Popen[bytes] | None:
    """A shell that ends the process group should this Python be killed (1 ms; POSIX only)."""
    if os.name != "posix":
        return None
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, str(group)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None  # no room for one more process: the program itself runs


def dismiss(watch: subprocess.Popen[bytes] | None) -> None:
    """The group has ended, or may go on: end the shell that watches."""
    if watch is None:
        return
    with contextlib.suppress(OSError):
        watch.communicate(b"\n")


_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")


def _read(index: int, stream: IO[bytes], lines: queue.SimpleQueue[tuple[int, str | None]]) -> None:
    """Each line as soon as it has ended, by whatever newline; it is given with ``\\n``."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    parts: list[str] = []  # of the line that has not ended yet
    returned = False  # the last line ended with a carriage return, whose newline may follow
    read = getattr(stream, "read1", stream.read)
    try:
        while data := read(1 << 16):
            text = decoder.decode(data)
            if returned and text:
                text = text.removeprefix("\n")
                returned = False
            at = 0
            for match in _LINE.finditer(text):
                lines.put((index, "".join(parts) + match[0].rstrip("\r\n") + "\n"))
                parts.clear()
                at = match.end()
                returned = at == len(text) and match[0].endswith("\r")
            parts.append(text[at:])
    except (OSError, ValueError):
        pass
    if rest := "".join(parts) + decoder.decode(b"", final=True):
        lines.put((index, rest))
    lines.put((index, None))


def _wait_for_end(process: subprocess.Popen[bytes], grace: float) -> None:
    if grace and os.name == "posix":
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def _lives(group: int) -> bool:
    """Whether a process group has more than dead members, whom nobody has waited for yet.

    That is for the system's first process to do, which may take its time. Where it cannot be told
    (there is no /proc), yes.
    """
    try:
        names = [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]
    except OSError:
        return True
    for name in names:
        try:
            stat = Path("/proc", name, "stat").read_bytes()
        except OSError:
            continue
        # proc_pid_stat(5): the name, in parentheses, may have any; state, parent, group follow.
        state, _, member = stat.rpartition(b")")[2].split()[:3]
        if int(member) == group and state not in (b"Z", b"X"):
            return True
    return not names


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # The children are dying too: gone means gone when this returns.
            for _ in range(100):
                os.killpg(process.pid, 0)
                if not _lives(process.pid):
                    break
                time.sleep(0.005)
    else:
        system = os.environ.get("SYSTEMROOT", r"C:\Windows")
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [rf"{system}\System32\taskkill.exe", "/F", "/T", "/PID", str(process.pid)],
                capture_output=True,
                timeout=5,
                check=False,
            )
        process.kill()
    process.wait()
