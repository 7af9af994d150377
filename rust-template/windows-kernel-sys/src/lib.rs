//! Raw bindings to the Windows kernel for x86-64 drivers.
//!
//! - [`base`]: types and constants, generated from Microsoft's metadata;
//! - [`ntoskrnl`]: functions, generated too, each imported from the module that exports it in
//!   kernel mode: no import library and no WDK is needed to link;
//! - [`inline`]: what the metadata lacks, by hand: inline functions, macros, exported variables.
//!
//! Linking this crate also brings what the compiler expects of a C library: memory routines and
//! the like, for what nothing else defines.
//!
//! Names, parameters and rules (which IRQL, who frees) are those of the WDK's documentation.
//! Nothing here is safe to call but a few constant functions.

#![no_std]

#[cfg(test)]
extern crate std;

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
#[rustfmt::skip]
pub mod base;

pub mod inline;

#[cfg(any(all(windows, not(test)), all(test, target_arch = "x86_64")))]
mod memory;

#[allow(missing_docs, non_snake_case, clippy::all)]
#[rustfmt::skip]
pub mod ntoskrnl;

#[cfg(all(windows, not(test)))]
mod runtime;

pub use base::*;
pub use inline::*;
pub use ntoskrnl::*;
