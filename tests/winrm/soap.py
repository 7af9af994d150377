"""WS-Management messages as a WinRM service writes and reads them ([MS-WSMV], DSP0226)."""

from __future__ import annotations

import base64
import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

NS: Final = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
}
SHELL: Final = NS["rsp"]
CMD: Final = f"{SHELL}/cmd"

# wsmerror.h
SHELL_NOT_FOUND: Final = 0x8033805B
OPERATION_TIMED_OUT: Final = 0x80338029
QUOTA_MAX_SHELLS: Final = 0x803381A5
INVALID_MESSAGE: Final = 0x80338041
UNSUPPORTED: Final = 0x80338001
ABORTED: Final = 0x800703E3
FILE_NOT_FOUND: Final = 0x80070002


class Fault(Exception):
    """Answered as a SOAP fault with HTTP status 500."""

    def __init__(self, code: int, subcode: str, reason: str, value: str = "s:Sender") -> None:
        super().__init__(reason)
        self.code, self.subcode, self.reason, self.value = code, subcode, reason, value


@dataclass(slots=True)
class Message:
    """What a request says; times in seconds, sizes in bytes."""

    action: str
    message_id: str
    resource: str
    shell_id: str
    timeout: float
    max_envelope: int
    options: dict[str, str]
    body: ET.Element
    elements: dict[str, ET.Element] = field(default_factory=dict)

    def find(self, path: str) -> ET.Element:
        element = self.body.find(path, NS)
        if element is None:
            raise Fault(INVALID_MESSAGE, "w:SchemaValidationError", f"there is no {path}")
        return element


def seconds(duration: str) -> float:
    """An xs:duration, such as ``PT20S`` or ``P0DT2H0M0.5S``."""
    match = re.fullmatch(
        r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration.strip(), re.ASCII
    )
    if match is None:
        raise Fault(INVALID_MESSAGE, "w:SchemaValidationError", f"no duration: {duration!r}")
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def parse(data: bytes) -> Message:
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise Fault(INVALID_MESSAGE, "w:SchemaValidationError", f"no XML: {error}") from None
    header, body = root.find("s:Header", NS), root.find("s:Body", NS)
    if header is None:
        raise Fault(INVALID_MESSAGE, "w:SchemaValidationError", "there is no header")

    def text(path: str, default: str = "") -> str:
        return (header.findtext(path, "", NS) or default).strip()

    selector = header.find("w:SelectorSet/w:Selector[@Name='ShellId']", NS)
    return Message(
        action=text("a:Action"),
        message_id=text("a:MessageID"),
        resource=text("w:ResourceURI"),
        shell_id=(selector.text or "").strip() if selector is not None else "",
        timeout=seconds(text("w:OperationTimeout", "PT60S")),
        max_envelope=int(text("w:MaxEnvelopeSize", "153600")),
        options={
            each.get("Name", ""): (each.text or "").strip()
            for each in header.findall("w:OptionSet/w:Option", NS)
        },
        body=body if body is not None else ET.Element("Body"),
    )


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    to = f"{NS['a']}/role/anonymous"
    return (
        f'<s:Envelope xml:lang="en-US" {spaces}><s:Header>'
        f"<a:Action>{escape(action)}</a:Action>"
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{to}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>"
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def reply(request: Message, body: str = "") -> bytes:
    return _envelope(request.action + "Response", request.message_id, body)


def fault(fault: Fault, relates_to: str) -> bytes:
    space = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
    return _envelope(
        "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
        relates_to,
        f"<s:Fault><s:Code><s:Value>{fault.value}</s:Value><s:Subcode>"
        f"<s:Value>{fault.subcode}</s:Value></s:Subcode></s:Code><s:Reason>"
        f'<s:Text xml:lang="en-US">{escape(fault.reason)}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{space}" Code="{fault.code}" Machine="lab">'
        f"<f:Message>{escape(fault.reason)}</f:Message></f:WSManFault></s:Detail></s:Fault>",
    )


def shell_created(shell_id: str, idle: float, owner: str) -> str:
    fields = {
        **{"ShellId": shell_id, "ResourceUri": CMD, "Owner": owner, "ClientIP": "127.0.0.1"},
        **{"IdleTimeOut": f"PT{idle:.3f}S", "InputStreams": "stdin"},
        **{"OutputStreams": "stdout stderr", "ShellRunTime": "P0DT0H0M0S"},
        "ShellInactivity": "P0DT0H0M0S",
    }
    inner = "".join(f"<rsp:{k}>{escape(v)}</rsp:{k}>" for k, v in fields.items())
    return (
        "<x:ResourceCreated><a:Address>http://127.0.0.1/wsman</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{CMD}</w:ResourceURI><w:SelectorSet>"
        f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
        f"</a:ReferenceParameters></x:ResourceCreated><rsp:Shell>{inner}</rsp:Shell>"
    )


def command_started(command_id: str) -> str:
    return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"


def received(command_id: str, output: list[tuple[str, bytes]], exit_code: int | None) -> str:
    """Output of a command; ``exit_code`` where it has ended and this is the last of it."""
    mark = f"CommandId={quoteattr(command_id)}"
    parts = [
        f'<rsp:Stream Name="{name}" {mark}>{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in output
    ]
    state = f"{SHELL}/CommandState"
    if exit_code is None:
        parts.append(f'<rsp:CommandState {mark} State="{state}/Running"/>')
    else:
        parts += [
            f'<rsp:Stream Name="{name}" {mark} End="true"></rsp:Stream>'
            for name in ("stdout", "stderr")
        ]
        parts.append(
            f'<rsp:CommandState {mark} State="{state}/Done">'
            f"<rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState>"
        )
    return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"
