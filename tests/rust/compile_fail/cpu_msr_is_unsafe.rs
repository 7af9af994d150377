//! A model-specific register can say where the kernel is entered.
#![deny(unused_unsafe)]
use windows_kernel_rs::cpu;

pub fn entry() -> u64 {
    cpu::read_msr(0xC000_0082) //~ E0133
}
