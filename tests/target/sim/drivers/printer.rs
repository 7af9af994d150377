//! Prints what is written to it: `N TEXT` is TEXT N times, with a number.
#![forbid(unsafe_code)]

use windows_kernel_rs::io::{Device, DeviceOptions, Open, Operations, Request, Write};
use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::print::{Level, print_at};

struct Printer;

impl Operations for Printer {
    type Handle = ();

    fn create(&self, _: &Open<'_>) -> Result<()> {
        Ok(())
    }

    fn write(&self, _: &(), request: Request<Write>) {
        request.complete_by(|request| {
            let data = request.input()?.to_vec()?;
            let text = core::str::from_utf8(&data).map_err(|_| Error::INVALID_PARAMETER)?;
            let (count, text) = text.split_once(' ').ok_or(Error::INVALID_PARAMETER)?;
            for number in 0..count.parse().unwrap_or(0) {
                match text {
                    "high" => {
                        let _raised = irql::raise(Irql::from_raw(13));
                        print_at(Level::Warning, format_args!("high {number}\n"));
                    }
                    _ => println!("{text} {number}"),
                }
            }
            Ok(data.len())
        });
    }
}

struct Module {
    _device: Device<Printer>,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        println!("printer starts");
        Ok(Module { _device: Device::try_new(&driver, &DeviceOptions::named("Printer"), Printer)? })
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
