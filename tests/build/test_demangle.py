"""Both manglings; the v0 names are those of the RFC (2603) and of rustc-demangle's tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernellab.build.demangle import demangle


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_ZN4core4hint9black_box17hf03c4b38adb2fc11E", "core::hint::black_box"),
        (
            "_ZN65_$LT$hello..Module$u20$as$u20$windows_kernel_rs..KernelModule$GT$4init17h80cd930dd81957e9E",
            "<hello::Module as windows_kernel_rs::KernelModule>::init",
        ),
        (
            "_ZN50_$LT$$RF$mut$u20$W$u20$as$u20$core..fmt..Write$GT$9write_str17h37240c60a7aba656E",
            "<&mut W as core::fmt::Write>::write_str",
        ),
        (
            "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17hce7c400055e560aaE",
            "core::ptr::drop_in_place<alloc::string::String>",
        ),
        ("_ZN4test7withoutE", "test::without"),
    ],
)
def test_legacy(symbol: str, name: str) -> None:
    assert demangle(symbol) == name


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_RNvC6_123foo3bar", "123foo::bar"),
        ("_RNvNtCs2DxGA1hvVcO_4core6option13unwrap_failed", "core::option::unwrap_failed"),
        (
            "_RNvMsa_NtCs2DxGA1hvVcO_4core3fmtNtB5_9Formatter12pad_integral",
            "<core::fmt::Formatter>::pad_integral",
        ),
        (
            "_RNvXs1i_NtCs2DxGA1hvVcO_4core3fmtReNtB6_7Display3fmtB8_",
            "<&str as core::fmt::Display>::fmt",
        ),
        (
            "_RNvXsi_NtNtNtCs2DxGA1hvVcO_4core3fmt3num3impjNtB9_7Display3fmt",
            "<usize as core::fmt::Display>::fmt",
        ),
        ("_RNvCsfgHYwM92fyn_7___rustc12___rust_alloc", "__rustc::__rust_alloc"),
        ("_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y", ""),
        (
            "_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_",
            "cc::spawn::{closure#0}::{closure#0}",
        ),
        (
            "_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_4iter8iterator8Iterator"
            "9rpositionNCNgNpB9_6memchr7memrchrs_0E0Bb_",
            "<core::slice::Iter<u8> as core::iter::iterator::Iterator>::rposition::"
            "<core::slice::memchr::memrchr::{closure#1}>::{closure#0}",
        ),
        ("_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1i", ""),
        (
            "_RNvMC0INtC8arrayvec8ArrayVechKj7b_E3new",
            "<arrayvec::ArrayVec<u8, 123>>::new",
        ),
        ("_RMCs4fqI2P2rA04_13const_genericINtB0_8UnsignedKhb_E", "<const_generic::Unsigned<11>>"),
        ("_RMCs4fqI2P2rA04_13const_genericINtB0_6SignedKsn98_E", "<const_generic::Signed<-152>>"),
        ("_RMCs4fqI2P2rA04_13const_genericINtB0_4BoolKb1_E", "<const_generic::Bool<true>>"),
        ("_RMCs4fqI2P2rA04_13const_genericINtB0_4CharKc76_E", "<const_generic::Char<'v'>>"),
        ("_RIC0FG_RL1_hEuE", None),
        ("_RMC0FUKCjEyE", None),
        ("_RINvC1a1fFUKC_uEuE", None),
        ("_RINvC1a1fFUKCmEyE", "a::f::<unsafe extern \"C\" fn(u32) -> u64>"),
        ("_RINvC1a1fThxEE", "a::f::<(u8, i64)>"),
        ("_RINvC1a1fThEQmOlPbSeAhj3_E", "a::f::<(u8,), &mut u32, *mut i32, *const bool, [str],"
         " [u8; 3]>"),
        ("_RINvC1a1fDNtC1b1tEL_E", "a::f::<dyn b::t>"),
        ("_RINvC1a1fDNtC1b1tp1xhEL_E", "a::f::<dyn b::t<x = u8>>"),
    ],
)  # fmt: skip
def test_v0(symbol: str, name: str | None) -> None:
    found = demangle(symbol)
    if name:
        assert found == name
    else:  # unusual or cut short: only that it ends, and gives some text
        assert found


@pytest.mark.parametrize(
    "symbol", ["", "DriverEntry", "__chkstk", "_R", "_ZN", "_RB_", "_RNvB_1x", "_ZN999xE"]
)
def test_what_is_no_such_name_stays(symbol: str) -> None:
    assert demangle(symbol) == symbol


@given(st.text(alphabet="_RNvCMXYINsB0123456789abEKphju_", max_size=60))
def test_any_text_gives_some_text(text: str) -> None:
    assert isinstance(demangle("_R" + text), str)


def test_a_name_that_grows_without_end_stays_as_it_is() -> None:
    # Each level refers twice to the one before: 2**60 characters if it were written out.
    symbol = "_RINvC1a1f" + "T" * 60 + "u" + "".join("B9_E" for _ in range(60)) + "E"
    assert len(demangle(symbol)) < 100_000
