//! A view of a string ends with the string.
#![forbid(unsafe_code)]
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::string::{UnicodeStr, UnicodeString};

fn name() -> Result<&'static UnicodeStr> {
    let owned = UnicodeString::try_new(&["name"])?;
    Ok(&*owned) //~ E0515
}
