"""The one vocabulary between kernellab and a target's endpoint.

An endpoint (the simulator's subprocess, or the guest agent on Wine and Windows) is a
program with a pair of byte streams. Every line on them is one JSON object in UTF-8:

=========  ==================================================================
request    ``{"id": 7, "command": "load", …}``           client to endpoint
reply      ``{"reply": 7, "ok": true, …}``               endpoint to client
           ``{"reply": 7, "ok": false, "error": {…}}``   see :class:`Failure`
event      ``{"event": "dbgprint", "seq": 1, …}``        endpoint to client
=========  ==================================================================

Requests are answered in any order; events carry a sequence number that grows by one for
each event of the stream, so that loss is never silent. A request with ``"again": true`` may have
come before (feature ``again``): one whose id has been seen is not done twice. Bytes travel as
base64, addresses as ``"0x…"`` text. Unknown fields are ignored: either side may be newer.

Commands and their fields (all replies are empty where nothing is named):

=============  ==============================================  ===========================
command        fields                                          reply
=============  ==============================================  ===========================
``hello``      ``columns``  (:mod:`.prints` may come)           ``protocol endpoint features``
``heartbeat``  ``echo``  (also when stopped)                   ``echo events`` (sent so far)
``put``        ``file offset data``  (chunks of an image)      ``size`` (bytes so far)
``load``       ``driver file timeout budget verifier``         ``status base size``
               ``parameters``
``unload``     ``driver close_handles timeout``                ``status pending`` (until what)
``open``       ``path access share admin timeout``             ``handle``
``close``      ``handle timeout``
``read``       ``handle length offset timeout``                ``data information``
``write``      ``handle data offset timeout``                  ``information``
``ioctl``      ``handle code data out_size output timeout``    ``data information``
``flush``      ``handle timeout``
``result``     ``request timeout``  (wait for one)             as its command's
``poll``       ``request``                                     ``done``
``cancel``     ``request timeout``                             ``cancelled``
``snapshot``                                                    ``snapshot`` (a number)
``restore``    ``snapshot``  (also when stopped)
``forget``     ``snapshot``
``dump``       (a crash dump; also when stopped)               ``file size``
``get``        ``file offset``  (also when stopped)             ``data``
``key_read``   ``path timeout``  (a registry key)              ``path values subkeys``
``key_create`` ``path timeout``
``key_delete`` ``path timeout``  (and all below it)
``value_set``  ``path name type data timeout``
``value_delete`` ``path name timeout``
``file_read``  ``path offset length``                          ``data size``
``file_write`` ``path offset data``  (made anew from 0 on)
``file_delete`` ``path``
``file_list``  ``path``                                        ``entries``
``spawn``      ``name command_line parent timeout``            ``pid name parent threads``
``processes``                                                  ``processes``
``exit_process`` ``pid code timeout``
``load_image`` ``pid name size timeout``                       ``base``
``start_thread`` ``pid timeout``                               ``thread``
``exit_thread`` ``thread timeout``
``open_process`` ``pid access timeout``                        ``access`` (what is granted)
``status``                                                     ``state drivers devices …``
``inspect``    ``driver most``  (looks only; also when stopped)  ``devices handles irps …``
``interrupt``  (answered at once, whatever else is running)
``sleep``      ``seconds timeout``  (time of the machine)
``error_log``                                                  ``entries``
``device``     ``action node driver …`` (Plug and Play)        ``node instance state …``
``wmi``        ``action guid``                                 ``blocks events instances``
``fire``       ``vector after``  (a device interrupts)
``trace``      ``action size``  (also when stopped)            ``file size total``
``reboot``     ``seed processors pool_guard verifier``  (afresh)
``shutdown``   (reply, then the process ends)
=============  ==============================================  ===========================

``read write ioctl flush`` with ``"asynchronous": true`` answer as soon as the dispatch routine has
returned, with the number of the ``request`` and whether it is ``done``.

``trace`` ``start``s to record, and is ``read`` or ``stop``ped; :mod:`.tracefile` says what it is.

``timeout`` is wall-clock seconds that driver code may run for this request, ``budget`` a
number of guest instructions. ``verifier`` is ``"on"``, ``"off"``, or says of rules by name
whether they are on, such as ``{"leak-pool": false}``: for one driver, or for the whole machine.
After a bug check, a time-out or an interrupt inside driver code the machine is *stopped*:
everything but ``hello heartbeat status inspect dump get restore trace reboot shutdown interrupt``
fails with kind ``stopped`` until ``reboot``, or a ``restore``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final

VERSION: Final = 1

#: Longest line either side accepts, bytes. A longer one is a protocol error, not memory.
MAX_LINE: Final = 8 * 1024 * 1024

#: Bytes of an image in one ``put``: below the smallest envelope of any transport.
PUT_CHUNK: Final = 48 * 1024

#: Bytes of a file in one reply to ``get``.
GET_CHUNK: Final = 1024 * 1024

#: DbgPrint's component and level for what ``println!`` prints (DPFLTR_IHVDRIVER_ID, ERROR).
DPFLTR_IHVDRIVER_ID: Final = 77
DPFLTR_ERROR_LEVEL: Final = 0

COMMANDS: Final = frozenset(
    (
        "hello heartbeat put get dump load unload open close "
        "read write ioctl flush result poll cancel "
        "sleep snapshot restore forget trace "
        "error_log device wmi fire key_read key_create key_delete value_set value_delete "
        "file_read file_write file_delete file_list "
        "spawn processes exit_process load_image start_thread exit_thread open_process "
        "status inspect interrupt reboot shutdown"
    ).split()
)

#: What can go wrong with a request; the client turns each into one exception type.
FAILURE_KINDS: Final = frozenset(
    {
        "load",  # not a driver image, or an import that the target does not have
        "ntstatus",  # the driver (or the I/O manager) answered with a failure: ``status``
        "bugcheck",  # the machine bug-checked while this request ran
        "timeout",  # driver code ran past its time or instruction budget: ``frames``
        "interrupted",  # ``interrupt`` stopped driver code: ``frames``
        "pending",  # a request is not completed, and nothing will complete it by itself
        "stopped",  # the machine has stopped; reboot it
        "usage",  # unknown command, handle or driver, or a field of the wrong type
        "unsupported",  # this target cannot do that
        "internal",  # a defect of the endpoint itself
    }
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One stack frame, innermost first in a list.

    An endpoint gives ``module``, ``rva`` and ``address``; the client adds ``function``,
    ``file`` and ``line`` from the driver's PDB (one address can become several frames,
    ``inlined`` ones first). ``file`` is ``cell`` for the notebook cell, whose magic's own
    line is line 1.
    """

    address: str = "0x0"
    module: str = ""
    rva: int = 0
    function: str = ""
    file: str = ""
    line: int = 0
    inlined: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else ""
        known = f"{self.module}+{self.rva:#x}" if self.module else self.address
        name = self.function or known
        return f"{name} at {place}" if place else name


@dataclass(frozen=True, slots=True)
class RelatedStack:
    """A second call stack that explains a report; ``label`` says what happened there."""

    label: str = ""
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What every event has: ``seq`` (from 1, per stream) and the driver's name."""

    kind: ClassVar[str] = ""
    seq: int = 0
    driver: str = ""


@dataclass(frozen=True, slots=True)
class State(Event):
    """A driver changed state: ``loaded`` (mapped), ``running``, ``unload pending`` (``status``
    says what for), ``unloaded`` or ``failed``; or ``handle closed``, for its unload: ``status``
    is the path.

    With no driver named, ``rebooted``: the machine started afresh, all drivers are gone; or
    ``restored``: it went back to a snapshot.
    """

    kind: ClassVar[str] = "state"
    state: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class DbgPrint(Event):
    """One DbgPrint call's text (newline kept as printed, at most 512 bytes of it).

    ``time`` is seconds since the target started (virtual on ``sim``), ``level`` 0 to 31 and
    ``component`` as in DbgPrintEx, ``irql`` 0 to 15. ``text`` is any Unicode, hostile too:
    bytes that are not UTF-8 arrive as ``\\xNN``.
    """

    kind: ClassVar[str] = "dbgprint"
    text: str = ""
    time: float = 0.0
    level: int = 0
    component: int = 0
    irql: int = 0
    thread: int = 0


@dataclass(frozen=True, slots=True)
class Violation(Event):
    """A verifier rule was broken.

    ``related`` are stacks of earlier moments that matter: where the memory was allocated, where
    the lock was taken.
    """

    kind: ClassVar[str] = "violation"
    rule: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()
    related: tuple[RelatedStack, ...] = ()


@dataclass(frozen=True, slots=True)
class BugcheckEvent(Event):
    """The machine bug-checked. ``code`` and ``parameters`` as hexadecimal text.

    ``message`` is one sentence on what happened; ``instruction`` the disassembled faulting
    instruction, ``registers`` their values by lower-case name, where the target knows them.
    ``disassembly`` is a few instructions around it, a line each, its own marked by ``→``: the
    client adds that from the driver's image.
    """

    kind: ClassVar[str] = "bugcheck"
    code: str = "0x0"
    name: str = ""
    parameters: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    message: str = ""
    instruction: str = ""
    registers: Mapping[str, str] = field(default_factory=dict)
    related: tuple[RelatedStack, ...] = ()
    disassembly: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped(Event):
    """``count`` events were lost before this one."""

    kind: ClassVar[str] = "dropped"
    count: int = 0


@dataclass(frozen=True, slots=True)
class ErrorEvent(Event):
    """Something failed outside the driver's own log."""

    kind: ClassVar[str] = "error"
    error: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()


EVENTS: Final[Mapping[str, type[Event]]] = {
    cls.kind: cls for cls in (State, DbgPrint, Violation, BugcheckEvent, Dropped, ErrorEvent)
}

_NAMES: Final[Mapping[type[Any], tuple[str, ...]]] = {
    cls: tuple(f.name for f in fields(cls)) for cls in (*EVENTS.values(), Frame, RelatedStack)
}

_WHERE_THERE_ARE: Final = ("registers", "related", "disassembly")

# An error event's own ``kind`` field is called ``error`` on the class, which has a ``kind``.
_RENAMED: Final = {"error": {"kind": "error"}}


@dataclass(frozen=True, slots=True)
class Failure:
    """The ``error`` of a failed reply: ``kind`` is one of :data:`FAILURE_KINDS`."""

    kind: str
    message: str
    status: int = 0
    frames: tuple[Frame, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


class ProtocolError(ValueError):
    """A line that is not of this vocabulary. Never leaves the session: it is counted there."""


def _frames(value: object) -> tuple[Frame, ...]:
    if not isinstance(value, list | tuple):
        raise ProtocolError("frames are not a list")
    out = []
    for item in value:
        if not isinstance(item, dict):
            raise ProtocolError("a frame is not an object")
        out.append(_build(Frame, item, {}))
    return tuple(out)


def _related(value: object) -> tuple[RelatedStack, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(v, dict) for v in value):
        raise ProtocolError("related is not a list of objects")
    return tuple(_build(RelatedStack, item, {}) for item in value)


def _build(cls: type[Any], given: Mapping[str, Any], renamed: Mapping[str, str]) -> Any:
    """Make ``cls`` from what JSON gave, each field checked against the default's type."""
    values: dict[str, Any] = {}
    names = _NAMES[cls]
    for key, value in given.items():
        name = renamed.get(key, key)
        if name not in names:
            continue
        if name == "frames":
            value = _frames(value)
        elif name == "related":
            value = _related(value)
        elif name in ("parameters", "disassembly"):
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                raise ProtocolError(f"{name} is not a list of strings")
            value = tuple(value)
        elif name in ("registers", "detail"):
            if not isinstance(value, dict):
                raise ProtocolError(f"{name} is not an object")
        else:
            value = _scalar(name, value, _SCALARS[name])
        values[name] = value
    return cls(**values)


_SCALARS: Final[Mapping[str, type]] = {
    **dict.fromkeys("seq rva line level component irql thread count status_code".split(), int),
    **dict.fromkeys(
        "driver state status text rule message code name instruction error label"
        " address module function file kind".split(),
        str,
    ),
    "time": float,
    "inlined": bool,
}


def _scalar(name: str, value: object, wanted: type) -> Any:
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ProtocolError(f"{name} is {type(value).__name__}, not {wanted.__name__}")
    return value


def decode_line(line: bytes) -> dict[str, Any]:
    """One line as a JSON object, or :class:`ProtocolError`."""
    if len(line) > MAX_LINE:
        raise ProtocolError(f"a line of {len(line)} bytes (at most {MAX_LINE})")
    try:
        # As json.loads decodes it itself, after it has looked which encoding it is.
        value = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError("not a JSON object")
    return value


def encode_line(message: Mapping[str, Any]) -> bytes:
    """A message as one line, newline included. ASCII only, keys in the order given."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def parse_event(message: Mapping[str, Any]) -> Event:
    """The event in a decoded line; unknown fields are dropped, unknown kinds refused."""
    kind = message.get("event")
    if kind == "dbgprint" and (line := _dbgprint(message)) is not None:
        return line
    cls = EVENTS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ProtocolError(f"unknown event {kind!r}")
    given = {k: v for k, v in message.items() if k != "event"}
    event: Event = _build(cls, given, _RENAMED.get(cls.kind, {}))
    return event


def _dbgprint(m: Mapping[str, Any]) -> DbgPrint | None:
    """A complete and correct event of the most frequent kind, quickly; else None."""
    try:
        values = (
            *(m["seq"], m["driver"], m["text"], m["time"]),
            *(m["level"], m["component"], m["irql"], m["thread"]),
        )
    except KeyError:
        return None
    return DbgPrint(*values) if tuple(map(type, values)) == _DBGPRINT_TYPES else None


_DBGPRINT_TYPES: Final = (int, str, str, float, int, int, int, int)


def parse_failure(message: object) -> Failure:
    """The ``error`` object of a failed reply."""
    if not isinstance(message, dict):
        raise ProtocolError("error is not an object")
    known = {"kind", "message", "status", "frames"}
    status = message.get("status", 0)
    return Failure(
        kind=_scalar("kind", message.get("kind", "internal"), str),
        message=_scalar("message", message.get("message", ""), str),
        status=_scalar("status", status, int),
        frames=_frames(message.get("frames", [])),
        detail={k: v for k, v in message.items() if k not in known},
    )


def event_fields(event: Event) -> dict[str, Any]:
    """The event as the JSON object that ``--json`` prints and endpoints send."""
    out: dict[str, Any] = {"event": event.kind, "seq": event.seq}
    back = {v: k for k, v in _RENAMED.get(event.kind, {}).items()}
    for name in _NAMES[type(event)]:
        if name == "seq":
            continue
        value = getattr(event, name)
        if name == "frames":
            value = [frame_fields(f) for f in value]
        elif name == "related":
            value = [related_fields(r) for r in value]
        elif isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        if value == "" or (name in _WHERE_THERE_ARE and not value):
            continue
        out[back.get(name, name)] = value
    return out


def frame_fields(frame: Frame) -> dict[str, Any]:
    """A frame as JSON; what is not known is left out."""
    known = {name: getattr(frame, name) for name in _NAMES[Frame]}
    return {k: v for k, v in known.items() if v or k == "address"}


def related_fields(stack: RelatedStack) -> dict[str, Any]:
    """A related stack as JSON."""
    return {"label": stack.label, "frames": [frame_fields(f) for f in stack.frames]}
