"""What machines, networks and services do wrong: a typed error or a new start, and no hang.

The simulator stands at the far end, as in test_transport; test_agent has what needs the agent.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests.utils

import kernellab
from kernellab.build import BuildResult
from kernellab.build.symbols import Symbols
from kernellab.errors import (
    Bugcheck,
    CertificateError,
    CredentialsError,
    KernelLabError,
    TargetLost,
    TargetRefused,
)
from kernellab.protocol import BugcheckEvent, Dropped, ErrorEvent
from kernellab.sources import build_text
from tests.target.test_minidump import BASE, triage
from tests.winrm.certificates import Authority
from tests.winrm.conftest import PASSWORD
from tests.winrm.server import WinRMServer

Serve = Callable[..., WinRMServer]
DRIVERS = Path(__file__).parents[1] / "target"


@pytest.fixture(scope="module")
def shared() -> Path:
    """A device whose driver counts and prints how often it is opened."""
    source = (DRIVERS / "drivers" / "device.rs").read_text(encoding="utf-8")
    return build_text("shared", source).sys


@pytest.fixture(scope="module")
def spins() -> Path:
    source = (DRIVERS / "sim" / "drivers" / "faults.rs").read_text(encoding="utf-8")
    return build_text("faults", source).sys


def connect(agent: Path) -> kernellab.Target:
    return kernellab.connect("my-vm", program=agent)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


def small_dump(driver: str, code: int = 0xD1, rva: int = 0x1000) -> bytes:
    header = bytearray(b"PAGEDU64".ljust(0x2000, b"\0"))
    struct.pack_into("<I", header, 0x30, 0x8664)
    struct.pack_into("<I4x4Q", header, 0x38, code, 8, 2, 1, BASE + rva)
    return triage(bytes(header), [BASE + 0x1010], [(f"{driver}.sys", BASE, 0x9000)])


# -- the machine goes down -----------------------------------------------------------------------


def test_a_bug_check_in_the_middle_of_a_call(
    serve: Serve, vm: Any, agent: Path, spins: Path, fast: None
) -> None:
    server = serve()
    vm(server)
    with connect(agent) as lab:
        lab.load(spins)
        device = lab.open(r"\\.\Faults")
        caught: list[BaseException] = []

        def call() -> None:
            try:
                device.ioctl(0x222000, b"spin", timeout=100)
            except KernelLabError as error:
                caught.append(error)

        sent = server.shells.operations.count("Send")
        caller = threading.Thread(target=call)
        caller.start()
        until(lambda: server.shells.operations.count("Send") > sent)
        symbols = Symbols.beside(spins)
        assert symbols is not None
        rva = next(n for n in range(0x1000, 0x4000) if any(f.line for f in symbols.lookup(n)))
        server.reboot(small_dump("faults", rva=rva))
        caller.join(60)
        (error,) = caught
        assert isinstance(error, Bugcheck)
        assert (error.code, error.name) == (0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL")
        assert error.parameters == (8, 2, 1, BASE + rva)
        assert error.frames[0].module == "faults"
        assert error.frames[0].file and error.frames[0].line
        assert lab.drivers["faults"].state == "bug check"
        assert lab.load(spins).running
    assert server.shells.ids() == []


def test_a_bug_check_while_nobody_calls(
    serve: Serve, vm: Any, agent: Path, hello: Path, fast: None
) -> None:
    """It is told when it is found, by the same event as sim's; and raised by the next call."""
    server = serve()
    vm(server)
    with connect(agent) as lab:
        driver, events = lab.load(hello), list[Any]()
        lab.subscribe(events.extend)
        server.reboot(small_dump("hello"))
        until(lambda: driver.state == "bug check")
        (event,) = (each for each in events if isinstance(each, BugcheckEvent))
        assert (event.driver, event.code) == ("hello", "0xd1")
        assert "may not have come through" in event.message
        assert not any(isinstance(each, ErrorEvent) for each in events)
        with pytest.raises(Bugcheck) as caught:
            lab.open(r"\\.\Nothing")
        assert caught.value.code == 0xD1
        assert lab.load(hello).running
        assert sum(isinstance(each, BugcheckEvent) for each in events) == 1


def test_a_restart_while_nobody_calls(
    serve: Serve, vm: Any, agent: Path, hello: Path, fast: None
) -> None:
    server = serve()
    vm(server)
    with connect(agent) as lab:
        driver, events = lab.load(hello), list[Any]()
        lab.subscribe(events.extend)
        server.reboot()
        until(lambda: any(isinstance(each, ErrorEvent) for each in events))
        (event,) = (each for each in events if isinstance(each, ErrorEvent))
        assert "has ended the session" in event.message
        assert driver.state == "gone"
        assert lab.load(hello).running


@pytest.mark.parametrize("off", [-86_400.0, 86_400.0])
def test_the_machines_clock_is_changed(
    off: float, serve: Serve, vm: Any, agent: Path, hello: Path, fast: None
) -> None:
    """Which dump is new is not asked of a clock."""
    server = serve()
    vm(server)
    server.reboot(small_dump("hello", code=0x50))  # an old one is there
    with connect(agent) as lab:
        driver = lab.load(hello)
        facts = server.machine.state["facts"]
        server.machine.change(facts={**facts, "clock_off": off})
        driver.unload()
        assert lab.load(hello).running
        server.reboot(small_dump("hello", code=0xD1))
        with pytest.raises(Bugcheck) as caught:
            lab.status()
        assert caught.value.code == 0xD1
        assert lab.load(hello).running
        server.reboot()
        with pytest.raises(TargetLost, match="has ended the session"):
            lab.status()


# -- the network goes away -----------------------------------------------------------------------


@pytest.mark.parametrize(("how", "tries"), [("down", 4), ("silent", 2)])
def test_the_network_is_away_for_longer_than_a_request_may_take(
    how: str,
    tries: int,
    serve: Serve,
    vm: Any,
    agent: Path,
    shared: Path,
    fast: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kernellab.calls.GRACE", 0.5)
    monkeypatch.setattr("kernellab.lab.GRACE", 0.5)
    server = serve()
    vm(server)
    with connect(agent) as lab:
        driver = lab.load(shared)
        for number in (1, 2):
            server.lose_network(how)
            server.drop_connections()
            before = server.turned_away

            def restore(most: int) -> None:
                until(lambda: server.turned_away >= most)
                server.restore_network()

            back = threading.Thread(target=restore, args=(before + tries,))
            back.start()
            with lab.open(r"\\.\Shared", timeout=0.3) as device:
                back.join()
                count = int.from_bytes(device.ioctl(0x222000, out_size=4), "little")
            assert count == number, "done once"
        # What the service had sent into the broken connection is lost, and counted.
        until(lambda: len(driver.log.lines) + driver.log.dropped == 2)
        assert lab.reboots == 0


def test_output_that_was_lost_on_its_way_is_counted(
    serve: Serve,
    vm: Any,
    authority: Authority,
    agent: Path,
    build_driver: Callable[..., BuildResult],
    fast: None,
) -> None:
    """Also where nothing comes after it that shows the gap."""
    many = build_driver("many", 'for i in 0..3000 { println!("line {} {}", i, "x".repeat(60)); }')
    server = serve(certificate=authority.issue())
    vm(server)
    with connect(agent) as lab:
        events: list[Any] = []
        lab.subscribe(events.extend)
        driver = lab.prepare(many.sys)
        server.swallow = [0, 2_000]  # a reply, which is asked for again; then lines
        lab.run(driver)
        until(lambda: len(driver.log.lines) + lab._session.dropped >= 3000)
        assert driver.log.dropped > 0
        assert any(isinstance(each, Dropped) for each in events)


def test_no_proxy_is_used_and_the_environment_is_left_alone(
    serve: Serve, vm: Any, agent: Path, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that change it at the same time would fail now and then."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    real, changes = requests.utils.set_environ, list[str]()

    def set_environ(name: str, value: str | None) -> Any:
        if value is not None:
            changes.append(name)
        return real(name, value)

    monkeypatch.setattr(requests.utils, "set_environ", set_environ)
    vm(serve())
    with connect(agent) as lab:
        assert lab.load(hello).running
    assert changes == []


# -- the service refuses, all of a sudden --------------------------------------------------------


def another_password(server: WinRMServer, authority: Authority) -> None:
    Path(os.environ["NTLM_USER_FILE"]).write_text("")


def expired_certificate(server: WinRMServer, authority: Authority) -> None:
    assert server._tls is not None
    server._tls.load_cert_chain(authority.issue(days=-1))


def garbage(server: WinRMServer, authority: Authority) -> None:
    server.answers.extend([(200, "multipart/encrypted", b"\0\xff garbage")] * 4)


def unauthorized(server: WinRMServer, authority: Authority) -> None:
    server.answers.extend([(401, "text/plain", b"")] * 8)


@pytest.mark.parametrize(
    ("happens", "kind"),
    [
        (another_password, CredentialsError),
        (expired_certificate, CertificateError),
        (garbage, TargetRefused),
        (unauthorized, CredentialsError),
    ],
)
def test_a_session_ends_with_what_the_service_refuses(
    happens: Callable[[WinRMServer, Authority], None],
    kind: type[KernelLabError],
    serve: Serve,
    vm: Any,
    authority: Authority,
    agent: Path,
    hello: Path,
    fast: None,
) -> None:
    server = serve(certificate=authority.issue() if happens is expired_certificate else None)
    vm(server)
    with connect(agent) as lab:
        driver = lab.load(hello)
        happens(server, authority)
        server.drop_connections()  # who is there already is not asked again
        with pytest.raises(kind):
            lab.status()
        assert driver.state == "gone"
        assert PASSWORD not in lab.stopped + driver.error
