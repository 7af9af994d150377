#![no_std]
extern crate alloc;
use alloc::string::String;
use core::alloc::{GlobalAlloc, Layout};
use windows_kernel_sys as sys;
#[doc(hidden)]
pub mod __private { pub use core; }
#[derive(Debug)]
pub struct Error(pub i32);
pub struct Driver(*mut core::ffi::c_void);
impl Driver { pub unsafe fn from_raw(p: *mut core::ffi::c_void) -> Self { Driver(p) } }
pub trait KernelModule: Sized + Sync {
    fn init(driver: Driver, path: &str) -> Result<Self, Error>;
    fn cleanup(&mut self, driver: Driver);
}
struct Pool;
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 { unsafe { sys::ExAllocatePoolWithTag(512, l.size(), 0x1234).cast() } }
    unsafe fn dealloc(&self, p: *mut u8, _: Layout) { unsafe { sys::ExFreePoolWithTag(p.cast(), 0x1234) } }
}
#[global_allocator]
static POOL: Pool = Pool;
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    print(format_args!("{info}\n"));
    unsafe { sys::KeBugCheckEx(0xDEAD, 0, 0, 0, 0) }
}
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
// What unwind tables name, where the compiler's library unwinds.
#[unsafe(no_mangle)]
extern "C" fn __CxxFrameHandler3() -> i32 { 1 }
pub fn print(args: core::fmt::Arguments) {
    let mut s = String::new();
    let _ = core::fmt::write(&mut s, args);
    s.push('\0');
    unsafe { sys::DbgPrintEx(77, 0, c"%s".as_ptr(), s.as_ptr()); }
}
#[macro_export]
macro_rules! println { ($($t:tt)*) => { $crate::print(format_args!("{}\n", format_args!($($t)*))) } }
#[macro_export]
macro_rules! kernel_module { ($t:ty) => {
    #[unsafe(no_mangle)]
    pub extern "system" fn DriverEntry(driver: *mut core::ffi::c_void, _path: *mut core::ffi::c_void) -> i32 {
        match <$t as $crate::KernelModule>::init(unsafe { $crate::Driver::from_raw(driver) }, "") {
            Ok(m) => { core::mem::forget(m); 0 }, Err(e) => e.0
        }
    }
} }
