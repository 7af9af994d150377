"""The items in a source, and their places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernellab.editing.source_items import functions, items

SOURCE = """
#![no_std]
use a::{b, c};
const N: usize = { 1 + 1 };
const fn f() -> usize { N }
pub(crate) unsafe extern "C" fn g(x: [u8; 2]) {}
#[derive(Clone)]
pub struct S<T> { x: T }
struct U;
impl<T: Copy> core::fmt::Display for S<T> {
    const K: u8 = 1;
    fn fmt(&self) { let _ = |x: u8| { x }; fn inside() {} }
}
mod m { pub fn h() {} }
trait T { fn t(&self); }
macro_rules! mac { () => { fn no() {} } }
mac!();
const _: () = { fn hidden() {} };
fn last() {}
"""


def test_items_and_their_text() -> None:
    found = {each.path: SOURCE[each.start : each.end] for each in items(SOURCE)}
    assert found["f"] == "const fn f() -> usize { N }"
    assert found["N"] == "const N: usize = { 1 + 1 };"
    assert found["m::h"] == "pub fn h() {}"
    assert found["U"] == "struct U;"
    assert found["mac"] == "mac!();"
    assert "#[derive(Clone)]\npub struct S<T> { x: T }" in [
        SOURCE[each.start : each.end] for each in items(SOURCE) if each.kind == "struct"
    ]


def test_functions_are_found_where_they_are_items() -> None:
    assert functions(SOURCE) == ["f", "g", "S<T>::fmt", "m::h", "T::t", "hidden", "last"]


@given(st.text(alphabet="fn impl{}()[];#!pub<>x:= \n'\"", max_size=80))
def test_any_text_ends(text: str) -> None:
    for each in items(text):
        assert 0 <= each.start < each.end <= len(text)
