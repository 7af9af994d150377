//! Only the thread that was pinned is let go again.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::{Processor, thread};

pub fn sends() -> Result<()> {
    let here = Processor::current().pin();
    thread::try_spawn(move || drop(here))?.join() //~ E0277
}
