//! What the compiler and the linker expect of a driver.
//!
//! Rust's own library for Windows (as `rustup target add` brings it) leaves the memory routines
//! to a C library, and its unwind tables name the C++ exception handler. Here the linker is
//! offered ours, by `/ALTERNATENAME`: it takes them only for what nothing else defines. A library
//! built with memory routines of its own keeps those, and so does a driver.

use core::arch::global_asm;

use crate::memory;

/// What makes the linker read this module's object file, and with it the offers below: they must
/// stay in one module. It costs every driver this byte.
#[used]
static ANCHOR: u8 = 0;

/// `offer!(name => function)`. In assembly, since what Rust names `no_mangle` a driver exports;
/// in a section of its own, which the linker leaves out where nobody calls it.
macro_rules! offer {
    ($name:literal => $function:path) => {
        global_asm!(
            ".section .drectve, \"yni\"",
            concat!(".ascii \" /ALTERNATENAME:", $name, "=kernel_", $name, "\""),
            concat!(".section .text, \"xr\", one_only, kernel_", $name),
            concat!(".globl kernel_", $name),
            concat!("kernel_", $name, ": jmp {}"),
            ".text",
            sym $function,
        );
    };
}

offer!("memcpy" => memory::memcpy);
offer!("memmove" => memory::memmove);
offer!("memset" => memory::memset);
offer!("memcmp" => memory::memcmp);
offer!("strlen" => memory::strlen);
offer!("__CxxFrameHandler3" => continue_search);
// A mark, which the compiler names wherever floating point is used: nobody calls or reads it.
offer!("_fltused" => continue_search);

/// The exception handler of `alloc`'s functions, which are compiled to unwind: a driver's panics
/// do not, and for anything else this is `ExceptionContinueSearch`, "not mine".
extern "C" fn continue_search() -> i32 {
    1
}
