//! A handle's state is used and dropped on any thread.
#![forbid(unsafe_code)]
extern crate alloc;
use alloc::rc::Rc;
use windows_kernel_rs::Result;
use windows_kernel_rs::io::{Open, Operations};

pub struct Local;

impl Operations for Local {
    type Handle = Rc<u32>; //~ E0277

    fn create(&self, _: &Open<'_>) -> Result<Rc<u32>> {
        Ok(Rc::new(0))
    }
}
