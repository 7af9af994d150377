//! Requests come from many threads at once: what they share has to be `Sync`.
#![forbid(unsafe_code)]
use core::cell::Cell;
use windows_kernel_rs::Result;
use windows_kernel_rs::io::{Open, Operations};

pub struct Counter(Cell<u32>);

impl Operations for Counter { //~ E0277
    type Handle = ();

    fn create(&self, _: &Open<'_>) -> Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}
