//! What runs elsewhere owns only what may go there.
#![forbid(unsafe_code)]
extern crate alloc;
use alloc::rc::Rc;
use core::cell::Cell;
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::{Dpc, JoinHandle, Timer, WorkItem, Worker, thread};
use windows_kernel_rs::mem::arc::Arc;

pub fn to_a_thread(shared: Rc<u32>) -> Result<JoinHandle<u32>> {
    thread::try_spawn(move || *shared) //~ E0277
}

pub fn to_a_worker(shared: Rc<u32>) -> Result<Worker<u32>> {
    Worker::try_spawn(move |_| *shared) //~ E0277
}

pub fn to_a_work_item(shared: Rc<Cell<u32>>) -> Result<WorkItem> {
    WorkItem::try_new(move || shared.set(1)) //~ E0277
}

pub fn back_from_a_thread() -> Result<JoinHandle<Rc<u32>>> {
    thread::try_spawn(|| Rc::new(1)) //~ E0277
}

/// A DPC may run on two processors at once, and so uses what it owns from both.
pub fn to_a_dpc(count: Cell<u32>) -> Result<Dpc> {
    Dpc::try_new(move |_| count.set(1)) //~ E0277
}

pub fn to_a_timer(count: Arc<Cell<u32>>) -> Result<Timer> {
    Timer::try_new(move |_| count.set(1)) //~ E0277
}
