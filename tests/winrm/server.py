"""A WinRM service on loopback: HTTP or HTTPS, Basic and NTLM, message encryption.

What clients run really runs, on a :class:`~tests.winrm.machine.Machine`. Faults of networks and
servers are switched on from tests: :attr:`WinRMServer.network` and :attr:`WinRMServer.answers`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import socket
import socketserver
import ssl
import struct
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final, cast

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings

from . import soap
from .machine import Machine
from .shells import Quotas, Shells
from .soap import Fault

BOUNDARY: Final = b"--Encrypted Boundary"
SEALED: Final = b"application/HTTP-SPNEGO-session-encrypted"
SOAP_TYPE: Final = "application/soap+xml;charset=UTF-8"


class WinRMServer:
    """Serves from creation to :meth:`close`; use it as a context manager.

    ``users`` are names and passwords (NTLM needs them in the file that the environment variable
    NTLM_USER_FILE names: see the fixture); ``certificate`` is a PEM file with chain and key, for
    HTTPS.
    """

    def __init__(
        self,
        machine: Machine,
        users: Mapping[str, str],
        *,
        certificate: Path | None = None,
        methods: tuple[str, ...] = ("Negotiate", "Basic"),
        allow_unencrypted: bool = False,
        quotas: Quotas | None = None,
        port: int = 0,
    ) -> None:
        self.machine, self.users, self.methods = machine, dict(users), methods
        self.allow_unencrypted = allow_unencrypted
        self.shells = Shells(machine.spawn, quotas or Quotas())
        self.certificate = certificate
        #: ``up``; ``down``: connections end at once; ``silent``: nothing is answered.
        self.network = "up"
        self._restored = threading.Event()
        #: How many connections and requests the lost network has turned away so far.
        self.turned_away = 0
        #: The next answers with output, of at least so many bytes, get lost on their way.
        self.swallow: list[int] = []
        #: What the next requests get instead of an answer: (HTTP status, content type, body).
        self.answers: deque[tuple[int, str, bytes]] = deque()
        #: Every byte that came and went, where asked for: {"in": […], "out": […]}.
        self.recorded: dict[str, list[bytes]] | None = None
        self._tls: ssl.SSLContext | None = None
        self.bindings: GssChannelBindings | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
            leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
            digest = leaf.fingerprint(hashes.SHA256())
            self.bindings = GssChannelBindings(application_data=b"tls-server-end-point:" + digest)
        self.connections: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="winrm-server", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/wsman"

    def lose_network(self, how: str = "down") -> None:
        """Connections end in the middle of whatever they are doing; new ones get nowhere."""
        self._restored.clear()
        self.network = how
        if how == "down":
            self.drop_connections()

    def restore_network(self) -> None:
        self.network = "up"
        self._restored.set()

    def drop_connections(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reboot(self, dump: bytes = b"", after: float = 0.0) -> None:
        """The machine goes down, with its shells, and comes up again, with what it left of a bug
        check; ``after`` is how many seconds later.
        """
        self.lose_network()
        self.shells.end_all()
        if dump:
            folder = self.machine.drive / "Windows" / "Minidump"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{self.machine.state['boots']:03}.dmp").write_bytes(dump)
        self.machine.boot()
        if after:
            threading.Timer(after, self.restore_network).start()
        else:
            self.restore_network()

    def close(self) -> None:
        self.shells.end_all()
        self._restored.set()
        self.drop_connections()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> WinRMServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], service: WinRMServer) -> None:
        self.service = service
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.service.network == "down":
            connection.close()
            self.service.turned_away += 1
            raise OSError("the network is down")
        tls = self.service._tls
        if tls is not None:
            connection = tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self.service.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.service.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not like our certificate, is none of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def setup(self) -> None:
        super().setup()
        self.service = cast(_Server, self.server).service
        self.user = ""
        self.context: Any = None

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        service = self.service
        if service.network == "silent":
            service.turned_away += 1
            service._restored.wait()
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if service.recorded is not None:
            service.recorded["in"].append(data)
        if self.path != "/wsman":
            self._answer(404, "text/plain", b"")
        elif length > service.shells.quotas.max_envelope:
            self._answer(413, "text/plain", b"")
        elif self._authenticated():
            if service.answers:
                self._answer(*service.answers.popleft())
            elif not data:
                self._answer(200, SOAP_TYPE, b"")
            else:
                self._operate(data)

    # -- who it is --------------------------------------------------------------------------

    def _authenticated(self) -> bool:
        """Whether the request may go on; answered already where not."""
        method, _, token = self.headers.get("Authorization", "").partition(" ")
        if not method:
            return self._refuse() if not self.user or not self.context else True
        if method not in self.service.methods and (method, "Negotiate") != (
            "NTLM",
            self.service.methods[0],
        ):
            return self._refuse()
        try:
            raw = base64.b64decode(token, validate=True)
        except binascii.Error:
            return self._refuse()
        return self._basic(raw) if method == "Basic" else self._negotiate(method, raw)

    def _basic(self, raw: bytes) -> bool:
        name, _, password = raw.partition(b":")
        user = name.decode("utf-8", "replace")
        wanted = self.service.users.get(user)
        if wanted is None or not hmac.compare_digest(wanted.encode(), password):
            return self._refuse()
        self.user, self.context = user, None
        return True

    def _negotiate(self, method: str, token: bytes) -> bool:
        if self.context is None or self.context.complete:
            protocol = "ntlm" if token.startswith(b"NTLMSSP\0") else "negotiate"
            self.context = spnego.server(
                protocol=protocol,
                channel_bindings=self.service.bindings,
                options=spnego.NegotiateOptions.use_ntlm
                if protocol == "ntlm"
                else spnego.NegotiateOptions.use_negotiate,
            )
        try:
            answer = self.context.step(token)
        except spnego.exceptions.SpnegoError:
            self.context = None
            return self._refuse()
        if not self.context.complete:
            challenge = f"{method} {base64.b64encode(answer or b'').decode()}"
            self._answer(401, "text/plain", b"", {"WWW-Authenticate": challenge})
            return False
        self.user = self.context.client_principal.rsplit("\\", 1)[-1]
        return True

    def _refuse(self) -> bool:
        self.user = ""
        self.send_response(401)
        for method in self.service.methods:
            realm = ' realm="WSMAN"' if method == "Basic" else ""
            self.send_header("WWW-Authenticate", method + realm)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    # -- what it wants ------------------------------------------------------------------------

    def _operate(self, data: bytes) -> None:
        sealed = self.headers.get("Content-Type", "").startswith("multipart/encrypted")
        if sealed:
            try:
                data = self._unseal(data)
            except (ValueError, struct.error, spnego.exceptions.SpnegoError):
                # As Windows does with a message that is not of this connection's key.
                self._answer(400, "text/plain", b"")
                return
        elif self.service._tls is None and not self.service.allow_unencrypted:
            self._refuse()
            return
        relates_to = ""
        try:
            message = soap.parse(data)
            relates_to = message.message_id
            status, answer = 200, self.service.shells.answer(message, self.user)
        except Fault as fault:
            status, answer = 500, soap.fault(fault, relates_to)
        swallow = self.service.swallow
        lost = swallow and b'<rsp:Stream Name="stdout"' in answer and len(answer) >= swallow[0]
        if lost:
            del swallow[0]
        if self.service.network != "up" or lost:
            self.close_connection = True
            return
        if sealed:
            kind = f'multipart/encrypted;protocol="{SEALED.decode()}";boundary="Encrypted Boundary"'
            self._answer(status, kind, self._seal(answer))
        else:
            self._answer(status, SOAP_TYPE, answer)

    def _unseal(self, data: bytes) -> bytes:
        match = re.match(
            rb"--Encrypted Boundary\r\n\tContent-Type: ([^\r]*)\r\n\tOriginalContent: type="
            rb"application/soap\+xml;charset=UTF-8;Length=(\d+)\r\n--Encrypted Boundary\r\n"
            rb"\tContent-Type: application/octet-stream\r\n",
            data,
        )
        if match is None or self.context is None or not data.endswith(BOUNDARY + b"--\r\n"):
            raise ValueError("not an encrypted message")
        body = data[match.end() : -len(BOUNDARY) - 4]
        (size,) = struct.unpack_from("<i", body)
        plain = self.context.unwrap_winrm(body[4 : 4 + size], body[4 + size :])
        if len(plain) != int(match[2]):
            raise ValueError("wrong length")
        return cast(bytes, plain)

    def _seal(self, data: bytes) -> bytes:
        wrapped = self.context.wrap_winrm(data)
        return b"".join(
            [
                BOUNDARY + b"\r\n\tContent-Type: " + SEALED + b"\r\n\tOriginalContent: type=",
                b"application/soap+xml;charset=UTF-8;Length=%d\r\n" % len(data),
                BOUNDARY + b"\r\n\tContent-Type: application/octet-stream\r\n",
                struct.pack("<i", len(wrapped.header)) + wrapped.header + wrapped.data,
                BOUNDARY + b"--\r\n",
            ]
        )

    def _answer(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        if self.service.recorded is not None:
            self.service.recorded["out"].append(body)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
