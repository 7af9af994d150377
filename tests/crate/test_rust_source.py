"""Attributes are found where they are, and not in comments and strings."""

from __future__ import annotations

import pytest

from kernellab.crate.rust_source import crate_attributes, tokens, words


@pytest.mark.parametrize(
    "source",
    [
        "#![no_std]",
        "\n\n  #! [ no_std ]\nfn x() {}",
        "// first\n/* and /* nested */ */\n//! docs\n#![no_std]",
        "#![no_main]\n#![no_std]\n",
        "#![cfg_attr(not(test), no_std)]",
        '#![doc = "]"]\n#![no_std]',
        "#![allow(a, b[c])] #![no_std]",
        '#![doc = r#"a "]" b"#]#![no_std]',
    ],
)
def test_no_std_is_found(source: str) -> None:
    assert "no_std" in crate_attributes(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "// #![no_std]",
        "/* #![no_std] */",
        "/* /* */ #![no_std] */ fn x() {}",
        "//! #![no_std]",
        'const S: &str = "#![no_std]";',
        'const S: &str = r##"\n"#\n#![no_std]"##;',
        "fn x() {}\n#![no_std]",
        "#[no_std] fn x() {}",
        '#![doc = "no_std"]',
        "#![allow(dead_code)]\nuse core::x;",
        "/* never closed #![no_std]",
        '"never closed #![no_std]',
    ],
)
def test_no_std_is_not_found(source: str) -> None:
    assert "no_std" not in crate_attributes(source)


def test_characters_and_lifetimes_are_told_apart() -> None:
    found = list(tokens(r"""fn f<'a>(x: &'a u8) { let q = '"'; let e = '\''; let b = b'\x7f'; }"""))
    assert ("lifetime", "'a") in found
    assert [text for kind, text in found if kind == "char"] == ["'\"'", r"'\''", r"b'\x7f'"]


def test_words_leave_out_comments_and_literals() -> None:
    source = 'use a::b; // panic_handler\nlet x = "panic_handler"; /* panic_handler */ r#type'
    assert words(source) == {"use", "a", "b", "let", "x", "r#type"}


def test_a_large_source_takes_no_time() -> None:
    source = "/* " * 50_000 + "'" * 50_000 + '"' * 50_001
    assert "no_std" not in crate_attributes(source)
    assert words("x '" * 100_000) == {"x"}
