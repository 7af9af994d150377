//! Instructions of x86-64 processors, for what the language has no word for.
//!
//! What can do harm is `unsafe` and says why; what only privileged code can do and nobody needs in
//! a driver (`hlt`, `cli`) is not here.
//!
//! ```no_run
//! use windows_kernel_rs::cpu;
//! let before = cpu::timestamp();
//! let cycles = cpu::timestamp() - before;
//! let vendor = cpu::identify(0, 0);
//! # let _ = (cycles, vendor);
//! ```

use core::arch::asm;

use windows_kernel_sys::DbgBreakPoint;

/// What [`identify`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// The processor's time stamp counter (`rdtsc`). Neither ordered with what stands before and
/// behind it, nor a measure of time by itself: see [`crate::time::Counter`]. IRQL: any.
#[inline]
#[must_use]
pub fn timestamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: every x86-64 processor has it, and it changes these registers only.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// What the processor says of itself (`cpuid`). IRQL: any.
#[inline]
#[must_use]
pub fn identify(leaf: u32, subleaf: u32) -> Identity {
    let (eax, ebx, ecx, edx): (u32, u64, u32, u32);
    // SAFETY: every x86-64 processor has it. RBX is the compiler's own, so it is put back.
    unsafe {
        asm!(
            "mov {kept}, rbx",
            "cpuid",
            "xchg {kept}, rbx",
            kept = out(reg) ebx,
            inout("eax") leaf => eax,
            inout("ecx") subleaf => ecx,
            out("edx") edx,
            options(nomem, nostack, preserves_flags)
        );
    }
    Identity { eax, ebx: ebx as u32, ecx, edx }
}

/// Lets a loop that waits for another processor rest for a moment (`pause`). IRQL: any.
#[inline]
pub fn pause() {
    core::hint::spin_loop();
}

/// Reads a model-specific register (`rdmsr`). IRQL: any.
///
/// # Safety
/// This processor has the register: reading another one is an exception that stops the machine.
#[inline]
#[must_use]
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register (`wrmsr`). IRQL: any.
///
/// # Safety
/// This processor has the register and takes the value, and nothing that Windows or this program
/// relies on changes by it: some registers say where the kernel is entered.
#[inline]
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

/// Stops in the debugger. Without one the machine stops with a bug check. IRQL: any. WDK:
/// "DbgBreakPoint function (wdm.h)".
#[inline]
pub fn breakpoint() {
    // SAFETY: it has no precondition.
    unsafe { DbgBreakPoint() };
}
