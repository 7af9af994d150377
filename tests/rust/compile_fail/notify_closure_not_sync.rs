//! Notifications come on several threads at the same time.
#![forbid(unsafe_code)]
use core::cell::Cell;
use windows_kernel_rs::notify::ThreadNotify;
use windows_kernel_rs::prelude::*;

fn count() -> Result<ThreadNotify> {
    let count = Cell::new(0);
    ThreadNotify::try_new(move |_| count.set(count.get() + 1)) //~ E0277
}
