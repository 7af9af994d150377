//! Requests come from the I/O manager only.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Read, Request};

pub fn make() -> Request<Read> {
    Request { irp: core::ptr::NonNull::dangling(), kind: core::marker::PhantomData } //~ E0451
}
