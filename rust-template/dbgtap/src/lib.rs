#![no_std]
#![forbid(unsafe_code)]
//! kernellab's capture driver: what all drivers of a machine print, for the guest agent.
//!
//! It prints nothing itself. See `docs/agent.md`, "The capture driver's records".

mod tap;

use tap::{Line, Tap};
use windows_kernel_rs::notify::PrintNotify;
use windows_kernel_rs::{Driver, Error, KernelModule, kernel_module};

struct Module {
    // Dropped in this order: nobody calls the tap any more, then it goes.
    _prints: PrintNotify,
    tap: Tap,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self, Error> {
        let tap = Tap::try_new(&driver, "kernellab-dbgtap")?;
        let lines = tap.lines();
        let prints = PrintNotify::try_new(move |print| {
            lines.add(&Line {
                text: print.text(),
                component: print.component(),
                level: print.level(),
                irql: print.irql(),
                missed: print.missed(),
            });
        })?;
        Ok(Module { _prints: prints, tap })
    }

    fn cleanup(&mut self, _: Driver) {
        self.tap.end();
    }
}

kernel_module!(Module);
