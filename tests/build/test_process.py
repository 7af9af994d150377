"""Programs are stopped with all that they started."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from kernellab.build import process

#: Starts a grandchild, writes both process ids, then sleeps.
PARENT = """
import subprocess, sys, os, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""


def gone(pids: list[int], within: float = 1.0) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        alive = [p for p in pids if psutil.pid_exists(p) and _running(p)]
        if not alive:
            return True
        time.sleep(0.01)
    return False


def _running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_output_and_exit_code() -> None:
    code = "import sys; print('one'); print('zwei ü'); sys.stderr.write('three'); sys.exit(7)"
    lines: list[str] = []
    ended = process.run([sys.executable, "-c", code], on_line=lines.append)
    assert (ended.returncode, ended.stderr) == (7, "three")
    assert lines == ["one\n", "zwei ü\n"] and ended.stdout == "one\nzwei ü\n"


def test_bytes_that_are_not_text() -> None:
    code = r"import sys; sys.stdout.buffer.write(b'a\xffb\n')"
    assert process.run([sys.executable, "-c", code]).stdout == "a\ufffdb\n"


def test_much_output_on_both_streams() -> None:
    code = "import sys\nfor i in range(20000): print('x' * 50); print('y' * 50, file=sys.stderr)"
    ended = process.run([sys.executable, "-c", code], timeout=60)
    assert len(ended.stdout) == len(ended.stderr) == 20000 * 51


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        process.run([tmp_path / "nothing"])


def test_a_timeout_ends_the_whole_tree() -> None:
    pids: list[int] = []
    with pytest.raises(subprocess.TimeoutExpired):
        process.run(
            [sys.executable, "-c", PARENT],
            timeout=1.0,
            on_line=lambda line: pids.extend(map(int, line.split())),
        )
    assert len(pids) == 2 and gone(pids)


def test_cancel_ends_the_whole_tree() -> None:
    pids: list[int] = []
    cancel = threading.Event()

    def line(text: str) -> None:
        pids.extend(map(int, text.split()))
        cancel.set()

    begin = time.monotonic()
    with pytest.raises(process.Cancelled):
        process.run([sys.executable, "-c", PARENT], cancel=cancel, on_line=line)
    assert time.monotonic() - begin < 5 and gone(pids)


def test_an_exception_of_the_callers_ends_the_whole_tree() -> None:
    pids: list[int] = []

    def line(text: str) -> None:
        pids.extend(map(int, text.split()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run([sys.executable, "-c", PARENT], on_line=line)
    assert len(pids) == 2 and gone(pids)
