"""The client against a fake endpoint: out of order, malformed, truncated, huge, missing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import pytest

from kernellab import protocol
from kernellab.errors import TargetLost, TargetTimeout
from kernellab.protocol import DbgPrint, Dropped, ErrorEvent, Event
from kernellab.session import RequestFailed, Session, reply_bytes


class FakeEndpoint:
    """The other end of a session's two pipes, driven by a test."""

    def __init__(self) -> None:
        to_endpoint, from_client = os.pipe()
        to_client, from_endpoint = os.pipe()
        self.requests: BinaryIO = os.fdopen(to_endpoint, "rb")
        self.out: BinaryIO = os.fdopen(from_endpoint, "wb", buffering=0)
        self.events: list[Event] = []
        self.batches = 0
        self.session = Session(os.fdopen(to_client, "rb"), os.fdopen(from_client, "wb"), self._take)

    def _take(self, batch: Sequence[Event]) -> None:
        self.batches += 1
        self.events.extend(batch)

    def request(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.requests.readline())
        return message

    def send(self, *messages: dict[str, Any] | bytes) -> None:
        data = b"".join(m if isinstance(m, bytes) else protocol.encode_line(m) for m in messages)
        view = memoryview(data)
        while view:
            view = view[self.out.write(view) :]

    def serve(self, answer: Callable[[dict[str, Any]], None]) -> threading.Thread:
        def run() -> None:
            answer(self.request())

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def wait_events(self, count: int) -> list[Event]:
        end = time.monotonic() + 10
        while len(self.events) < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.events

    def close(self) -> None:
        self.out.close()
        self.session.close()
        self.requests.close()


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    endpoint = FakeEndpoint()
    yield endpoint
    if not endpoint.out.closed:
        endpoint.close()


def print_event(seq: int, text: str = "x\n") -> dict[str, Any]:
    return {"event": "dbgprint", "seq": seq, "driver": "d", "text": text, "time": 0, "level": 0}


def test_request_and_reply(fake: FakeEndpoint) -> None:
    def answer(request: dict[str, Any]) -> None:
        assert request["command"] == "read"
        assert request["length"] == 4
        assert "offset" not in request  # None is left out
        fake.send({"reply": request["id"], "ok": True, "data": "cGluZw=="})

    thread = fake.serve(answer)
    reply = fake.session.request("read", wait=5, length=4, offset=None)
    assert reply_bytes(reply) == b"ping"
    thread.join()


def test_replies_out_of_order(fake: FakeEndpoint) -> None:
    first = fake.session.start("status")
    second = fake.session.start("status")
    one, two = fake.request(), fake.request()
    fake.send({"reply": two["id"], "ok": True, "n": 2}, {"reply": one["id"], "ok": True, "n": 1})
    assert first.result(5)["n"] == 1
    assert second.result(5)["n"] == 2


def test_events_arrive_before_the_reply_that_followed_them(fake: FakeEndpoint) -> None:
    pending = fake.session.start("load")
    number = fake.request()["id"]
    fake.send(*[print_event(n, f"{n}\n") for n in range(1, 101)], {"reply": number, "ok": True})
    pending.result(5)
    assert [e.seq for e in fake.events] == list(range(1, 101))
    assert isinstance(fake.events[0], DbgPrint)
    assert fake.events[0].text == "1\n"


def test_failed_reply_carries_the_answer(fake: FakeEndpoint) -> None:
    pending = fake.session.start("load")
    error = {"kind": "load", "message": "no", "missing": ["ntoskrnl.exe!X"]}
    fake.send({"reply": fake.request()["id"], "ok": False, "error": error})
    with pytest.raises(RequestFailed) as info:
        pending.result(5)
    assert info.value.failure.kind == "load"
    assert info.value.failure.detail["missing"] == ["ntoskrnl.exe!X"]


@pytest.mark.parametrize("error", [None, 3, {"kind": 3}, {"frames": "x"}, {"frames": [7]}])
def test_damaged_failure_is_an_internal_one(fake: FakeEndpoint, error: object) -> None:
    pending = fake.session.start("load")
    fake.send({"reply": fake.request()["id"], "ok": False, "error": error})
    with pytest.raises(RequestFailed) as info:
        pending.result(5)
    assert info.value.failure.kind == "internal"


def test_no_reply_times_out_and_a_late_one_is_dropped(fake: FakeEndpoint) -> None:
    with pytest.raises(TargetTimeout):
        fake.session.request("status", wait=0.05)
    late = fake.request()["id"]
    pending = fake.session.start("status")
    fake.send({"reply": late, "ok": True}, {"reply": fake.request()["id"], "ok": True, "n": 7})
    assert pending.result(5)["n"] == 7
    assert fake.session.malformed == 1


MALFORMED = [
    b"not json\n",
    b"[1]\n",
    b"{}\n",
    b'{"event": "nonsense", "seq": 1}\n',
    b'{"event": ["dbgprint"], "seq": 1}\n',
    b'{"event": "dbgprint", "seq": "1"}\n',
    b'{"event": "dbgprint", "seq": 1, "text": 5}\n',
    b'{"event": "dbgprint", "seq": true}\n',
    b'{"event": "bugcheck", "seq": 1, "frames": {"a": 1}}\n',
    b'{"event": "bugcheck", "seq": 1, "parameters": [1]}\n',
    b"\xff\xfe\x00\n",
    b"[" * 100_000 + b"\n",
    b'{"reply": {}, "ok": true}\n',
]


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_line_is_counted_and_the_next_one_works(fake: FakeEndpoint, line: bytes) -> None:
    fake.send(line, print_event(1))
    pending = fake.session.start("status")
    fake.send({"reply": fake.request()["id"], "ok": True})
    pending.result(5)
    assert fake.session.malformed == 1
    assert isinstance(fake.events[-1], DbgPrint)
    if not line.startswith(b'{"reply"'):
        assert isinstance(fake.events[0], ErrorEvent)
        assert fake.events[0].error == "protocol"


def test_gap_in_the_numbers_is_loss(fake: FakeEndpoint) -> None:
    fake.send(print_event(1), print_event(5))
    events = fake.wait_events(3)
    assert isinstance(events[1], Dropped)
    assert events[1].count == 3
    assert fake.session.dropped == 3


def test_loss_told_by_the_endpoint_adds_up(fake: FakeEndpoint) -> None:
    fake.send(print_event(1), {"event": "dropped", "seq": 2, "count": 40}, print_event(3))
    fake.wait_events(3)
    assert fake.session.dropped == 40


def test_repeated_event_is_not_delivered_twice(fake: FakeEndpoint) -> None:
    fake.send(print_event(1, "a"), print_event(1, "a"), print_event(2, "b"))
    events = fake.wait_events(3)
    assert [e.text for e in events if isinstance(e, DbgPrint)] == ["a", "b"]
    assert fake.session.malformed == 1


def test_huge_line_costs_no_memory_and_the_next_one_works(fake: FakeEndpoint) -> None:
    pending = fake.session.start("status")
    number = fake.request()["id"]
    chunk = b"x" * 1_000_000
    for _ in range(20):
        fake.send(chunk)
    fake.send(b"\n", {"reply": number, "ok": True})
    pending.result(10)
    assert fake.session.malformed == 1


def test_truncated_last_line_then_lost(fake: FakeEndpoint) -> None:
    pending = fake.session.start("status")
    fake.send(b'{"event": "dbgprint", "seq": 1')
    fake.out.close()
    with pytest.raises(TargetLost):
        pending.result(5)
    assert isinstance(fake.events[0], ErrorEvent)
    assert fake.session.lost
    with pytest.raises(TargetLost):
        fake.session.request("status", wait=1)
    fake.close()


def test_something_else_than_an_endpoint_is_given_up(fake: FakeEndpoint) -> None:
    pending = fake.session.start("hello")
    fake.send(*[b"Welcome to a shell\n"] * 200)
    with pytest.raises(TargetLost, match="not a kernellab endpoint"):
        pending.result(5)


def test_close_wakes_waiters() -> None:
    fake = FakeEndpoint()
    pending = fake.session.start("status")
    threading.Timer(0.1, fake.close).start()
    with pytest.raises(TargetLost):
        pending.result(10)


def test_write_to_a_dead_endpoint_is_lost(fake: FakeEndpoint) -> None:
    fake.requests.close()
    with pytest.raises(TargetLost):
        for _ in range(100):
            fake.session.start("status")


def run_event(seq: int, count: int) -> dict[str, Any]:
    texts = [f"{seq + n}\n" for n in range(count)]
    alike = {"driver": "d", "level": 0, "component": 77, "irql": 0, "thread": 4}
    return {"event": "dbgprints", "seq": seq, "texts": texts, "times": [0.0] * count, **alike}


def test_a_run_of_prints_counts_as_its_events(fake: FakeEndpoint) -> None:
    fake.send(run_event(1, 3), print_event(4), run_event(7, 2), print_event(9))
    events = fake.wait_events(5)
    assert [(e.seq, type(e).__name__) for e in events] == [
        (1, "Prints"), (4, "DbgPrint"), (6, "Dropped"), (7, "Prints"), (9, "DbgPrint"),
    ]  # fmt: skip
    assert fake.session.dropped == 2


def test_a_run_that_came_before_or_is_none_is_refused(fake: FakeEndpoint) -> None:
    fake.send(run_event(1, 3), run_event(3, 2), {**run_event(4, 2), "times": []}, run_event(4, 1))
    events = fake.wait_events(4)
    assert [type(e).__name__ for e in events] == ["Prints", "ErrorEvent", "ErrorEvent", "Prints"]
    assert fake.session.malformed == 2
    assert fake.session.dropped == 0
