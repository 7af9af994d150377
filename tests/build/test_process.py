"""Programs are stopped with all that they started."""

from __future__ import annotations

import os
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


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_grace_lets_a_program_finish_what_it_does(tmp_path: Path) -> None:
    """apt-get in the middle of unpacking: killed, it would leave packages half installed."""
    finished = tmp_path / "finished"
    code = f"trap 'echo yes > {finished}; exit 0' INT; echo ready; while :; do sleep 0.05; done"

    def line(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run(["/bin/sh", "-c", code], on_line=line, grace=30)
    assert finished.read_text() == "yes\n"
    stubborn = code.replace(f"echo yes > {finished}; exit 0", ":")
    with pytest.raises(KeyboardInterrupt):
        process.run(["/bin/sh", "-c", stubborn], on_line=line, grace=0.2)
    assert not [p for p in psutil.Process().children() if p.name() == "sh"]


#: Runs PARENT and passes on what it writes; is there to be killed.
RUNNER = f"""
import sys
from kernellab.build import process
process.run([sys.executable, "-c", {PARENT!r}], on_line=lambda line: print(line, flush=True))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX process groups")
def test_killing_python_ends_the_whole_tree() -> None:
    """What a kernel's `kill -9` leaves of a build: nothing, and no watcher either."""
    with subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        pids = [int(word) for word in runner.stdout.readline().split()]
        family = [p.pid for p in psutil.Process(runner.pid).children(recursive=True)]
        assert set(pids) < set(family)
        runner.kill()
    assert gone(family, within=5)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_at_any_moment_leaves_nothing() -> None:
    """Also in the moment when the program starts: from far before it to far after it."""
    code = (
        "import os, signal, sys, threading\n"
        "from kernellab.build import process\n"
        "left = float(sys.argv[1])\n"
        "threading.Timer(left, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    process.run(['sleep', '61.25'])\n"
        "except KeyboardInterrupt:\n    pass\n"
        "import psutil\n"
        "print(psutil.Process().children(recursive=True))\n"
    )
    for step in range(40):
        ended = subprocess.run(
            [sys.executable, "-c", code, str(step * 0.0002)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ended.stdout.strip() in ("[]", ""), f"after {step * 0.2:.1f} ms: {ended.stdout}"
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "61.25"]
    ]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux tells it in /proc")
def test_a_group_of_the_dead_does_not_live() -> None:
    """Nobody has waited for them yet; that is no reason to wait."""
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(words, start_new_session=True) as program:
        assert process._lives(program.pid)
        program.kill()
        assert gone([program.pid], 30)
        os.killpg(program.pid, 0)  # it is there
        assert not process._lives(program.pid)
