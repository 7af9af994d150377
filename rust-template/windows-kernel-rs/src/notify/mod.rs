//! Being told what the system does, and having a say in it.
//!
//! | | what happens | say |
//! |---|---|---|
//! | [`ProcessNotify`] | processes are created and exit | a creation can be refused |
//! | [`ThreadNotify`] | threads are created and exit | |
//! | [`ImageNotify`] | programs, DLLs and drivers are mapped | |
//! | [`RegistryNotify`] | keys and values are about to be used | an operation can be refused |
//! | [`HandleNotify`] | handles of processes and threads are about to be made | rights can be taken away |
//! | [`PrintNotify`] | text goes to the debug output | |
//!
//! Each is a value: making it registers a closure, dropping it unregisters the closure, waits until
//! it runs nowhere any more, and drops what it owns. So keep the value in the module. The closure
//! is called by several threads at the same time, hence `Fn`, `Send` and `Sync`; it must not drop
//! its own registration, which would wait for itself for ever. One that is forgotten
//! ([`core::mem::forget`]) keeps the driver's image in memory until the next boot.
//!
//! Windows limits how many drivers can be told; one driver has [`MAX`] places each for processes,
//! threads, images and prints, whose routines get no context from the kernel.
//!
//! ```no_run
//! use windows_kernel_rs::notify::{ProcessEvent, ProcessNotify};
//! use windows_kernel_rs::{Error, println, u16str};
//!
//! # fn f() -> windows_kernel_rs::Result<()> {
//! let watch = ProcessNotify::try_new(|event| {
//!     match event {
//!         ProcessEvent::Create(new) => {
//!             let name = new.image_name().unwrap_or(u16str!("?"));
//!             println!("{} starts {}", new.parent(), name.display());
//!             if name.ends_with_ignore_case(u16str!("\\evil.exe")) {
//!                 return Err(Error::ACCESS_DENIED);
//!             }
//!         }
//!         ProcessEvent::Exit(gone) => println!("{} is gone", gone.id()),
//!     }
//!     Ok(())
//! })?;
//! # drop(watch); Ok(()) }
//! ```

mod handle;
mod image;
mod print;
mod process;
mod registry;
mod slots;
mod thread;

pub use handle::{HandleNotify, HandleOf, HandleRequest, Handles};
pub use image::{Image, ImageNotify};
pub use print::{DebugPrint, PrintNotify};
pub use process::{NewProcess, ProcessEvent, ProcessNotify};
pub use registry::{KeyPath, RegistryEvent, RegistryKey, RegistryNotify};
pub use slots::MAX;
pub use thread::{ThreadEvent, ThreadNotify};

use alloc::boxed::Box;

use crate::error::Result;
use crate::mem::try_box;

/// A closure behind one thin pointer: `try_box` of a `Box<dyn …>`.
fn thin<C>(callback: C) -> Result<Box<C>> {
    try_box(callback)
}
