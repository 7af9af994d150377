//! Safe Rust for Windows kernel drivers.
//!
//! A driver is a type that implements [`KernelModule`], named to [`kernel_module!`]:
//!
//! ```no_run
//! use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};
//!
//! struct Module;
//!
//! impl KernelModule for Module {
//!     fn init(_: Driver, _: &str) -> Result<Self, Error> {
//!         println!("Hello, world!");
//!         Ok(Module)
//!     }
//!     fn cleanup(&mut self, _: Driver) {
//!         println!("Bye bye!");
//!     }
//! }
//!
//! kernel_module!(Module);
//! ```
//!
//! Linking this crate also brings what every Rust driver needs: a global allocator on the
//! nonpaged pool ([`pool`]), a panic handler that prints and then bug-checks ([`mod@panic`]), and
//! with [`sys`] the routines that the compiler calls. A driver may define `DriverEntry` itself and use only that.
//!
//! | for | see |
//! |---|---|
//! | devices and requests | [`io`] |
//! | locks, events, what is made once | [`sync`], [`irql`] |
//! | memory | [`mem`], [`pool`] |
//! | strings of the kernel | [`string`](mod@string), [`u16str!`] |
//! | registry, files | [`registry`], [`fs`] |
//! | processes; being told of what happens, and refusing it | [`process`], [`notify`] |
//! | time, the version of Windows, the processor | [`time`], [`version`], [`cpu`] |
//! | printing; the `log` crate | [`mod@print`], `logging` (feature `log`) |
//! | statuses and errors | [`error`] |
//!
//! # What is not here
//!
//! [`sys`] has the kernel's own routines, structures and constants by the names of the WDK, all of
//! them `unsafe`. Types here lead there and back: `as_raw` lends what a value owns to a routine,
//! `from_raw` makes a value own what a routine gave, [`check`] turns a status into a [`Result`].
//! What the WDK asks of the caller (IRQL, who frees, what must not be paged) is then up to the
//! driver, in as few lines as possible:
//!
//! ```no_run
//! use windows_kernel_rs::process::Process;
//! use windows_kernel_rs::sys;
//!
//! /// A number that no other process of this boot gets. IRQL: any.
//! fn start_key(process: &Process) -> u64 {
//!     // SAFETY: `process` keeps its object during the call.
//!     unsafe { sys::PsGetProcessStartKey(process.as_raw()) }
//! }
//! ```

#![no_std]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks, missing_docs)]

// Drivers name collections as `alloc::…` by `extern crate alloc`; here for the prelude.
#[doc(hidden)]
pub extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(target_arch = "x86_64")]
pub mod cpu;
pub mod error;
pub mod exec;
pub mod fs;
pub mod io;
pub mod irql;
#[cfg(feature = "log")]
pub mod logging;
pub mod mem;
pub mod module;
pub mod notify;
pub mod ob;
pub mod panic;
pub mod pool;
pub mod prelude;
pub mod print;
pub mod process;
pub mod registry;
pub mod string;
pub mod sync;
pub mod testing;
pub mod time;
pub mod version;

pub use error::{Error, Result, check};
pub use module::{Driver, KernelModule};
pub use windows_kernel_sys as sys;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::mem::collections::try_format;
    pub use crate::module::{Slot, driver_entry, driver_unload};
    pub use crate::print::print;
    pub use core::format_args;
    pub use core::primitive::{str, u16};
}
