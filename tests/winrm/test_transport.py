"""Drivers on a machine over WinRM: the simulator stands at the far end of the real transport."""

from __future__ import annotations

import base64
import os
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import (
    Bugcheck,
    CertificateError,
    CredentialsError,
    KernelLabError,
    NotALabMachine,
    PowerError,
    TargetLost,
    TargetRefused,
    UsageError,
)
from kernellab.target import registry
from kernellab.target.winrm import scripts, target
from tests.winrm.certificates import Authority
from tests.winrm.conftest import AGENT, PASSWORD
from tests.winrm.machine import Machine
from tests.winrm.server import WinRMServer
from tests.winrm.shells import Quotas

Serve = Callable[..., WinRMServer]
Connect = Callable[..., kernellab.Target]


def connect(agent: Path) -> kernellab.Target:
    return kernellab.connect("my-vm", program=agent)


@pytest.mark.parametrize("way", ["http-ntlm", "https-ntlm", "https-basic"])
def test_a_driver_runs_and_prints(
    way: str, serve: Serve, vm: Any, authority: Authority, agent: Path, hello: Path
) -> None:
    scheme, method = way.split("-")
    server = serve(certificate=authority.issue() if scheme == "https" else None)
    vm(server, f'auth = "{method}"')
    with connect(agent) as lab:
        driver = lab.load(hello)
        assert driver.log.text.startswith("hello from the kernel")
        driver.unload()
    assert "my-vm" in registry.names()
    assert server.shells.ids() == []
    kept = list((server.machine.drive / "ProgramData" / "kernellab").iterdir())
    assert [p.read_text() for p in kept] == [AGENT]
    before = len(server.shells.operations)
    with connect(agent):
        pass
    assert server.shells.operations[before:].count("Create") == 1  # the agent was there


def test_where_cmd_is_between_a_missing_agent_is_noticed_too(
    serve: Serve, vm: Any, machine: Machine, agent: Path, hello: Path
) -> None:
    machine.skips_cmd = False
    vm(serve())
    with connect(agent) as lab:
        assert lab.load(hello).running


def test_what_is_loaded_there_is_signed_with_the_users_certificate(
    serve: Serve, vm: Any, agent: Path, hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.serialization import pkcs7

    from kernellab import protocol
    from kernellab.build import signing

    monkeypatch.setattr(signing, "folder", lambda: tmp_path / "signing")
    seen = tmp_path / "requests"
    tee = (
        f"import io\nlog = open({str(seen)!r}, 'wb', 0)\nreal = sys.stdin.buffer\n"
        "class Tee(io.RawIOBase):\n"
        "    def readable(self): return True\n"
        "    def readinto(self, b):\n"
        "        d = real.read1(len(b)); log.write(d); b[:len(d)] = d; return len(d)\n"
        "sys.stdin = io.TextIOWrapper(io.BufferedReader(Tee()))\n"
    )
    agent.write_text(AGENT.replace("endpoint.main", tee + "endpoint.main"))
    vm(serve())
    with connect(agent) as lab:
        assert lab.load(hello).running
    lines = [protocol.decode_line(line) for line in seen.read_bytes().splitlines()]
    puts = [protocol_bytes(line) for line in lines if line["command"] == "put"]
    image = b"".join(puts)
    assert image == signing.sign(hello.read_bytes(), signing.identity())
    at = image.index(b"\x00\x02\x02\x00\x30\x82", len(hello.read_bytes())) + 4
    (certificate,) = pkcs7.load_der_pkcs7_certificates(image[at:].rstrip(b"\0"))
    assert certificate == signing.identity().certificate


def protocol_bytes(request: dict[str, Any]) -> bytes:
    return base64.b64decode(request["data"])


def test_many_lines_come_complete(
    serve: Serve, vm: Any, agent: Path, build_driver: Callable[..., BuildResult]
) -> None:
    vm(serve())
    chatty = build_driver(
        "chatty", 'for i in 0..3000 { println!("line {} {}", i, "x".repeat(60)); }'
    )
    with connect(agent) as lab:
        driver = lab.load(chatty.sys)
        lines = driver.log.text.splitlines()
        assert [line.split()[1] for line in lines] == [str(i) for i in range(3000)]
        assert (lab._session.dropped, lab._session.malformed) == (0, 0)


def test_a_lost_network_is_waited_for(
    serve: Serve, vm: Any, agent: Path, hello: Path, fast: None
) -> None:
    server = serve()
    vm(server)
    with connect(agent) as lab:
        lab.load(hello)
        for how in ("down", "silent"):
            server.lose_network(how)
            server.drop_connections()
            threading.Timer(1.0, server.restore_network).start()
            time.sleep(0.2)
            assert lab.status()["drivers"]
        assert lab.drivers["hello"].running


def test_a_network_that_stays_away_is_a_typed_error_and_then_a_new_session(
    serve: Serve, vm: Any, agent: Path, hello: Path, fast: None
) -> None:
    server = serve()
    vm(server, "patience = 0.5")
    with connect(agent) as lab:
        lab.load(hello)
        server.lose_network()
        with pytest.raises(TargetLost, match=r"127\.0\.0\.1"):
            lab.status()
        server.restore_network()
        assert lab.load(hello).running
        assert lab.reboots == 1


def test_a_restarted_machine_is_a_typed_error_and_then_a_new_session(
    serve: Serve, vm: Any, agent: Path, hello: Path
) -> None:
    server = serve()
    vm(server)
    with connect(agent) as lab:
        lab.load(hello)
        server.reboot()
        with pytest.raises(TargetLost, match="has ended the session"):
            lab.status()
        assert lab.load(hello).running


def test_a_shell_that_lived_too_long(serve: Serve, vm: Any, agent: Path, hello: Path) -> None:
    server = serve()
    vm(server)
    with connect(agent) as lab:
        server.shells.quotas.lifetime = 0.001
        with pytest.raises(TargetLost, match="eight hours"):
            lab.load(hello)
        server.shells.quotas.lifetime = 0
        assert lab.load(hello).running


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((413, "text/plain", b""), TargetRefused, "larger than it takes"),
        ((500, "text/html", b"<p>Oops"), TargetRefused, "HTTP 500"),
        ((503, "text/plain", b""), TargetRefused, "not running yet"),
        ((200, "text/html", b"<html>welcome</html>"), TargetRefused, "is not WinRM"),
        ((200, "application/soap+xml", b"\xff\x00garbage"), TargetRefused, "is not WinRM"),
        ((200, "application/soap+xml", b"<a/>"), TargetRefused, "is not WinRM"),
    ],
)
def test_odd_answers_have_types(
    answer: tuple[int, str, bytes],
    kind: type[KernelLabError],
    words: str,
    serve: Serve,
    vm: Any,
    authority: Authority,
    agent: Path,
) -> None:
    server = serve(certificate=authority.issue())
    vm(server)
    server.answers.append(answer)
    with pytest.raises(kind, match=words):
        connect(agent)
    assert server.shells.ids() == []


def test_odd_answers_in_the_middle_end_the_session(
    serve: Serve, vm: Any, authority: Authority, agent: Path, hello: Path
) -> None:
    server = serve(certificate=authority.issue())
    vm(server)
    with connect(agent) as lab:
        for answer in ((500, "text/html", b"<p>"), (413, "text/plain", b""), (200, "a/b", b"?")):
            server.answers.extend([answer] * 2)
            with pytest.raises(TargetRefused):
                lab.status()
            server.answers.clear()
            assert lab.load(hello).running
            lab.drivers["hello"].unload()


@pytest.mark.parametrize(
    ("name", "days", "words"),
    [("127.0.0.1", -1, "has expired"), ("other.example", 5, "for another name")],
)
def test_certificates_are_verified(
    name: str, days: int, words: str, serve: Serve, vm: Any, authority: Authority, agent: Path
) -> None:
    vm(serve(certificate=authority.issue(name, days=days)))
    with pytest.raises(CertificateError, match=words):
        connect(agent)


def test_an_unknown_authority_is_refused(
    serve: Serve, vm: Any, tmp_path: Path, agent: Path
) -> None:
    (tmp_path / "other").mkdir()
    Authority(tmp_path)
    vm(serve(certificate=Authority(tmp_path / "other").issue()))
    with pytest.raises(CertificateError, match="is not that in ca"):
        connect(agent)


def test_a_full_disk(serve: Serve, vm: Any, machine: Machine, agent: Path) -> None:
    vm(serve())
    machine.change(disk_full=True)
    with pytest.raises(TargetRefused, match="not enough space"):
        connect(agent)


def test_shell_quota(serve: Serve, vm: Any, agent: Path) -> None:
    server = serve(quotas=Quotas(max_shells_per_user=0))
    vm(server)
    with pytest.raises(TargetRefused, match=r"concurrent shells.*prepare"):
        connect(agent)


# -- what is not touched, and what is not shown --------------------------------------------------


def test_a_machine_that_the_file_does_not_mark_gets_no_request(
    serve: Serve, vm: Any, agent: Path
) -> None:
    server = serve()
    server.recorded = {"in": [], "out": []}
    vm(server, lab="false")
    with pytest.raises(NotALabMachine, match="lab-machine = true"):
        connect(agent)
    assert server.recorded["in"] == []


def test_a_machine_that_does_not_carry_the_mark_gets_no_file(
    serve: Serve, vm: Any, machine: Machine, agent: Path
) -> None:
    vm(serve())
    machine.change(registry={})
    with pytest.raises(NotALabMachine, match="is it the right one"):
        connect(agent)
    assert not (machine.drive / "ProgramData").exists()


def everything(error: BaseException) -> str:
    """An error with all that hangs on it: causes, contexts, and the variables of each frame."""
    seen: list[str] = []
    todo: list[BaseException] = [error]
    while todo:
        each = todo.pop()
        lines = traceback.TracebackException.from_exception(each, capture_locals=True, compact=True)
        seen += lines.format()
        seen.append(repr(vars(each)))
        todo += [e for e in (each.__cause__, each.__context__) if e is not None]
    return "\n".join(seen)


@pytest.mark.parametrize("method", ["ntlm", "basic"])
def test_a_wrong_password_is_not_shown(
    method: str,
    serve: Serve,
    vm: Any,
    authority: Authority,
    agent: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vm(serve(certificate=authority.issue()), f'auth = "{method}"')
    monkeypatch.setenv("KERNELLAB_PASSWORD_MY_VM", "s3cret-wrong")
    with pytest.raises(CredentialsError, match="refuses 'lab'") as caught:
        connect(agent)
    shown = everything(caught.value)
    assert "s3cret" not in shown and "czNjcmV0" not in shown


def test_the_password_is_nowhere_after_a_failure(
    serve: Serve, vm: Any, authority: Authority, agent: Path, hello: Path
) -> None:
    server = serve(certificate=authority.issue())
    vm(server)
    with connect(agent) as lab:
        driver = lab.load(hello)
        server.answers.extend([(500, "text/html", b"<p>")] * 2)
        with pytest.raises(TargetRefused) as caught:
            lab.status()
        seen = [lab, vars(lab), vars(lab._endpoint), vars(driver), vars(lab._kind)]
        shown = "\n".join([everything(caught.value), driver.log.text, *map(repr, seen)])
    for form in (PASSWORD, PASSWORD.encode().decode("latin-1"), repr(PASSWORD.encode())[2:-1]):
        assert form not in shown


def test_a_put_file_is_checked(serve: Serve, vm: Any, machine: Machine) -> None:
    from kernellab.target.credentials import Secret

    server = serve()
    here = vm(server)
    data = bytes(range(256)) * 1000
    target.put(here, Secret(PASSWORD), r"C:\Windows\Temp\a file.bin", data)
    assert machine.path(r"C:\Windows\Temp\a file.bin").read_bytes() == data
    answer = scripts.run(
        here, Secret(PASSWORD), "put", {"path": r"C:\x.bin", "sha256": "0" * 64}, b"data"
    )
    assert answer["sha256"] != "0" * 64
    assert not machine.path(r"C:\x.bin").exists()
    assert server.shells.ids() == []


def test_options_that_it_does_not_have(serve: Serve, vm: Any, agent: Path) -> None:
    vm(serve())
    with pytest.raises(UsageError, match="seed"):
        kernellab.connect("my-vm", program=agent, seed=1)


@pytest.mark.parametrize("after", [0.0, 1.5])
def test_a_bug_check_is_told_once_the_machine_is_back(
    after: float, serve: Serve, vm: Any, agent: Path, hello: Path, fast: None
) -> None:
    from tests.target.test_minidump import BASE, triage

    header = bytearray(b"PAGEDU64".ljust(0x2000, b"\0"))
    struct.pack_into("<I", header, 0x30, 0x8664)
    struct.pack_into("<I4x4Q", header, 0x38, 0xD1, 8, 2, 1, BASE + 0x1000)
    dump = triage(bytes(header), [BASE + 0x1010], [("hello.sys", BASE, 0x9000)])
    server = serve()
    vm(server)
    with connect(agent) as lab:
        driver = lab.load(hello)
        events: list[Any] = []
        lab.subscribe(events.extend)
        server.reboot(dump, after)
        with pytest.raises(Bugcheck, match="DRIVER_IRQL_NOT_LESS_OR_EQUAL") as caught:
            lab.status()
        assert caught.value.parameters == (8, 2, 1, BASE + 0x1000)
        assert driver.state == "bug check"
        assert [event.kind for event in events] == ["bugcheck"]
        assert next(f.rva for f in events[0].frames if f.rva) == 0x1000
        assert lab.load(hello).running
        assert lab.bugcheck is None


def test_an_old_dump_is_not_told_again(serve: Serve, vm: Any, agent: Path, fast: None) -> None:
    server = serve()
    vm(server)
    folder = server.machine.drive / "Windows" / "Minidump"
    folder.mkdir()
    (folder / "001.dmp").write_bytes(b"PAGEDU64")
    os.utime(folder / "001.dmp", (1e9, 1e9))
    with connect(agent) as lab:
        server.reboot()
        with pytest.raises(TargetLost, match="has ended the session"):
            lab.status()


def test_fresh_goes_back_to_a_snapshot_before(
    serve: Serve, vm: Any, agent: Path, hello: Path, tmp_path: Path, fast: None
) -> None:
    """The virtualizer's program here is one that notes what it was asked."""
    asked = tmp_path / "asked"
    note = f"import sys; open({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))"
    server = serve()
    vm(
        server,
        f"[targets.my-vm.power]\nkind = 'commands'\n"
        f"revert = {[sys.executable, '-c', note, 'revert', '{snapshot}']!r}\n"
        f"start = {[sys.executable, '-c', note, 'start']!r}\n",
    )
    server.answers.append((503, "text/plain", b""))  # as while Windows starts
    with kernellab.connect("my-vm", program=agent, fresh=True) as lab:
        assert lab.load(hello).running
    assert asked.read_text() == "revert kernellab\nstart\n"
    with pytest.raises(PowerError, match="no name"):
        kernellab.connect("my-vm", program=agent, fresh="--all")
