//! What the metadata lacks, by hand: macros, inline functions, exported variables and the few
//! exported functions it does not list. Each item is named after the WDK's own.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

mod constants;
mod exports;
mod io;
mod ke;
mod list;
mod lookaside;
mod mm;
#[cfg(test)]
mod tests;

pub use constants::*;
pub use exports::*;
pub use io::*;
pub use ke::*;
pub use list::*;
pub use lookaside::*;
pub use mm::*;
