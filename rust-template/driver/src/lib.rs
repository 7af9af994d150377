#![no_std]
#![forbid(unsafe_code)]
//! The smallest driver: says hello when it is loaded and goodbye when it is unloaded.

use windows_kernel_rs::{Driver, Error, KernelModule, kernel_module, println};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, registry_path: &str) -> Result<Self, Error> {
        println!("Hello, world! My key is {registry_path}");
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {
        println!("Bye bye!");
    }
}

kernel_module!(Module);
