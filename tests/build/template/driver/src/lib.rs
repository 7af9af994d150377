#![no_std]
#![no_main]
use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> { println!("hello from {}", "the kernel"); Ok(Module) }
    fn cleanup(&mut self, _: Driver) { println!("bye"); }
}

kernel_module!(Module);
