//! What is shared is not changed without a lock.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::mem::arc::Arc;

pub fn change() -> Result<()> {
    let shared = Arc::try_new([0u8; 4])?;
    shared[0] = 1; //~ E0594
    Ok(())
}
