//! The proof of DISPATCH_LEVEL ends with what raised the IRQL.
#![forbid(unsafe_code)]
use windows_kernel_rs::irql::{self, AtDispatch, Irql};

pub fn leak<'a>() -> Option<AtDispatch<'a>> {
    let raised = irql::raise(Irql::DISPATCH);
    raised.at_dispatch() //~ E0515
}
