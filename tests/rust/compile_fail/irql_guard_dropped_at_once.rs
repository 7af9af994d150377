//! A guard that is not kept guards nothing.
#![forbid(unsafe_code)]
use windows_kernel_rs::irql::{self, Irql};

pub fn nothing() {
    irql::raise(Irql::DISPATCH); //~ unused_must_use
}
