//! A device is deleted with its owner: a reference to it does not leave the driver's `init`.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Device, DeviceOptions, Open, Operations};
use windows_kernel_rs::{Driver, KernelModule, Result, kernel_module};

struct Null;

impl Operations for Null {
    type Handle = ();

    fn create(&self, _: &Open<'_>) -> Result<()> {
        Ok(())
    }
}

struct Module {
    device: &'static Device<Null>,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        let device = Device::try_new(&driver, &DeviceOptions::named("Null"), Null)?;
        Ok(Module { device: &device }) //~ E0597
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
