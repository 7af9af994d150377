//! The functions of a device get shared references: they lock what they change.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::io::{Open, Operations};

pub struct Counter(u32);

impl Operations for Counter {
    type Handle = ();

    fn create(&self, _: &Open<'_>) -> Result<()> {
        self.0 += 1; //~ E0594
        Ok(())
    }
}
