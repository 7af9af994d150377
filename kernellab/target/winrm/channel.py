"""One authenticated connection to a machine's WinRM service, by pywinrm; what fails gets a type.

Not for two threads at once: NTLM belongs to one connection, and its messages have an order.
"""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, Final, TypeVar

import requests.exceptions
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from ...errors import CertificateError, CredentialsError, KernelLabError, TargetLost, TargetRefused
from ..config import Machine
from ..credentials import Secret

T = TypeVar("T")

#: Seconds that the service may hold a request back, and that we wait for its answer.
OPERATION: Final = 10
READ: Final = 15

# wsmerror.h, and Win32 codes as HRESULTs: the operation was aborted; there is no such file
SHELL_NOT_FOUND: Final = 0x8033805B
QUOTAS: Final = range(0x803381A5, 0x803381AC)
ABORTED: Final = 0x800703E3
NO_FILE: Final = 0x80070002

_HINTS: Final = {
    400: "it does not understand the request",
    403: "it forbids it",
    404: "there is no WinRM at this address",
    413: "the message is larger than it takes: `kernellab target prepare` raises MaxEnvelopeSizekb",
    500: "it failed inside",
    503: "its WinRM service is not running yet",
}


class Unreachable(TargetLost):
    """Nothing answers, now; ``sent`` whether the request may have arrived all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _Checked(Protocol):
    """pywinrm does not look at the answer to what it sends to a program's input."""

    def send_message(self, message: str) -> bytes:
        answer = super().send_message(message)
        if b"Envelope" not in answer[:300]:
            raise ValueError("not a SOAP envelope")
        return answer


class NothingYet(Exception):
    """The service held the request back as long as it may: there was no output."""


class Channel:
    """Requests to one machine, one at a time. ``secret`` is asked for once."""

    def __init__(
        self,
        machine: Machine,
        secret: Secret,
        *,
        operation: int = OPERATION,
        read: int = READ,
    ) -> None:
        self.machine = machine
        self._secret = secret
        self._times = (operation, read)
        #: Seconds that an answer is waited for.
        self.read = read
        self._protocol: Protocol | None = None
        self._worked = False

    def __repr__(self) -> str:
        return f"<Channel to {self.machine.url}>"

    def call(self, function: Callable[[Protocol], T]) -> T:
        """What ``function`` does with the connection.

        Raises NothingYet, and the types of :mod:`kernellab.errors` for all that can go wrong. They
        are raised outside of any ``except``: nothing that hangs on them knows the password.
        """
        try:
            return self._try(function)
        except _StaleError:
            self.reset()
        # The connection was a new one, and sealed messages are for the old one alone: what the
        # service could not read it did not do.
        return self._try(function)

    def _try(self, function: Callable[[Protocol], T]) -> T:
        failed: BaseException
        try:
            if self._protocol is None:
                self._protocol = self._connect()
            result = function(self._protocol)
            self._worked = True
            return result
        except WinRMOperationTimeoutError:
            self._worked = True
            failed = NothingYet()
        except Exception as error:  # requests, urllib3, spnego, XML: each has its own
            failed = self._explain(error)
            if not isinstance(failed, TargetRefused):
                self.reset()
        except BaseException:  # ■ in the middle of a message: the connection is of no more use
            self.reset()
            raise
        raise failed

    def leave(self, error: BaseException | None, function: Callable[[Protocol], Any]) -> None:
        """Clear up there with ``function``, as far as that is possible now; never raises.

        Not after an ``error`` of the network; after ■ in the background.
        """
        if isinstance(error, Unreachable):
            return

        def work() -> None:
            try:
                self.call(function)
            except (KernelLabError, NothingYet):
                pass  # the machine ends the shell when it has been idle
            if waits:
                return
            self.close()

        waits = error is None or isinstance(error, Exception)
        if waits:
            work()
        else:
            threading.Thread(target=work, name="kernellab-leave", daemon=True).start()

    def reset(self) -> None:
        """Let go of the connection; the next call makes another one."""
        protocol, self._protocol, self._worked = self._protocol, None, False
        if protocol is not None:
            protocol.transport.close_session()

    close = reset

    def _connect(self) -> Protocol:
        machine = self.machine
        password: Any = self._secret
        if machine.auth == "basic":
            password = str(self._secret).encode()  # requests would send Latin-1
        return _Checked(
            machine.url,
            transport=machine.auth,  # type: ignore[arg-type]
            username=machine.user,
            password=password,
            ca_trust_path=str(machine.certificate) if machine.certificate else None,  # type: ignore[arg-type]
            server_cert_validation="validate",
            message_encryption="auto" if machine.auth == "ntlm" else "never",
            operation_timeout_sec=self._times[0],
            read_timeout_sec=self._times[1],
            # Not None: for that, requests changes the environment during each request, and threads
            # that do so at the same time fail.
            proxy="",
        )

    def _explain(self, error: Exception) -> BaseException:
        """The one type for what pywinrm and the libraries below it raise."""
        machine = self.machine
        where = f"{machine.host}:{machine.port}"
        if isinstance(error, InvalidCredentialsError | PermissionError):
            if self._worked:
                return _StaleError()
            return CredentialsError(
                f"{where} refuses {machine.user!r} with this password ({machine.auth}). The user "
                "has to be an administrator there; a local one may need LocalAccountTokenFilter"
                "Policy, and Basic has to be allowed: docs/windows-vm.md"
            )
        if isinstance(error, WSManFaultError):
            return _fault(where, error)
        if isinstance(error, WinRMTransportError):
            code = int(error.code)
            if code == 400 and self._worked:
                return _StaleError()
            hint = _HINTS.get(code, "")
            return TargetRefused(
                f"{where} answers with HTTP {code}{': ' + hint if hint else ''}", status=code
            )
        if isinstance(error, requests.exceptions.SSLError):
            return _certificate(machine, error)
        if isinstance(error, requests.exceptions.RequestException):
            return _unreachable(where, error)
        if isinstance(error, ET.ParseError | StopIteration | WinRMError | ValueError | LookupError):
            return TargetRefused(
                f"what {where} answers is not WinRM ({type(error).__name__}): is it another "
                "service, or a proxy?"
            )
        return TargetLost(f"the connection to {where} failed ({type(error).__name__})")


class _StaleError(Exception):
    """The service did not know the connection's key any more."""


def _fault(where: str, error: WSManFaultError) -> KernelLabError:
    fault = int(error.wsman_fault_code or 0) & 0xFFFFFFFF
    reason = " ".join(str(error.reason).split())[:300]
    hint = ""
    if fault in QUOTAS:
        hint = "; `kernellab target prepare` raises WinRM's quotas"
    return TargetRefused(f"{where} refuses: {reason}{hint}", status=500, fault=fault)


def _certificate(machine: Machine, error: Exception) -> CertificateError:
    text = str(error)
    where = f"{machine.host}:{machine.port}"
    if "expired" in text:
        return CertificateError(
            f"the certificate of {where} has expired (or this computer's clock is wrong): "
            "`kernellab target prepare` can make a new one"
        )
    if "mismatch" in text or "doesn't match" in text:
        return CertificateError(
            f"the certificate of {where} is for another name; use the name that is in it as host"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        if machine.certificate is not None:
            return CertificateError(
                f"the certificate of {where} is not that in {machine.certificate.name}, nor signed "
                "by it: has the machine another one now? One that an authority signed is trusted "
                "by the authority's certificate, not by itself: put that into the file"
            )
        return CertificateError(
            f"the certificate of {where} is from nobody that is trusted here: save the machine's "
            'certificate to a file and name it: certificate = "FILE.pem" (`kernellab target add '
            "--fetch-certificate` does both)"
        )
    return CertificateError(f"{where} does not speak TLS as expected: is its port right?")


def _unreachable(where: str, error: requests.exceptions.RequestException) -> Unreachable:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(f"{where} does not answer", sent=False)
    if isinstance(error, requests.exceptions.ReadTimeout):
        return Unreachable(f"{where} took the request and does not answer", sent=True)
    text = repr(error)
    if "NewConnectionError" in text or "NameResolution" in text:
        what = "has no address" if "NameResolution" in text else "cannot be reached"
        return Unreachable(f"{where} {what}", sent=False)
    return Unreachable(f"the connection to {where} broke", sent=True)
