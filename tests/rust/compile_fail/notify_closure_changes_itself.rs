//! It may run several times at once, so it changes nothing that it owns without a lock.
#![forbid(unsafe_code)]
use windows_kernel_rs::notify::ImageNotify;
use windows_kernel_rs::prelude::*;

fn count() -> Result<ImageNotify> {
    let mut count = 0;
    ImageNotify::try_new(move |_| count += 1) //~ E0594
}
