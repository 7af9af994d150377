"""The test service satisfies clients that other people wrote: pywinrm and pypsrp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pypsrp.exceptions
import pytest
import winrm.exceptions
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan
from winrm.protocol import Protocol

from tests.winrm.certificates import Authority
from tests.winrm.conftest import PASSWORD, USER
from tests.winrm.machine import Machine
from tests.winrm.server import WinRMServer
from tests.winrm.shells import Quotas

ECHO = b"""#!python
import sys
print("args", sys.argv[1:], flush=True)
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(b"got " + line)
    sys.stdout.flush()
print("end", file=sys.stderr)
sys.exit(7)
"""

Serve = Callable[..., WinRMServer]


@pytest.fixture
def echo(machine: Machine) -> str:
    (machine.drive / "echo.exe").write_bytes(ECHO)
    return r"C:\echo.exe"


WAYS = ["http-ntlm", "https-ntlm", "https-basic", "http-basic"]


def service(way: str, serve: Serve, authority: Authority, **more: Any) -> tuple[WinRMServer, str]:
    scheme, method = way.split("-")
    certificate = authority.issue() if scheme == "https" else None
    plain = way == "http-basic"
    return serve(certificate=certificate, allow_unencrypted=plain, **more), method


def pywinrm(server: WinRMServer, method: str, authority: Authority, **more: Any) -> Protocol:
    given: dict[str, Any] = {
        "transport": method,
        "username": USER,
        # requests sends text as Latin-1; Windows and this service read UTF-8.
        "password": PASSWORD.encode() if method == "basic" else PASSWORD,
        "ca_trust_path": str(authority.ca),
        "proxy": None,
        **{"read_timeout_sec": 5, "operation_timeout_sec": 2},
    }
    return Protocol(server.url, **given | more)


def psrp(server: WinRMServer, method: str, authority: Authority, **more: Any) -> WSMan:
    given: dict[str, Any] = {
        **{"port": server.port, "username": USER, "auth": method, "no_proxy": True},
        "password": PASSWORD.encode() if method == "basic" else PASSWORD,
        "ssl": server.certificate is not None,
        "cert_validation": str(authority.ca),
        "encryption": "never" if method == "basic" else "auto",
        "operation_timeout": 2,
    }
    return WSMan("127.0.0.1", **given | more)


@pytest.mark.parametrize("way", WAYS)
def test_pywinrm_runs_a_command(way: str, serve: Serve, authority: Authority, echo: str) -> None:
    server, method = service(way, serve, authority)
    client, sender = (pywinrm(server, method, authority) for _ in range(2))
    shell = client.open_shell(codepage=65001, env_vars={"X": "y"}, idle_timeout="PT60S")
    command = client.run_command(
        shell, echo, ["one", '"two words"'], console_mode_stdin=False, skip_cmd_shell=True
    )
    sender.send_command_input(shell, command, "grüße\n".encode())
    sender.send_command_input(shell, command, b"", end=True)
    out, error, code = client.get_command_output(shell, command)
    assert out.decode() == "args ['one', 'two words']\ngot grüße\n"
    assert (error, code) == (b"end\n", 7)
    client.cleanup_command(shell, command)
    client.close_shell(shell)
    assert server.shells.ids() == []


@pytest.mark.parametrize("way", WAYS)
def test_pypsrp_runs_a_command(way: str, serve: Serve, authority: Authority, echo: str) -> None:
    server, method = service(way, serve, authority)
    with psrp(server, method, authority) as wsman, WinRS(wsman, codepage=65001) as shell:
        process = Process(shell, echo, ["one"], no_shell=True)
        process.begin_invoke()
        process.send(b"x\n", end=True)
        process.end_invoke()
        process.signal(SignalCode.TERMINATE)
    assert process.stdout == b"args ['one']\ngot x\n"
    assert (process.stderr, process.rc) == (b"end\n", 7)
    assert server.shells.ids() == []


def test_what_goes_over_http_with_ntlm_cannot_be_read(
    serve: Serve, authority: Authority, echo: str
) -> None:
    server, method = service("http-ntlm", serve, authority)
    server.recorded = {"in": [], "out": []}
    client = pywinrm(server, method, authority)
    shell = client.open_shell()
    everything = b"".join(server.recorded["in"] + server.recorded["out"])
    assert b"Encrypted Boundary" in everything
    for word in (b"<rsp:", b"Envelope", shell.encode(), PASSWORD.encode()):
        assert word not in everything


def test_a_wrong_password_is_refused(serve: Serve, authority: Authority) -> None:
    for way in WAYS:
        server, method = service(way, serve, authority)
        with pytest.raises(winrm.exceptions.InvalidCredentialsError):
            pywinrm(server, method, authority, password="wrong").open_shell()
        with (
            pytest.raises(pypsrp.exceptions.AuthenticationError),
            psrp(server, method, authority, password="wrong") as wsman,
        ):
            WinRS(wsman).open()


def test_basic_without_encryption_is_refused_unless_the_service_allows_it(
    serve: Serve, authority: Authority
) -> None:
    with pytest.raises(winrm.exceptions.InvalidCredentialsError):
        pywinrm(serve(), "basic", authority).open_shell()


def test_quotas(serve: Serve, authority: Authority, echo: str) -> None:
    quotas = Quotas(max_shells_per_user=2, max_envelope=153_600)
    server, method = service("https-ntlm", serve, authority, quotas=quotas)
    client = pywinrm(server, method, authority)
    shells = [client.open_shell() for _ in range(2)]
    with pytest.raises(winrm.exceptions.WSManFaultError) as caught:
        client.open_shell()
    assert caught.value.wsman_fault_code == 0x803381A5
    client.close_shell(shells[0], close_session=False)
    shells[0] = client.open_shell()
    command = client.run_command(shells[0], echo, skip_cmd_shell=True)
    client.send_command_input(shells[0], command, b"x" * 100_000)
    with pytest.raises(winrm.exceptions.WinRMTransportError) as large:
        client.send_command_input(shells[0], command, b"x" * 120_000)
    assert large.value.code == 413


def test_an_idle_shell_is_ended(serve: Serve, authority: Authority, echo: str) -> None:
    server, method = service("https-ntlm", serve, authority)
    client = pywinrm(server, method, authority)
    shell = client.open_shell(idle_timeout="PT60S")
    command = client.run_command(shell, echo, skip_cmd_shell=True)
    (live,) = server.shells._shells.values()
    assert live.idle == 60
    live.used -= 61  # as if a minute had gone by
    with pytest.raises(winrm.exceptions.WSManFaultError) as caught:
        client.send_command_input(shell, command, b"x\n")
    assert caught.value.wsman_fault_code == 2150858843
    assert live.commands[command].process.poll() is not None


def test_nothing_to_receive_is_a_time_out(serve: Serve, authority: Authority, echo: str) -> None:
    server, method = service("https-ntlm", serve, authority)
    client = pywinrm(server, method, authority, operation_timeout_sec=1)
    shell = client.open_shell()
    command = client.run_command(shell, echo, skip_cmd_shell=True)
    out = b""
    with pytest.raises(winrm.exceptions.WinRMOperationTimeoutError):
        while True:  # a program's line may come in pieces
            out += client.get_command_output_raw(shell, command)[0]
    assert out == b"args []\n"


def test_a_missing_program(serve: Serve, authority: Authority, tmp_path: Any) -> None:
    client = pywinrm(serve(certificate=authority.issue()), "ntlm", authority)
    shell = client.open_shell()
    with pytest.raises(winrm.exceptions.WSManFaultError) as caught:
        client.run_command(shell, r"C:\no.exe", skip_cmd_shell=True)
    assert caught.value.wsman_fault_code == 0x80070002
    command = client.run_command(shell, r"C:\no.exe")
    out, error, code = client.get_command_output(shell, command)
    assert (out, code) == (b"", 1) and b"is not recognized" in error


def test_powershell_that_is_not_the_packages_is_refused(serve: Serve, authority: Authority) -> None:
    client = pywinrm(serve(certificate=authority.issue()), "ntlm", authority)
    shell = client.open_shell()
    command = client.run_command(shell, "powershell.exe", ["-Command", "Get-Date"])
    _, error, code = client.get_command_output(shell, command)
    assert code == 1 and b"not of the package" in error
