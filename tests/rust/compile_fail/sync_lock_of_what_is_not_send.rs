//! A lock moves its value between threads.
#![forbid(unsafe_code)]
extern crate alloc;
use alloc::rc::Rc;
use windows_kernel_rs::sync::{FastMutex, Mutex, OnceLock, SpinLock, Stack};

fn share<T: Sync>(_: &T) {}

pub fn locks(spin: &SpinLock<Rc<u32>>, mutex: &Mutex<Rc<u32>>, fast: &FastMutex<Rc<u32>>) {
    share(spin); //~ E0277
    share(mutex); //~ E0277
    share(fast); //~ E0277
}

pub fn stack(stack: &Stack<Rc<u32>>) {
    share(stack); //~ E0277
}

pub static ONCE: OnceLock<Rc<u32>> = OnceLock::new(); //~ E0277
