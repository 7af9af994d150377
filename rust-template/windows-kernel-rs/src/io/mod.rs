//! Devices and the requests that programs send them.
//!
//! A [`Device`] has a name that programs open, and [`Operations`] that answer: they take shared
//! references, since requests come from many threads at once, and own each
//! [`Request`] until it is completed. What cannot be answered yet goes into a [`Queue`], from
//! which a program can cancel it.

pub mod buffer;
pub mod device;
mod dispatch;
pub mod ioctl;
pub mod queue;
pub mod request;
#[cfg(feature = "zerocopy")]
mod typed;
mod user;

pub use buffer::{Input, Output};
pub use device::{Device, DeviceOptions, Open, Operations, Transfer};
pub use ioctl::{Access, IoctlCode, Method, Route};
pub use queue::{File, Queue};
pub use request::{Flush, Ioctl, Read, Request, Write};
