//! A deleted key is gone.
#![forbid(unsafe_code)]
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::registry::Key;

fn delete(key: Key) -> Result<()> {
    key.delete()?;
    key.set("Depth", &1_u32) //~ E0382
}
