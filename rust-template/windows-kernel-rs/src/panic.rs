//! Panics: printed, then a bug check.
//!
//! WDK: "KeBugCheckEx function (wdm.h)", "Bug Check 0xE2: MANUALLY_INITIATED_CRASH". A driver
//! cannot unwind and must not go on, and spinning would only hide the cause. The message goes to
//! the debug output first, then the machine stops with
//!
//! | | |
//! |---|---|
//! | code | [`BUGCHECK`], `MANUALLY_INITIATED_CRASH` |
//! | parameter 1 | [`SIGNATURE`], the letters `RUST` |
//! | parameter 2 | address of the source file's name (not ended by NUL) |
//! | parameter 3 | its length in bytes |
//! | parameter 4 | line in the low, column in the high 32 bits |

use windows_kernel_sys::MANUALLY_INITIATED_CRASH;

/// The bug check code of a Rust panic.
pub const BUGCHECK: u32 = MANUALLY_INITIATED_CRASH;

/// Parameter 1 of the bug check, which tells a Rust panic from a crash started by hand.
pub const SIGNATURE: usize = 0x5255_5354;

#[cfg(all(windows, not(test)))]
mod handler {
    use core::panic::PanicInfo;
    use core::sync::atomic::{AtomicBool, Ordering};

    use windows_kernel_sys::KeBugCheckEx;

    use super::{BUGCHECK, SIGNATURE};

    static PANICKING: AtomicBool = AtomicBool::new(false);

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        let (file, line, column) =
            info.location().map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
        // A second panic comes from printing the first: its message is not tried again.
        if PANICKING.swap(true, Ordering::Relaxed) {
            crate::print!("panicked again at {file}:{line}:{column}\n");
        } else {
            crate::println!("panicked at {file}:{line}:{column}: {}", info.message());
        }
        let place = line as usize | (column as usize) << 32;
        // SAFETY: it may be called at any IRQL, and does not return.
        unsafe { KeBugCheckEx(BUGCHECK, SIGNATURE, file.as_ptr() as usize, file.len(), place) };
        // The bindings do not say that it never returns.
        loop {
            core::hint::spin_loop();
        }
    }
}
