#![no_std]
use core::ffi::{c_char, c_void};
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub fn DbgPrintEx(component: u32, level: u32, format: *const c_char, ...) -> i32;
    pub fn ExAllocatePoolWithTag(kind: i32, size: usize, tag: u32) -> *mut c_void;
    pub fn ExFreePoolWithTag(p: *mut c_void, tag: u32);
    pub fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
    // What the compiler calls, where its library does not hold them.
    pub fn memcpy(to: *mut c_void, from: *const c_void, size: usize) -> *mut c_void;
    pub fn memmove(to: *mut c_void, from: *const c_void, size: usize) -> *mut c_void;
    pub fn memset(to: *mut c_void, value: i32, size: usize) -> *mut c_void;
    pub fn memcmp(a: *const c_void, b: *const c_void, size: usize) -> i32;
    pub fn strlen(text: *const c_char) -> usize;
}
