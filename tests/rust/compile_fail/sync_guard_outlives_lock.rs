//! A lock is not dropped while it is held.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::sync::{FastMutex, FastMutexGuard};

pub fn leak<'a>() -> Result<FastMutexGuard<'a, u32>> {
    let lock = FastMutex::try_new(0u32)?;
    Ok(lock.lock()) //~ E0515
}
