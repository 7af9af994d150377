"""The simulator's process as hostile territory: what comes in on its stream, and how it ends."""

from __future__ import annotations

import base64
import json
import queue
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kernellab import protocol
from kernellab.target.sim.kernel.io_request import MAX_TRANSFER

from .test_faults import SOURCE, marked

COMMAND = [sys.executable, "-P", "-m", "kernellab.target.sim"]
#: Far more than anything here takes: what is waited for comes or never does.
PATIENCE = 60

Message = dict[str, Any]


class Wire:
    """An endpoint with its two streams, read by a thread."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._lines: queue.Queue[Message | None] = queue.Queue()
        self._number = 1_000_000
        self.errors = b""
        self.events: list[Message] = []
        self._threads = [threading.Thread(target=t) for t in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(protocol.decode_line(line))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def start(self, command: str, **fields: Any) -> int:
        """Send a request; its number."""
        self._number += 1
        self.send(protocol.encode_line({"id": self._number, "command": command, **fields}))
        return self._number

    def next(self) -> Message | None:
        """The next line; None at the end of the stream."""
        return self._lines.get(timeout=PATIENCE)

    def until(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """The lines up to the one that is wanted."""
        found: list[Message] = []
        while True:
            message = self.next()
            assert message is not None, f"the endpoint ended: {self.errors.decode()}"
            found.append(message)
            if wanted(message):
                return found

    def ask(self, command: str, **fields: Any) -> Message:
        """Send a request and wait for its reply."""
        number = self.start(command, **fields)
        *self.events, reply = self.until(lambda m: m.get("reply") == number)
        return reply

    def kind(self, command: str, **fields: Any) -> str:
        """The kind of failure that a request has; empty for none."""
        reply = self.ask(command, **fields)
        return "" if reply["ok"] else protocol.parse_failure(reply["error"]).kind

    def put(self, name: str, data: bytes) -> None:
        for offset in range(0, len(data), protocol.PUT_CHUNK):
            chunk = base64.b64encode(data[offset : offset + protocol.PUT_CHUNK]).decode()
            assert self.ask("put", file=name, offset=offset, data=chunk)["ok"]

    def load(self, image: Path, name: str, **fields: Any) -> Message:
        self.put("image", image.read_bytes())
        return self.ask("load", driver=name, file="image", **fields)

    def close(self) -> int:
        """End its input and wait for its end; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code


@pytest.fixture
def wire(no_leftovers: None) -> Iterator[Wire]:
    opened = Wire()
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.close()


# -- fuzzing ------------------------------------------------------------------------------------

VALUES: list[object] = [
    *(None, True, False, 0, 1, -1, 4, 8, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**400, 16 << 20),
    *("", "A", "QQ==", "QQ=", "====", "\u00e4\u00f6", "\0", "\ud800", "a\\b", "../..", "CON"),
    *("x" * 300, "\\" * 70_000, "ntoskrnl.exe", "NaN", "0x10", [], {}, [[[]]], {"a": [1]}),
]
PATHS = [r"\\.\Devices", r"\\.\Faults", r"\??\faults\rest", r"\Device\Devices\C0000001", "\\"]
CODES = [0x222000, 0x222004, 0x222008, 0x22200C, 0x22201C, 0x222001, 0x222003, 0xFFFFFFFF]
DATA = [b"", b"null_read", b"leak", b"double_free", b"\0" * 8, b"\x05\0\0\x80\x40\0\0\0", b"x" * 99]


def _request(chance: random.Random) -> bytes:
    """A request that could be one, and then has some of its fields replaced."""
    handle = {"handle": chance.choice((4, 4, 4, 8, 12))}
    code, size = chance.choice(CODES), chance.choice((0, 1, 64, 70_000))
    data = base64.b64encode(chance.choice(DATA)).decode()
    name = chance.choice(("devices", "faults", "third"))
    choices: list[tuple[str, Message]] = [
        *(("hello", {}), ("status", {})),
        ("put", {"file": "image", "offset": chance.choice((0, 0, 8, 9)), "data": data}),
        ("load", {"driver": name, "file": "image"}),
        ("unload", {"driver": name}),
        *[("open", {"path": chance.choice(PATHS)})] * 3,
        ("close", handle),
        ("read", {**handle, "length": size, "offset": chance.choice((0, 3))}),
        ("write", {**handle, "data": data, "offset": chance.choice((0, 3))}),
        *[("ioctl", {**handle, "code": code, "data": data, "out_size": size})] * 3,
    ]
    command, fields = chance.choice(choices)
    message: Message = {"id": chance.randrange(1000), "command": command, **fields, "timeout": 5}
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        name = chance.choice(sorted(message))
        if chance.random() < 0.3:
            del message[name]
        else:
            message[name] = chance.choice(VALUES)
    return json.dumps(message).encode() + b"\n"


def _damaged(chance: random.Random) -> bytes:
    """A line that is hardly a request."""
    line = bytearray(_request(chance)[:-1])
    for _ in range(chance.choice((1, 1, 3, 10))):
        if line:
            place = chance.randrange(len(line))
            match chance.randrange(4):
                case 0:
                    line[place] = chance.randrange(256)
                case 1:
                    del line[place:]
                case 2:
                    del line[place]
                case 3:
                    line.insert(place, chance.choice(b'"{}[],:\\0-'))
    return bytes(line).replace(b"\n", b" ") + b"\n"


_JUNK = [
    *(b"\n", b"{}\n", b"[]\n", b"null\n", b"7\n", b'"hello"\n', b"hello\n", b"{\n", b"\r\n"),
    *(b"\xff\xfe\x00\n", b"\0\n", b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n"),
    *(b'{"id": 1' + b"0" * 5000 + b"}\n", b'{"command": "hello", "command": "nothing"}\n'),
    *(b'{"command": "HELLO"}\n', b'{"id": 7}\n', b'\xef\xbb\xbf{"command": "hello"}\n'),
]


@pytest.mark.parametrize("seed", range(3))
def test_any_line_gets_one_typed_answer(wire: Wire, devices: Path, faults: Path, seed: int) -> None:
    chance = random.Random(seed)
    kinds: set[str] = set()
    for round_ in range(12):
        # A machine in use, so that handles and drivers of the requests may be real.
        assert wire.kind("reboot") == ""
        assert wire.load(devices, "devices")["ok"]
        assert wire.load(faults, "faults")["ok"]
        for path in (r"\\.\Devices", r"\\.\Faults"):
            assert wire.ask("open", path=path)["ok"]
        lines = list(_JUNK) if round_ == 0 else []
        makers = [_request, _request, _damaged]
        lines += [chance.choice(makers)(chance) for _ in range(80)]
        for line in lines:
            wire.send(line)
        end = wire.start("hello")
        messages = wire.until(lambda m, end=end: m.get("reply") == end)  # type: ignore[misc]
        *replies, hello = [m for m in messages if "reply" in m]
        assert hello["ok"] and hello["protocol"] == protocol.VERSION
        assert len(replies) == len(lines)
        for reply in replies:
            assert type(reply["ok"]) is bool
            if not reply["ok"]:
                failure = protocol.parse_failure(reply["error"])
                assert failure.kind in protocol.FAILURE_KINDS - {"internal"}, failure
                assert failure.message
                kinds.add(failure.kind)
    assert kinds >= {"usage", "stopped", "ntstatus", "bugcheck"}
    assert wire.close() == 0
    assert wire.errors == b""


def test_over_long_line(wire: Wire) -> None:
    """A line beyond the limit is refused, not kept; what follows it is read as usual."""
    wire.send(b'{"id": 5, "command": "hello", "x": "' + b"x" * protocol.MAX_LINE + b'"}\n')
    end = wire.start("hello")
    *replies, hello = wire.until(lambda m: m.get("reply") == end)
    assert hello["ok"]
    assert [reply["error"]["kind"] for reply in replies] == ["usage"]


def test_longest_transfers(wire: Wire, devices: Path) -> None:
    """What the I/O manager takes fits into a line, there and back."""
    assert wire.load(devices, "devices")["ok"]
    handle = wire.ask("open", path=r"\\.\Devices")["handle"]
    data = base64.b64encode(bytes(range(256)) * (MAX_TRANSFER // 256)).decode()
    assert wire.ask("write", handle=handle, data=data)["information"] == MAX_TRANSFER
    assert wire.ask("read", handle=handle, length=MAX_TRANSFER)["data"] == data
    assert wire.kind("read", handle=handle, length=MAX_TRANSFER + 1) == "usage"
    assert MAX_TRANSFER * 4 // 3 < protocol.MAX_LINE


def test_an_answer_that_is_too_long(wire: Wire) -> None:
    """It becomes an error of its own rather than a line that the client refuses."""
    wire.send(b'{"command": "hello", "id": "' + b"x" * (protocol.MAX_LINE - 100) + b'"}\n')
    reply = wire.next()
    assert reply is not None
    assert (reply["reply"], reply["error"]["kind"]) == (0, "unsupported")
    assert wire.ask("hello")["ok"]


@pytest.mark.parametrize(
    "limits", [{"timeout": "soon"}, {"timeout": -1}, {"budget": 0.5}, {"timeout": float("inf")}]
)
def test_a_load_with_wrong_limits_loads_nothing(
    wire: Wire, devices: Path, limits: dict[str, Any]
) -> None:
    wire.put("image", devices.read_bytes())
    assert wire.kind("load", driver="devices", file="image", **limits) == "usage"
    assert wire.ask("status")["drivers"] == []
    assert wire.load(devices, "devices")["ok"]


def test_wrong_fields_of_requests(wire: Wire, devices: Path) -> None:
    assert wire.load(devices, "devices")["ok"]
    wrong: list[Message] = [{"access": "x"}, {"share": "q"}, {"admin": 1}, {"access": 5}]
    for fields in wrong:
        assert wire.kind("open", path=r"\\.\Devices", **fields) == "usage"
    handle = wire.ask("open", path=r"\\.\Devices")["handle"]
    assert wire.kind("ioctl", handle=handle, code=0, data="", output="QQ==") == "usage"
    assert wire.kind("read", handle=handle, length=1, asynchronous="yes") == "usage"
    for command in ("poll", "result", "cancel"):
        for number in (0, -1, "1", None):
            assert wire.kind(command, request=number) == "usage"
    sent = wire.ask("write", handle=handle, data="QQ==", asynchronous=True)
    assert sent["done"]
    assert wire.ask("result", request=sent["request"])["information"] == 1
    assert wire.kind("result", request=sent["request"]) == "usage"  # it was taken


def test_longest_line(wire: Wire) -> None:
    line = b'{"id": 5, "command": "hello", "x": "'
    wire.send(line + b"x" * (protocol.MAX_LINE - len(line) - 3) + b'"}\n')
    reply = wire.next()
    assert reply is not None
    assert (reply["reply"], reply["ok"]) == (5, True)


def test_line_without_an_end(wire: Wire) -> None:
    """A client that dies in the middle of a line: the rest is refused, the process ends."""
    wire.send(b'{"id": 1, "command": "hel')
    assert wire.close() == 0
    reply = wire.next()
    assert reply is None or reply["error"]["kind"] == "usage"
    assert wire.errors == b""


def test_chunks_out_of_order(wire: Wire, faults: Path) -> None:
    data = faults.read_bytes()
    first, second = (base64.b64encode(part).decode() for part in (data[:1000], data[1000:]))
    assert wire.kind("put", file="a", offset=1000, data=second) == "usage"
    assert wire.ask("put", file="a", offset=0, data=first)["size"] == 1000
    for offset in (-1, 999, 1001, 2000, 1 << 40):
        assert wire.kind("put", file="a", offset=offset, data=second) == "usage"
    assert wire.kind("put", file="b", offset=1000, data=second) == "usage"
    assert wire.kind("load", driver="a", file="b") == "usage"
    # The file is as it was; a chunk at 0 begins it anew.
    assert wire.ask("put", file="a", offset=1000, data=second)["size"] == len(data)
    assert wire.ask("put", file="a", offset=0, data=first)["size"] == 1000
    assert wire.kind("load", driver="a", file="a") == "load"  # it is cut
    assert wire.kind("load", driver="a", file="a") == "usage"  # and was taken
    assert wire.load(faults, "a")["ok"]


def test_bytes_that_are_not_base64(wire: Wire) -> None:
    wrong: tuple[object, ...] = (
        "Q",
        "Q===",
        "QQ==QQ==",
        "Q Q=",
        "\u00e4",
        "Q\n",
        5,
        None,
        [],
        {},
        True,
    )
    for data in wrong:
        assert wire.kind("put", file="a", offset=0, data=data) == "usage", data
    assert wire.ask("put", file="a", offset=0, data="")["size"] == 0


def test_handles_that_are_not_there(wire: Wire, devices: Path) -> None:
    assert wire.load(devices, "devices")["ok"]
    handle = wire.ask("open", path=r"\\.\Devices")["handle"]
    for wrong in (0, -handle, handle + 4, 1 << 62, 1 << 70, float(handle), str(handle), None):
        for command in ("read", "write", "ioctl", "close"):
            assert wire.kind(command, handle=wrong, code=0, data="") == "usage", wrong
    assert wire.kind("close", handle=handle) == ""
    assert wire.kind("close", handle=handle) == "usage"


# -- interrupts ---------------------------------------------------------------------------------


def _spin(wire: Wire, faults: Path) -> int:
    """Have a driver loop in DriverEntry; the number of the request."""
    wire.put("image", faults.read_bytes())
    number = wire.start("load", driver="entry_spin", file="image", timeout=3600)
    wire.until(lambda m: m.get("event") == "state" and m["state"] == "loaded")
    return number


def test_interrupt_stops_driver_code(wire: Wire, faults: Path) -> None:
    load = _spin(wire, faults)
    stop = wire.start("interrupt")
    replies: dict[int, Message] = {}
    while not {load, stop} <= set(replies):
        message = wire.next()
        assert message is not None
        if "reply" in message:
            replies[message["reply"]] = message
    failure = protocol.parse_failure(replies[load]["error"])
    assert failure.kind == "interrupted"
    assert any(frame.module == "entry_spin" for frame in failure.frames)
    assert replies[stop]["ok"]
    assert wire.kind("open", path=r"\\.\Faults") == "stopped"
    assert wire.kind("reboot") == ""
    assert wire.load(faults, "faults")["ok"]


def test_an_interrupt_right_behind_its_request_is_not_lost(wire: Wire, faults: Path) -> None:
    """It may come before the driver's code has begun to run, or before the request is looked at."""
    for _ in range(3):
        wire.put("image", faults.read_bytes())
        load = wire.start("load", driver="entry_spin", file="image", timeout=3600)
        wire.start("interrupt")
        reply = _reply(wire, load)
        assert protocol.parse_failure(reply["error"]).kind == "interrupted"
        assert wire.kind("reboot") == ""


def _reply(wire: Wire, number: int) -> Message:
    return wire.until(lambda message: message.get("reply") == number)[-1]


def test_interrupt_of_nothing_stops_nothing(wire: Wire, faults: Path) -> None:
    for _ in range(3):
        assert wire.ask("interrupt")["ok"]
    assert wire.load(faults, "faults")["ok"]
    assert wire.ask("interrupt")["ok"]
    handle = wire.ask("open", path=r"\\.\Faults")["handle"]
    assert wire.kind("ioctl", handle=handle, code=0x222000, data="") == ""


# -- its end ------------------------------------------------------------------------------------


def test_shutdown_is_answered_and_ends_it(wire: Wire) -> None:
    assert wire.ask("shutdown")["ok"]
    assert wire.next() is None
    assert wire.process.wait(PATIENCE) == 0


def test_end_of_input_ends_it(wire: Wire, devices: Path) -> None:
    assert wire.load(devices, "devices")["ok"]
    assert wire.ask("open", path=r"\\.\Devices")["ok"]
    assert wire.close() == 0
    assert wire.errors == b""


def test_end_of_input_ends_a_driver_that_loops(wire: Wire, faults: Path) -> None:
    _spin(wire, faults)
    assert wire.close() == 0


def test_client_that_no_longer_reads(wire: Wire, faults: Path) -> None:
    """A driver that prints for ever into a closed stream does not keep the process."""
    wire.put("image", faults.read_bytes())
    wire.start("load", driver="entry_print_for_ever", file="image", timeout=3600)
    wire.until(lambda m: m.get("event") == "dbgprint")
    assert wire.process.stdin is not None
    wire.process.stdin.close()
    assert wire.process.wait(PATIENCE) == 0


CLIENT = """
import sys, kernellab
target = kernellab.connect("sim")
target.subscribe(lambda batch: print("running", flush=True))
target.load(sys.argv[1], name="entry_spin", timeout=3600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_death_of_the_client_ends_it(faults: Path, no_leftovers: None) -> None:
    """A Jupyter kernel that is killed leaves no simulator behind, even in an endless loop."""
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(faults)], stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "running\n"
        children = psutil.Process(client.pid).children(recursive=True)
        assert children
        client.send_signal(signal.SIGKILL)
        client.wait(PATIENCE)
    _gone, alive = psutil.wait_procs(children, timeout=PATIENCE)
    for process in alive:
        process.kill()
    assert alive == []


def test_one_process_and_nothing_more(wire: Wire) -> None:
    assert wire.ask("hello")["ok"]
    assert psutil.Process(wire.process.pid).children(recursive=True) == []


def test_line_of_a_loop_is_in_the_answer(wire: Wire, faults: Path) -> None:
    """Frames go out as module and offset; the client adds the lines."""
    from kernellab.build.symbols import Symbols, symbolize

    reply = wire.load(faults, "entry_spin", budget=5000)
    failure = protocol.parse_failure(reply["error"])
    assert failure.kind == "timeout"
    symbols = Symbols.beside(faults)
    assert symbols is not None
    frames = symbolize(failure.frames, {"entry_spin": symbols})
    assert next(f.line for f in frames if f.file == SOURCE.name) == marked("spin")
