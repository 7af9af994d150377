//! Only what the registry has types for is read and written.
#![forbid(unsafe_code)]
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::registry::Key;

fn read(key: &Key) -> Result<f64> {
    key.get("Ratio") //~ E0277
}
