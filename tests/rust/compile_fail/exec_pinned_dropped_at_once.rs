//! A guard that is not kept ends at once.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::{Processor, thread};

pub fn at_once() -> Result<()> {
    Processor::current().pin(); //~ unused_must_use
    thread::try_spawn(|| ())?; //~ unused_must_use
    Ok(())
}
