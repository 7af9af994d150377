//! A control code's parts are checked when the driver is built.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Access, IoctlCode};

pub const CODE: IoctlCode = IoctlCode::buffered(0x22, 0x1000, Access::Any); //~ E0080
