"""Attributes are found where they are, and not in comments and strings."""

from __future__ import annotations

import pytest

from kernellab.crate.rust_source import (
    Impl,
    crate_attributes,
    crates_named,
    impl_blocks,
    tokens,
    words,
)


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
    assert impl_blocks("impl A { " * 30_000) == []
    assert impl_blocks("unsafe impl < " * 30_000) == []


SOURCE = """
impl KernelModule for Module {
    fn init() -> impl Sized { if true { 1 } else { 2 } } // impl X for Y {
}
#[cfg(any())]
unsafe impl<'a, T: Into<u8>, const N: usize> Send for Buffer<'a, T, N> where T: Copy {}
impl Module { fn f(x: impl Fn(), y: &impl Fn()) { struct I; impl Drop for I {
    fn drop(&mut self) {} } } }
impl<F> Call for F where F: for<'a> Fn(&'a u8) -> u8 {}
impl From<for<'a> fn(&'a u8)> for Module {}
mod deep { impl super::Module { } }
"""


def test_impl_blocks() -> None:
    assert impl_blocks(SOURCE) == [
        Impl(2, 4, "<Module as KernelModule>"),
        Impl(6, 6, "<Buffer<'a, T, N> as Send>"),
        Impl(7, 8, "Module"),
        Impl(7, 8, "<I as Drop>"),
        Impl(9, 9, "<F as Call>"),
        Impl(10, 10, "<Module as From<for<'a>fn(&'a u8)>>"),
        Impl(11, 11, "super::Module"),
    ]


@pytest.mark.parametrize(
    "source", ["impl", "impl {", "impl X", "impl X {", "impl<", "impl X;", "}"]
)
def test_impl_blocks_that_are_not_finished(source: str) -> None:
    assert impl_blocks(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "use log::info;",
        "use log;",
        "use {core::fmt, log::info};",
        "extern crate log;",
        'fn f() { log::info!(""); }',
        "use ::log::info;",
        "type T = <u8 as ::log::Log>::X;",
        "fn f(x: ::log::Level) { }",
    ],
)
def test_crates_are_named_where_paths_begin(source: str) -> None:
    assert "log" in crates_named(source)


@pytest.mark.parametrize(
    "source",
    [
        "// use log::info;",
        'fn f() { println!("log::info") }',
        "fn f() { self.log.push(log) }",
        "use crate::log::Log;",
        "mod log; use log::Log;",
        "fn f() { Vec::<u8>::log::<u8>() }",
    ],
)
def test_other_names_are_no_crates(source: str) -> None:
    assert "log" not in crates_named(source)
