//! The closure lives as long as it is registered, longer than what a function borrows.
#![forbid(unsafe_code)]
use windows_kernel_rs::notify::{ThreadEvent, ThreadNotify};
use windows_kernel_rs::prelude::*;

fn watch(name: &str) -> Result<ThreadNotify> {
    let show = move |_: &ThreadEvent| println!("{name}");
    ThreadNotify::try_new(show) //~ "borrowed data escapes outside of function"
}
