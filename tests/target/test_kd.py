"""Serial kernel debugging: packets as Windows sends them, in pieces, damaged, repeated."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernellab.target.kd import (
    ACKNOWLEDGE,
    CONTINUE,
    DBG_CONTINUE,
    DBG_EXCEPTION_NOT_HANDLED,
    DEBUG_IO,
    EXCEPTION,
    INITIAL_ID,
    LOAD_SYMBOLS,
    MANIPULATE,
    PRINT,
    PROMPT,
    RESEND,
    RESET,
    STATE_CHANGE64,
    SYNC,
    Image,
    KdListener,
    Print,
    Restart,
    Stop,
    control,
    packet,
)


def print_packet(text: str, number: int, api: int = PRINT, processor: int = 1) -> bytes:
    data = text.encode()
    body = struct.pack("<IHHII", api, 6, processor, len(data), 0) + data
    return packet(DEBUG_IO, body, number)


def state_packet(number: int, state: int, union: bytes, after: bytes = b"") -> bytes:
    head = struct.pack("<IHHI4xQQ", state, 6, 0, 2, 0xFFFF8000_00001000, 0xFFFFF800_00002000)
    return packet(STATE_CHANGE64, head + union.ljust(208, b"\0") + after, number)


def exception(code: int, address: int, *parameters: int) -> bytes:
    values = [*parameters, *[0] * (15 - len(parameters))]
    return struct.pack("<IIQQI4x15QI", code, 0, 0, address, len(parameters), *values, 1)


def test_a_boot() -> None:
    kd = KdListener()
    path = b"\\SystemRoot\\hello.sys\0"
    symbols = struct.pack("<I4xQQIIB", len(path), 0xFFFFF80012340000, 4, 0x1234, 0x9000, 0)
    said = kd.feed(control(RESET))
    assert (said, kd.to_send()) == ([Restart()], control(RESET))
    said = kd.feed(print_packet("hello\n", INITIAL_ID | SYNC))
    assert (said, kd.to_send()) == ([Print("hello\n", 1)], control(ACKNOWLEDGE, INITIAL_ID))
    said = kd.feed(state_packet(INITIAL_ID ^ 1, LOAD_SYMBOLS, symbols, path))
    assert said == [Image("\\SystemRoot\\hello.sys", 0xFFFFF80012340000, 0x9000, True)]
    sent = kd.to_send()
    assert sent.startswith(control(ACKNOWLEDGE, INITIAL_ID ^ 1))
    goes_on = struct.pack("<IHHI4xI", CONTINUE, 0, 0, 0, DBG_CONTINUE).ljust(56, b"\0")
    assert sent[16:] == packet(MANIPULATE, goes_on, INITIAL_ID)
    # It did not arrive; then it did; the next one has the other number.
    assert kd.feed(control(RESEND)) == [] and kd.to_send() == packet(
        MANIPULATE, goes_on, INITIAL_ID
    )
    kd.feed(control(ACKNOWLEDGE, INITIAL_ID))
    wrong = exception(0xC0000005, 0xFFFFF80012341000, 1, 8)
    (stop,) = kd.feed(state_packet(INITIAL_ID, EXCEPTION, wrong))
    assert stop == Stop(0xC0000005, 0xFFFFF80012341000, (1, 8), True, 0)
    fails = struct.pack("<IHHI4xI", CONTINUE, 0, 0, 0, DBG_EXCEPTION_NOT_HANDLED).ljust(56, b"\0")
    assert kd.to_send()[16:] == packet(MANIPULATE, fails, INITIAL_ID ^ 1)
    assert (kd.noise, kd.damaged, kd.repeated) == (0, 0, 0)


def test_a_packet_that_comes_again_is_told_once_and_acknowledged_twice() -> None:
    kd = KdListener()
    line = print_packet("once\n", INITIAL_ID)
    assert kd.feed(line * 2) == [Print("once\n", 1)]
    assert kd.to_send() == control(ACKNOWLEDGE, INITIAL_ID) * 2
    assert kd.repeated == 1


def test_a_damaged_packet_is_asked_for_again() -> None:
    kd = KdListener()
    good = print_packet("text\n", INITIAL_ID)
    bad = bytearray(good)
    bad[34] ^= 1
    assert kd.feed(bytes(bad)) == []
    assert kd.damaged == 1 and kd.to_send() == control(RESEND)
    assert kd.feed(good) == [Print("text\n", 1)]


def test_who_asks_gets_an_empty_answer() -> None:
    kd = KdListener()
    assert kd.feed(print_packet("(boipt)? ", INITIAL_ID, PROMPT)) == [Print("(boipt)? ", 1)]
    answer = struct.pack("<IHHII", PROMPT, 0, 1, 0, 0)
    assert kd.to_send()[16:] == packet(DEBUG_IO, answer, INITIAL_ID)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), max_size=9
    ),
    st.lists(st.binary(max_size=20), min_size=10, max_size=10),
    st.integers(1, 50),
)
def test_lines_come_through_noise_in_pieces_of_any_size(
    texts: list[str], noise: list[bytes], size: int
) -> None:
    texts = [text.encode()[:500].decode("utf-8", "ignore") or "x" for text in texts]
    stream, number = b"", INITIAL_ID
    for text, between in zip(texts, noise, strict=False):
        clean = between.replace(b"0", b"").replace(b"i", b"")
        stream += clean + print_packet(text, number)
        number ^= 1
    kd, said = KdListener(), []
    for start in range(0, len(stream), size):
        said += kd.feed(stream[start : start + size])
    assert said == [Print(text, 1) for text in texts]


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(b"0000"), st.just(b"iiii")), max_size=20))
def test_anything_at_all_is_survived(pieces: list[bytes]) -> None:
    kd = KdListener()
    for piece in pieces:
        kd.feed(piece)
        kd.to_send()
    assert len(kd._buffer) <= 4100
