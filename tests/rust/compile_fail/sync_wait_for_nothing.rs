//! Waiting for no object, or for what is none, is no wait.
#![forbid(unsafe_code)]
use windows_kernel_rs::sync::{Mutex, wait_any};

pub fn nothing(mutex: &Mutex<u32>) -> usize {
    wait_any([mutex]) //~ E0277
}
