//! A driver whose DriverEntry makes every kind of frame that Rust makes: deep recursion, closures,
//! trait objects, large and probed frames, many arguments, saved floating-point registers, tail
//! calls. The test stops it at every few instructions and compares its call stack.
#![no_std]
extern crate alloc;
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec::Vec};
use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

#[unsafe(no_mangle)]
pub static _fltused: i32 = 0;

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn DbgPrint(format: *const u8, ...) -> u32;
    fn ExAllocatePoolWithTag(kind: u32, size: usize, tag: u32) -> *mut u8;
    fn ExFreePoolWithTag(address: *mut u8, tag: u32);
    fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
    fn __chkstk();
}

#[used]
static KEEP: unsafe extern "C" fn() = __chkstk;

struct Pool;

// SAFETY: pool memory is valid for the layout until it is freed.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the pool may be asked for any size.
        unsafe { ExAllocatePoolWithTag(0, layout.size(), 0x3132_3334) }
    }
    unsafe fn dealloc(&self, address: *mut u8, _: Layout) {
        // SAFETY: the caller says that `alloc` gave this address.
        unsafe { ExFreePoolWithTag(address, 0x3132_3334) }
    }
}

#[global_allocator]
static POOL: Pool = Pool;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: it does not return.
    unsafe { KeBugCheckEx(1, 2, 3, 4, 5) }
}

#[inline(never)]
fn recurse(n: u64, map: &mut BTreeMap<u64, String>, end: &dyn Fn(u64) -> u64) -> u64 {
    if n == 0 {
        return end(1);
    }
    let mut big = [0u8; 700];
    big[(n % 700) as usize] = n as u8;
    black_box(&mut big);
    map.insert(n * 7 % 11, format!("{n:?} {:>5} {:x}", n * 3, n));
    let result = recurse(n - 1, map, &|x| end(x) + n + u64::from(black_box(big[3])));
    result.wrapping_mul(3) + map.len() as u64
}

#[inline(never)]
fn huge(x: u64) -> u64 {
    let mut bytes = [0u8; 9000];
    for i in 0..x as usize {
        bytes[i] = i as u8;
    }
    black_box(&bytes);
    tail(u64::from(bytes[3]) + x)
}

#[inline(never)]
fn tail(x: u64) -> u64 {
    black_box(x) + 1
}

#[inline(never)]
fn floats(x: f64, y: f64) -> f64 {
    let mut sum = x;
    for i in 0..5 {
        sum = sum * y + half(sum + f64::from(i));
    }
    sum
}

#[inline(never)]
fn half(x: f64) -> f64 {
    black_box(x) * 0.5
}

#[inline(never)]
#[allow(clippy::too_many_arguments)]
fn many(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64) -> u64 {
    black_box(a ^ tail(b)) + black_box(c ^ tail(d)) * (e + tail(f)) - g + tail(h) + huge(a % 5)
}

#[unsafe(no_mangle)]
pub extern "system" fn DriverEntry(driver: *mut u8, path: *mut u8) -> i32 {
    let mut map = BTreeMap::new();
    let mut values: Vec<Box<u64>> = (0..40).map(|x| Box::new(x * 7919 % 101)).collect();
    values.sort();
    let sum = recurse(12, &mut map, &|q| q + *values[3])
        + huge(9)
        + many(1, 2, 3, 4, 5, 6, 7, 8)
        + floats(1.5, 0.5) as u64;
    let text = format!("{map:?} {sum}\0");
    // SAFETY: the format and its arguments agree.
    unsafe {
        DbgPrint(
            c"%s %p".as_ptr().cast(),
            text.as_ptr(),
            driver as usize + path as usize,
        )
    };
    0
}
