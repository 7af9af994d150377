//! A thread's value is given back once.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::{Worker, thread};
use windows_kernel_rs::sync::Waitable;

pub fn joins() -> Result<(u8, u8)> {
    let thread = thread::try_spawn(|| 1)?;
    Ok((thread.join()?, thread.join()?)) //~ E0382
}

pub fn joins_inside() -> Result<()> {
    let worker = Worker::try_spawn(|stop| stop.wait())?;
    worker.join() //~ E0507
}
