"""A Wine session: what is left behind (nothing), more of them at once, what it is shut off from."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import kernellab
from kernellab import guest
from kernellab.cli import main
from kernellab.errors import Bugcheck, TargetLost, Unsupported, UsageError
from kernellab.lab import Target
from kernellab.sources import build_text
from kernellab.target.wine import guard, installed
from tests.drivers import BODY_LINE, driver_source


def sessions() -> set[Path]:
    """The sessions that this process or one that it started looks after."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if guard.__file__ in words:
                found.add(Path(words[words.index(guard.__file__) + 1]))
    return found


def in_wine(made: set[Path]) -> list[psutil.Process]:
    """Wine's processes of these sessions."""
    prefixes = {str(session / guard.PREFIX) for session in made}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("WINEPREFIX") in prefixes:
                found.append(process)
    return found


def gone(made: set[Path]) -> bool:
    """Whether nothing of these sessions is left."""
    return not any(session.exists() for session in made) and not in_wine(made)


def until(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()


def test_machines_are_apart_and_leave_nothing(wine: Target, hello: Path) -> None:
    before = sessions()
    with kernellab.connect("wine") as one, kernellab.connect("wine") as two:
        first, second = one.load(hello), two.load(hello)
        assert first.log.lines == second.log.lines == ["hello from the kernel"]
        first.unload()
        assert second.running
        made = sessions() - before
        assert len(made) == 2
        assert len(in_wine(made)) >= 2
    assert until(lambda: gone(made))


def test_a_killed_client_leaves_nothing(wine: Target, hello: Path) -> None:
    before = sessions()
    text = (
        "import kernellab, sys, time\n"
        "driver = kernellab.connect('wine').load(sys.argv[1])\n"
        "print('loaded', flush=True)\n"
        "time.sleep(600)\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", text, str(hello)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert client.stdout is not None
    try:
        with client.stdout:
            assert client.stdout.readline() == b"loaded\n"
            made = sessions() - before
            assert len(made) == 1
    finally:
        os.kill(client.pid, signal.SIGKILL)
        client.wait()
    assert until(lambda: gone(made))


def test_a_killed_guard_is_cleaned_up_after(wine: Target) -> None:
    before = sessions()
    machine = kernellab.connect("wine")
    left = sessions() - before
    os.kill(machine._endpoint.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    machine.close()
    assert all(session.exists() for session in left)
    with kernellab.connect("wine"):
        assert until(lambda: gone(left))


def test_it_is_shut_off_from_the_users_own_files(wine: Target) -> None:
    command = psutil.Process(wine._endpoint.pid).cmdline()  # type: ignore[attr-defined]
    session = next(Path(word) for word in command if Path(word).name.startswith("session-"))
    drives = session / guard.PREFIX / "dosdevices"
    assert sorted(each.name for each in drives.iterdir()) == ["c:"]
    users = session / guard.PREFIX / "drive_c" / "users"
    assert [path for path in users.rglob("*") if path.is_symlink()] == []
    assert not (Path.home() / ".wine").exists()


def test_what_wine_lacks_is_named(wine: Target) -> None:
    source = driver_source(
        "let queue = windows_kernel_rs::io::Queue::<windows_kernel_rs::io::Read>::try_new()?;"
        " assert!(queue.pop().is_none());"
    )
    with pytest.raises(Bugcheck, match=r"Wine does not have ntoskrnl\.exe!IoCsq") as caught:
        wine.load(build_text("queue", source).sys)
    lines = [f.line for f in caught.value.frames if f.file == "cell"]
    assert lines == [BODY_LINE]


def test_a_bug_check_has_its_code_and_parameters(wine: Target) -> None:
    source = driver_source("unsafe { windows_kernel_sys::KeBugCheckEx(0xDEADBEEF, 1, 2, 3, 4) };")
    with pytest.raises(Bugcheck) as caught:
        wine.load(build_text("checker", source).sys)
    assert (caught.value.code, caught.value.parameters) == (0xDEADBEEF, (1, 2, 3, 4))
    assert next(f for f in caught.value.frames if f.file == "cell").line == BODY_LINE


def test_what_only_the_simulator_does_is_refused(wine: Target) -> None:
    wine.reboot()
    with pytest.raises(Unsupported):
        wine.snapshot()
    with pytest.raises(UsageError, match="option seed"):
        kernellab.connect("wine", seed=3)


def test_the_agent_says_where_it_is(wine: Target) -> None:
    info = wine._request("info", 5)
    assert (info["system"], info["version"].split(".")[0]) == ("Wine", "10")
    assert info["wine"].split(".")[0].isdigit()
    beat = wine._request("heartbeat", 5, echo="x")
    assert (beat["echo"], beat["boot_id"], beat["state"]) == ("x", info["boot_id"], "running")


def test_chunks_are_checked(wine: Target) -> None:
    with pytest.raises(UsageError, match="damaged"):
        wine._request("put", 5, file="a.sys", offset=0, data=b"abc", crc32=1)
    reply = wine._request("put", 5, file="a.sys", offset=0, data=b"123456789", crc32=0xCBF43926)
    assert (reply["size"], reply["crc32"]) == (9, 0xCBF43926)
    with pytest.raises(UsageError, match="follow"):
        wine._request("put", 5, file="a.sys", offset=1, data=b"x")
    with pytest.raises(UsageError, match="name"):
        wine._request("put", 5, file="..\\a.sys", offset=0, data=b"x")


def test_services_are_the_agents_own(wine: Target, hello: Path) -> None:
    wine.load(hello, name="mine")
    (service,) = wine._request("services", 5)["services"]
    assert (service["name"], service["ours"]) == ("mine", True)
    with pytest.raises(UsageError, match="not kernellab's"):
        wine._request("service_delete", 5, driver="MountMgr")
    wine.drivers["mine"].unload()
    assert wine._request("services", 5)["services"] == []


def test_a_call_that_hangs_keeps_nothing_else(wine: Target) -> None:
    pending = wine._session.start("sleep", seconds=2, timeout=10)
    assert wine._request("heartbeat", 5)["running"] == 1
    assert wine._request("services", 5)["services"] == []
    pending.result(10)


def test_set_up_finds_what_is_there(
    wine: Target, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    guest.setup_wine()
    assert main(["targets"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("wine"))
    assert f"ready (Wine {installed.find().version})" in line
    monkeypatch.setenv(installed.VARIABLE, "/nowhere/wine64")
    with pytest.raises(TargetLost, match="cannot be run"):
        guest.setup_wine()
    assert main(["targets"]) == 0
    assert "/nowhere/wine64" in capsys.readouterr().out


def test_the_agent_is_built_once() -> None:
    assert guest.agent_program() == guest.agent_program()
    assert guest.agent_program().read_bytes()[:2] == b"MZ"


def test_what_the_agent_lacks_is_refused_by_name(wine: Target, hello: Path) -> None:
    with pytest.raises(Unsupported, match="no budget"):
        wine.load(hello, budget=1000)
    with pytest.raises(Unsupported, match="no verifier"):
        wine.load(hello, verifier="off")


def test_the_irql_is_what_wines_cr8_is(wine: Target) -> None:
    source = driver_source('println!("{:?}", windows_kernel_rs::irql::current());')
    driver = wine.load(build_text("level", source).sys)
    assert driver.log.lines == ["PASSIVE_LEVEL"]
    driver.unload()
