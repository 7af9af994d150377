//! Copies of memory that somebody else may change at the same time.
//!
//! User memory and device memory are not Rust's: another processor can write them while they are
//! read. A Rust reference to them, or an ordinary copy, would be a data race. These copies are one
//! instruction that the compiler knows nothing about.

/// Copies `size` bytes; what another processor writes meanwhile is seen in part or not at all.
///
/// # Safety
/// `from` can be read and `to` be written for `size` bytes at the current IRQL, and they do not
/// overlap. No Rust reference to what is written exists.
pub unsafe fn copy_shared(from: *const u8, to: *mut u8, size: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the caller's promise. The direction flag is clear, as the calling convention has it.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") size => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    for index in 0..size {
        // SAFETY: the caller's promise.
        unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
    }
}
