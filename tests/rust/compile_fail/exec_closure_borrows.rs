//! What runs elsewhere outlives the function that started it.
#![forbid(unsafe_code)]
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::{Dpc, Timer, WorkItem, thread};

pub fn lends() -> Result<()> {
    let count = AtomicU32::new(0);
    let dpc = Dpc::try_new(|_| drop(count.fetch_add(1, Relaxed)))?; //~ E0373
    dpc.queue();
    let timer = Timer::try_new(|_| drop(count.fetch_add(1, Relaxed)))?; //~ E0373
    drop(timer);
    let work = WorkItem::try_new(|| drop(count.fetch_add(1, Relaxed)))?; //~ E0373
    work.queue();
    thread::try_spawn(|| count.load(Relaxed))?.join()?; //~ E0373
    Ok(())
}

pub fn lent(name: &str) -> Result<()> {
    drop(thread::try_spawn(move || name.len())?); //~ E0521
    Ok(())
}
