//! What raised the IRQL or turned APCs off restores it on the same thread.
#![forbid(unsafe_code)]
use windows_kernel_rs::sync::{FastMutex, Mutex, Resource, RwLock, RwSpinLock, SpinLock};

fn send<T: Send>(_: T) {}

pub fn spin(lock: &SpinLock<u32>) {
    send(lock.lock()); //~ E0277
}

pub fn mutex(lock: &Mutex<u32>) {
    send(lock.lock()); //~ E0277
}

pub fn fast(lock: &FastMutex<u32>) {
    send(lock.lock()); //~ E0277
}

pub fn readers(lock: &RwLock<u32>, resource: &Resource<u32>) {
    send(lock.read()); //~ E0277
    send(lock.write()); //~ E0277
    send(resource.read()); //~ E0277
    send(resource.write()); //~ E0277
}

pub fn spinning_readers(lock: &RwSpinLock<u32>) {
    send(lock.read()); //~ E0277
    send(lock.write()); //~ E0277
}
