//! Several readers share the value, so it has to be `Sync`.
#![forbid(unsafe_code)]
use core::cell::Cell;
use windows_kernel_rs::sync::{LazyLock, Resource, RwLock};

fn share<T: Sync>(_: &T) {}

pub static LIMITS: RwLock<Cell<u32>> = RwLock::new(Cell::new(0)); //~ E0277
pub static LAZY: LazyLock<Cell<u32>> = LazyLock::new(|| Cell::new(0)); //~ E0277

pub fn resource(resource: &Resource<Cell<u32>>) {
    share(resource); //~ E0277
}
