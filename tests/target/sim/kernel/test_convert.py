"""Numbers, GUIDs and times as text and back. Expected values: WDK pages of the Rtl routines,
compared with Wine's ntdll when they were written."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernellab.target.sim.kernel import convert
from kernellab.target.sim.kernel.convert import TimeFields


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("", 0, 0),
        ("   ", 10, 0),
        ("12", 0, 12),
        ("\t\n 12x", 10, 12),
        ("-5", 10, 0xFFFFFFFB),
        ("+5", 0, 5),
        ("- 5", 0, 0),
        ("--1", 0, 0),
        ("0x1F", 0, 0x1F),
        ("-0x10", 0, 0xFFFFFFF0),
        ("0x1F", 16, 0),
        ("0X1F", 0, 0),
        ("0b101", 0, 5),
        ("0o17", 0, 15),
        ("017", 0, 17),
        ("017", 8, 15),
        ("fF", 16, 0xFF),
        ("1012", 2, 5),
        ("0x", 0, 0),
        ("z", 10, 0),
        ("99999999999", 10, 99999999999 & 0xFFFFFFFF),
        ("0x1ffffffff", 0, 0xFFFFFFFF),
        ("12", 7, None),
        ("12", 36, None),
        ("1", 1 << 31, None),
    ],
)
def test_integer(text: str, base: int, expected: int | None) -> None:
    assert convert.integer(text.encode(), base) == expected
    assert convert.integer([ord(c) for c in text], base) == expected


def test_units_beyond_ascii_are_no_digits() -> None:
    assert convert.integer([0x31, 0x0661, 0x32], 10) == 1
    assert convert.integer([0x31, 0xFF11], 16) == 1


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from([2, 8, 10, 16]))
def test_digits_read_back(value: int, base: int) -> None:
    text = convert.digits(value, base)
    assert text is not None and text == text.upper()
    assert convert.integer(text.encode(), base) == value == int(text, base)


def test_bases_of_digits() -> None:
    assert convert.digits(255, 0) == "255"
    assert convert.digits(0, 16) == "0"
    assert convert.digits((1 << 64) - 1, 16) == "F" * 16
    assert convert.digits(5, 7) is None
    assert convert.digits(5, 36) is None


@given(st.uuids())
def test_guids_read_back(value: uuid.UUID) -> None:
    text = convert.guid_text(value.bytes_le)
    assert text == f"{{{value}}}".upper()
    assert convert.guid(text) == value.bytes_le
    assert convert.guid(text.lower()) == value.bytes_le


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01020304-0506-0708-090A-0B0C0D0E0F10",
        "{01020304-0506-0708-090A-0B0C0D0E0F10",
        "{0102030g-0506-0708-090A-0B0C0D0E0F10}",
        "{01020304 0506-0708-090A-0B0C0D0E0F10}",
        "{٠1020304-0506-0708-090A-0B0C0D0E0F10}",
    ],
)
def test_what_is_no_guid(text: str) -> None:
    assert convert.guid(text) is None


@pytest.mark.parametrize(
    ("time", "fields"),
    [
        (0, (1601, 1, 1, 0, 0, 0, 0, 1)),
        (9_999, (1601, 1, 1, 0, 0, 0, 0, 1)),
        (10_000, (1601, 1, 1, 0, 0, 0, 1, 1)),
        (convert.DAY - 1, (1601, 1, 1, 23, 59, 59, 999, 1)),
        (116_444_736_000_000_000, (1970, 1, 1, 0, 0, 0, 0, 4)),
        (133_000_000_123_456_789, (2022, 6, 18, 4, 26, 52, 345, 6)),
        ((1 << 63) - 1, (30828, 9, 14, 2, 48, 5, 477, 4)),
        (-1, (1601, 1, 1, 0, 0, 0, 0, 1)),
    ],
)
def test_time_fields(time: int, fields: tuple[int, ...]) -> None:
    assert convert.time_fields(time) == fields


@given(st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 31)))
def test_times_agree_with_pythons_and_read_back(when: datetime) -> None:
    time = (when - datetime(1601, 1, 1)) // timedelta(microseconds=1) * 10
    fields = convert.time_fields(time)
    assert fields[:6] == when.timetuple()[:6]
    assert fields.weekday == when.isoweekday() % 7
    assert convert.time_from_fields(fields) == time - time % 10_000


@pytest.mark.parametrize(
    "fields",
    [
        (1600, 1, 1, 0, 0, 0, 0, 0),
        (30828, 1, 1, 0, 0, 0, 0, 0),
        (2000, 0, 1, 0, 0, 0, 0, 0),
        (2000, 13, 1, 0, 0, 0, 0, 0),
        (2000, 1, 0, 0, 0, 0, 0, 0),
        (2000, 4, 31, 0, 0, 0, 0, 0),
        (2001, 2, 29, 0, 0, 0, 0, 0),
        (1900, 2, 29, 0, 0, 0, 0, 0),
        (2000, 1, 1, 24, 0, 0, 0, 0),
        (2000, 1, 1, 0, 60, 0, 0, 0),
        (2000, 1, 1, 0, 0, 60, 0, 0),
        (2000, 1, 1, 0, 0, 0, 1000, 0),
        (2000, 1, 1, 0, 0, 0, -1, 0),
        (-1, -1, -1, -1, -1, -1, -1, -1),
    ],
)
def test_fields_out_of_range_are_no_time(fields: tuple[int, ...]) -> None:
    assert convert.time_from_fields(TimeFields(*fields)) is None


def test_leap_days_and_the_last_year() -> None:
    assert convert.time_from_fields(TimeFields(2000, 2, 29, 0, 0, 0, 0, 5)) == 125962560000000000
    last = convert.time_from_fields(TimeFields(30827, 12, 31, 23, 59, 59, 999, 0))
    assert last == 9223149887999990000
