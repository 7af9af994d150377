//! A registration that nobody keeps ends at once.
#![forbid(unsafe_code)]
#![deny(unused_must_use)]
use windows_kernel_rs::notify::ThreadNotify;
use windows_kernel_rs::prelude::*;

fn watch() -> Result<()> {
    ThreadNotify::try_new(|event| println!("{event:?}"))?; //~ unused_must_use
    Ok(())
}
