//! What most drivers use: `use windows_kernel_rs::prelude::*;`.

pub use crate::mem::{StringExt, VecExt};
pub use crate::{
    Driver, Error, KernelModule, Result, check, dbg, eprint, eprintln, kernel_module, print,
    println, try_format,
};
pub use alloc::{
    borrow::ToOwned,
    boxed::Box,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
