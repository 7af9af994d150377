//! Devices and the requests that programs send them.
//!
//! A [`Device`] has a name that programs open, and [`Operations`] that answer: they take shared
//! references, since requests come from many threads at once, and own each
//! [`Request`] until it is completed. What cannot be answered yet goes into a [`Queue`], from
//! which a program can cancel it. A [`FilterDevice`] sits above another device and gets its
//! requests first.

mod below;
pub mod buffer;
pub mod device;
mod dispatch;
pub mod filter;
pub mod ioctl;
pub mod queue;
pub mod request;
mod security;
#[cfg(feature = "zerocopy")]
mod typed;
mod user;

pub use below::Below;
pub use buffer::{Input, Output};
pub use device::{Device, DeviceOptions, Open, Openers, Operations, Transfer};
pub use filter::{Filter, FilterDevice};
pub use ioctl::{Access, IoctlCode, Method, Route};
pub use queue::{File, Queue};
pub use request::{Flush, Ioctl, Read, Request, Write};
