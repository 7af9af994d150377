"""The guest agent itself over WinRM: agent.exe runs in Wine behind the test service."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab
from kernellab import guest
from kernellab.build import BuildResult
from kernellab.errors import NtStatusError, TargetLost
from kernellab.target import config
from tests.winrm.conftest import PASSWORD, USER
from tests.winrm.machine import SERVER, WINE, Machine
from tests.winrm.server import WinRMServer

FEED = Path(__file__).parents[1] / "target" / "wine" / "drivers" / "feed.c"
pytestmark = [
    pytest.mark.skipif(not WINE.exists() or not SERVER.exists(), reason="Wine is not installed"),
    pytest.mark.slow,
]


@pytest.fixture
def server(
    wine_prefix: Path,
    serve: Callable[..., WinRMServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> WinRMServer:
    root = tmp_path / "wine-machine"
    root.mkdir()
    machine = Machine(root, prefix=wine_prefix)
    machine.change(registry={r"HKLM:\SOFTWARE\kernellab|LabMachine": ["DWord", 1]})
    service = serve(on=machine)
    monkeypatch.setenv("KERNELLAB_PASSWORD_VM", PASSWORD)
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "kernellab.toml"))
    (tmp_path / "kernellab.toml").write_text(
        f'[targets.vm]\nhost = "127.0.0.1"\nport = {service.port}\nuser = "{USER}"\n'
        'scheme = "http"\nlab-machine = true\n'
    )
    return service


def connect() -> kernellab.Target:
    return kernellab.connect("vm", arguments="--wine")


def services(lab: kernellab.Target) -> list[str]:
    return [str(each["name"]) for each in lab._request("services", 10)["services"]]


def test_drivers_are_loaded_by_the_agent_and_leave_nothing(
    server: WinRMServer, hello: Path, build_driver: Callable[..., BuildResult]
) -> None:
    with connect() as lab:
        assert {"again", "services"} <= lab.features
        there = lab._request("file_list", 10, path=r"C:\ProgramData\kernellab")["entries"]
        kinds = sorted({str(each["name"]).partition("-")[0] for each in there})
        assert kinds == ["agent", "dbgtap"]  # Wine cannot load it: "unsupported", and no warning
        assert lab._request("info", 10)["capture"].startswith("unsupported: Wine")
        for _ in range(3):
            driver = lab.load(hello)
            assert driver.log.lines == ["hello from the kernel"]
            driver.unload()
        many = build_driver("many", 'for i in 0..500 { println!("line {i}"); }')
        assert lab.load(many.sys).log.lines == [f"line {i}" for i in range(500)]
        with pytest.raises(NtStatusError):
            lab.open(r"\\.\NoSuchDevice")
        assert services(lab) == ["many"]
    assert server.shells.ids() == []
    with connect() as lab:
        assert services(lab) == []


def test_the_capture_driver_is_a_service_that_the_agent_makes_and_takes_away(
    server: WinRMServer,
    build_c_driver: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Windows: the agent does not know that it is in Wine; its driver is one of the tests."""
    source = FEED.read_text(encoding="utf-8").replace("feed-tap", "kernellab-dbgtap")
    image = build_c_driver("dbgtap", source)
    monkeypatch.setattr(guest, "capture_driver", lambda progress: image)
    for _ in range(2):
        with kernellab.connect("vm") as lab:
            assert lab._request("info", 10)["capture"] == "on"
            (found,) = lab._request("services", 10)["services"]
            assert (found["name"], found["state"]) == ("kernellab-dbgtap", "running")
            lab.sleep(0)
            assert [(each.text, each.time < 10) for each in lab._early] == [("early\n", True)]
            with lab.open(r"\\.\feed") as output:
                output.write(b"one\n!another was lost\n")
            kept = [each.text for each in lab._early]
            assert kept == ["early\n", "one\n", "!another was lost\n"]
            assert lab._session.dropped == 1
        with connect() as lab:
            assert services(lab) == []
    # One that was killed leaves it behind; the next has what was printed meanwhile.
    with connect() as neighbour, kernellab.connect("vm") as lab:
        lab.sleep(0)
        server.shells.end(server.shells.ids()[-1])
        with pytest.raises(TargetLost):
            lab.status()
        with neighbour.open(r"\\.\feed") as output:
            output.write(b"meanwhile\n")
        lab.reboot()
        lab.sleep(0)
        assert [each.text for each in lab._early] == ["early\n", "meanwhile\n"]
    with connect() as lab:
        assert services(lab) == []


def test_a_lost_network_loses_no_line(
    server: WinRMServer, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kernellab.target.winrm import channel

    defaults = {"operation": 1, "read": 2}
    monkeypatch.setattr(channel.Channel.__init__, "__kwdefaults__", defaults)
    with connect() as lab:
        driver = lab.load(hello)
        server.lose_network()
        threading.Timer(1.0, server.restore_network).start()
        assert lab.status()["state"] == "running"
        driver.unload()
        assert driver.log.lines == ["hello from the kernel", "bye"]
        assert (lab._session.dropped, lab._session.malformed) == (0, 0)


def test_what_a_killed_agent_left_is_taken_away_by_the_next(
    server: WinRMServer, hello: Path, build_driver: Callable[..., BuildResult]
) -> None:
    """The machine restarts, or ends the shell: both kill the agent. One that runs is left alone."""
    other = build_driver("other", 'println!("other");').sys
    with connect() as lab, connect() as neighbour:
        neighbour.load(other)
        lab.load(hello)
        server.shells.end(server.shells.ids()[0])
        with pytest.raises(TargetLost, match="has ended the session"):
            lab.status()
        lab.reboot()
        assert services(lab) == ["other"]
        assert neighbour.status()["drivers"]
        lab.load(hello)
        server.reboot()
        with pytest.raises(TargetLost, match="has ended the session"):
            lab.status()
        lab.reboot()
        assert services(lab) == []
        assert lab.load(hello).running


def test_a_full_disk_on_the_machine(server: WinRMServer, hello: Path) -> None:
    """The device file stands for a disk that has no room."""
    folder = server.machine.drive / "full"
    folder.mkdir()
    (folder / "hello.sys.part").symlink_to("/dev/full")
    try:
        with kernellab.connect("vm", arguments=r"--wine --folder C:\full") as lab:
            with pytest.raises(NtStatusError, match="cannot be written"):
                lab.load(hello)
            assert lab.drivers["hello"].state == "failed"
            assert services(lab) == []
    finally:
        shutil.rmtree(folder)
