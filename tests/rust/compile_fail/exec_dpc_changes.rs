//! A DPC may run on two processors at once: it changes nothing that it owns. A work item may.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::{Dpc, Timer, WorkItem};

pub fn counts() -> Result<()> {
    let mut runs = 0;
    let dpc = Dpc::try_new(move |_| runs += 1)?; //~ E0594
    dpc.queue();
    drop(Timer::try_new(move |_| runs += 1)?); //~ E0594
    drop(WorkItem::try_new(move || runs += 1)?);
    Ok(())
}
