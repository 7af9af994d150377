"""Registry crates named on the magic's line and in the cell."""

from __future__ import annotations

import pytest

from kernellab.crate import parse_dependency, split_dependencies
from kernellab.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bitflags=2", ("bitflags", "2")),
        (" bitflags = 2.4 ", ("bitflags", "2.4")),
        ('bitflags="2"', ("bitflags", "2")),
        ("bitflags==2.4.1", ("bitflags", "=2.4.1")),
        ("a=1,features=x+y", ("a", {"version": "1", "features": ["x", "y"]})),
        (
            "a=1,default-features=false,features=x",
            ("a", {"version": "1", "default-features": False, "features": ["x"]}),
        ),
    ],
)
def test_what_dep_takes(text: str, expected: object) -> None:
    assert parse_dependency(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bitflags",
        "bitflags=",
        "=2",
        "bit flags=2",
        "../evil=1",
        "a=1,path=/etc",
        "a=1,features",
        "a=1,features=x y",
        "a=1,default-features=maybe",
        'a=1"\n[package]',
        "windows-kernel-rs=1",
    ],
)
def test_what_dep_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_dependency(text)


CELL = """
---
[dependencies]
bitflags = "2"
heapless = { version = "0.8", features = ["mpmc_large"] }
---
use bitflags::bitflags;
"""


def test_front_matter_is_taken_off_and_lines_stay() -> None:
    source, found = split_dependencies(CELL)
    assert found == {
        "bitflags": "2",
        "heapless": {"version": "0.8", "features": ["mpmc_large"]},
    }
    assert source == "\n\n\n\n\n\nuse bitflags::bitflags;\n"
    assert source.count("\n") == CELL.count("\n")


def test_windows_line_ends_stay() -> None:
    text = "---\r\n[dependencies]\r\na = '1'\r\n---\r\nfn x() {}\r\n"
    assert split_dependencies(text) == ("\r\n\r\n\r\n\r\nfn x() {}\r\n", {"a": "1"})


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "fn x() {}", "// ---\n", "--x;", "fn x() {}\n---\n[dependencies]\n---\n", "-- -"],
)
def test_without_front_matter_nothing_changes(text: str) -> None:
    assert split_dependencies(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("---\n[dependencies]\n", "not closed"),
        ("---\nnot toml\n---\n", "TOML"),
        ("---\n[package]\nname='x'\n---\n", "package"),
        ("---\ndependencies = 3\n---\n", "only"),
        ("---\n[dependencies]\na = 3\n---\n", "neither"),
        ("---\n[dependencies]\na = { path = '/' }\n---\n", "path"),
        ("---\n[dependencies]\na = { git = 'https://x' }\n---\n", "git"),
        ("---\n[dependencies]\na = { features = ['x'] }\n---\n", "version"),
        ("---\n[dependencies]\na = { version = '1', features = 'x' }\n---\n", "list"),
        ("---\n[dependencies]\na = { version = '1', package = '../x' }\n---\n", "name"),
    ],
)
def test_front_matter_that_cannot_be_used(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        split_dependencies(text)
