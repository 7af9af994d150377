//! The exception handler that Rust's own Windows library names in its unwind tables.
//!
//! That library is compiled to unwind; a driver aborts on panic, so nothing ever calls it. Linked
//! only where nothing else defines it.
#![no_std]

/// Says "not mine" to whoever should ask: `ExceptionContinueSearch`.
#[unsafe(no_mangle)]
pub extern "C" fn __CxxFrameHandler3() -> i32 {
    1
}
