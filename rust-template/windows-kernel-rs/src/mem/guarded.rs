//! A copy that a bad address ends with an error rather than a bug check.
//!
//! Windows raises an exception in the driver where user memory cannot be read or written. Rust has no
//! `__try`, but its unwind data is the compiler's own: a routine in assembly can have the scope
//! table that C's compiler writes. WDK: "Handling Exceptions"; Microsoft Learn: "x64 exception
//! handling", "Language-specific handler".

use crate::error::{Error, Result};

#[cfg(all(windows, target_arch = "x86_64", not(test)))]
mod routine {
    use windows_kernel_sys::__C_specific_handler;

    unsafe extern "system" {
        /// Copies `size` bytes; the exception's code, or 0.
        pub fn kernellab_copy_guarded(to: *mut u8, from: *const u8, size: usize) -> i32;
    }

    // A section that the linker leaves out where nobody calls the routine, and its unwind data and
    // the import with it. The filter 1 stands for EXCEPTION_EXECUTE_HANDLER; the handler enters with
    // the exception's code in eax.
    core::arch::global_asm!(
        ".section .text$kernellab_copy_guarded,\"xr\",discard,kernellab_copy_guarded",
        ".globl kernellab_copy_guarded",
        ".p2align 4",
        ".def kernellab_copy_guarded",
        ".scl 2",
        ".type 32",
        ".endef",
        "kernellab_copy_guarded:",
        ".seh_proc kernellab_copy_guarded",
        "push rsi",
        ".seh_pushreg rsi",
        "push rdi",
        ".seh_pushreg rdi",
        "sub rsp, 40",
        ".seh_stackalloc 40",
        ".seh_endprologue",
        "mov rdi, rcx",
        "mov rsi, rdx",
        "mov rcx, r8",
        ".Lkernellab_guarded_begin:",
        "rep movsb",
        ".Lkernellab_guarded_end:",
        "xor eax, eax",
        ".Lkernellab_guarded_handler:",
        "add rsp, 40",
        "pop rdi",
        "pop rsi",
        "ret",
        ".seh_handler {handler}, @except",
        ".seh_handlerdata",
        ".long 1",
        ".long .Lkernellab_guarded_begin@IMGREL",
        ".long .Lkernellab_guarded_end@IMGREL",
        ".long 1",
        ".long .Lkernellab_guarded_handler@IMGREL",
        ".section .text$kernellab_copy_guarded,\"xr\",discard,kernellab_copy_guarded",
        ".seh_endproc",
        ".text",
        handler = sym __C_specific_handler,
    );
}

#[cfg(not(all(windows, target_arch = "x86_64", not(test))))]
mod routine {
    /// Without the kernel, addresses are the test's own.
    pub unsafe fn kernellab_copy_guarded(to: *mut u8, from: *const u8, size: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { crate::mem::copy::copy_shared(from, to, size) };
        0
    }
}

/// Copies `size` bytes, one side of which is user memory.
///
/// IRQL <= APC: above, Windows raises no exception but stops.
///
/// # Safety
/// One side is Rust's own memory, valid for the copy; the other lies in the user half of the
/// address space as a whole.
///
/// # Errors
/// The exception's code, [`Error::ACCESS_VIOLATION`] mostly; part of the bytes may have been copied.
pub(crate) unsafe fn copy_guarded(from: *const u8, to: *mut u8, size: usize) -> Result<()> {
    // SAFETY: the caller's promise; what user memory is not there raises an exception, which the
    // routine's handler takes.
    match unsafe { routine::kernellab_copy_guarded(to, from, size) } {
        0 => Ok(()),
        code => Err(Error::from_kernel_errno(code)),
    }
}
