//! The log crate's levels in the debug output.
#![forbid(unsafe_code)]
use log::{LevelFilter, debug, error, info, trace, warn};
use windows_kernel_rs::logging;
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::print::{Level, print_at};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        error!("before: nobody hears this");
        logging::init(LevelFilter::Debug)?;
        println!("again: {:?}", logging::init(LevelFilter::Off));
        error!("100% {}", "wrong");
        warn!(target: "wire", "odd");
        info!("fine");
        debug!("detail");
        trace!("too much");
        print_at(Level::Warning, format_args!("{}\n", 7));
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {
        info!("bye");
    }
}

kernel_module!(Module);
