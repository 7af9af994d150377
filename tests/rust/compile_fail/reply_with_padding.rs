//! A reply has no padding: its bytes would show what was in the kernel's memory before.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Ioctl, Request};
use zerocopy::{Immutable, IntoBytes};

#[derive(IntoBytes, Immutable)] //~ E0277
#[repr(C)]
pub struct Padded {
    small: u8,
    large: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Unchecked {
    small: u8,
    large: u32,
}

pub fn reply(request: Request<Ioctl>) {
    request.reply(&Unchecked { small: 1, large: 2 }); //~ E0277
}
