//! The IRQL is the processor's: who raised it restores it, on the same thread.
#![forbid(unsafe_code)]
use windows_kernel_rs::irql::{self, AtDispatch, Irql};

fn send<T: Send>(_: T) {}

pub fn raised() {
    send(irql::raise(Irql::DISPATCH)); //~ E0277
}

pub fn proof(proof: AtDispatch<'_>) {
    send(proof); //~ E0277
}
