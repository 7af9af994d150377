//! Tests of a driver that run in the kernel: `%%rustdriver NAME --test`, `kernellab test`.
//!
//! A function marked `#[test]` becomes, for such a run, a case that is found at run time; the
//! driver's own `KernelModule` is not started. Each load of the driver runs one case, inside
//! `DriverEntry`, and returns its outcome: so what a case leaves behind is found at the unload.
//! A case is named by its file and line, in the value `KernellabTest` of the `Parameters` key.
//!
//! A test takes nothing or the [`Driver`], and returns nothing or a `Result`:
//!
//! ```no_run
//! use windows_kernel_rs::registry::{Access, Key};
//! use windows_kernel_rs::{Driver, Result};
//!
//! #[test]
//! fn adds() {
//!     assert_eq!(2 + 2, 4);
//! }
//!
//! #[test]
//! fn a_key_can_be_made(_: Driver) -> Result<()> {
//!     Key::create(r"\Registry\Machine\Software\Lab", Access::All)?.delete()
//! }
//! ```

#![allow(clippy::test_attr_in_doctest)] // they are for the kernel

use core::fmt::Debug;

use alloc::string::String;

use windows_kernel_sys::{
    DRIVER_OBJECT, NTSTATUS, STATUS_NOT_FOUND, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, UNICODE_STRING,
};

use crate::error::Result;
use crate::module::Driver;
use crate::registry::{Access, Key};
use crate::{pool, println, string};

/// One test: where it is and what runs it.
#[doc(hidden)]
pub struct Case {
    /// The source file, as `file!()` gives it.
    pub file: &'static str,
    /// The line where the test begins.
    pub line: u32,
    /// Runs the test; whether it was a success.
    pub run: fn(Driver) -> bool,
}

/// What a test may return.
#[doc(hidden)]
pub trait Outcome {
    /// Whether it is a success; a failure is printed.
    fn succeeded(self) -> bool;
}

impl Outcome for () {
    fn succeeded(self) -> bool {
        true
    }
}

impl<T, E: Debug> Outcome for core::result::Result<T, E> {
    fn succeeded(self) -> bool {
        match self {
            Ok(_) => true,
            Err(error) => {
                println!("the test returned {error:?}");
                false
            }
        }
    }
}

/// A function that can be a test: with the driver or without, told apart by `M`.
#[doc(hidden)]
pub trait Test<M> {
    /// Runs it.
    fn run(self, driver: Driver) -> bool;
}

impl<F: FnOnce() -> O, O: Outcome> Test<()> for F {
    fn run(self, _: Driver) -> bool {
        self().succeeded()
    }
}

impl<F: FnOnce(Driver) -> O, O: Outcome> Test<Driver> for F {
    fn run(self, driver: Driver) -> bool {
        self(driver).succeeded()
    }
}

/// Makes a function a case of this crate's tests. kernellab writes this where `#[test]` stands.
#[doc(hidden)]
#[macro_export]
macro_rules! kernel_test {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $($rest:tt)*) => {
        $(#[$meta])* $vis fn $name $($rest)*

        const _: () = {
            static CASE: $crate::testing::Case = $crate::testing::Case {
                file: ::core::file!(),
                line: ::core::line!(),
                run: |driver| $crate::testing::Test::run($name, driver),
            };
            #[used]
            #[unsafe(link_section = ".ktest$m")]
            static ENTRY: ::core::option::Option<&$crate::testing::Case> =
                ::core::option::Option::Some(&CASE);
        };
    };
}

/// Takes the place of `kernel_module!` when a driver's tests run: its `DriverEntry` runs a case.
#[doc(hidden)]
#[macro_export]
macro_rules! kernel_test_module {
    ($module:ty) => {
        const _: () = {
            // The module is not started, but is used.
            const fn module<T: $crate::KernelModule>() {}
            const _: () = module::<$module>();

            // The linker sorts what stands behind `$`: every case is between these two. They are
            // here, and not in the framework, so that a driver without tests has no such section.
            #[used]
            #[unsafe(link_section = ".ktest$a")]
            static FIRST: ::core::option::Option<&$crate::testing::Case> =
                ::core::option::Option::None;
            #[used]
            #[unsafe(link_section = ".ktest$z")]
            static LAST: ::core::option::Option<&$crate::testing::Case> =
                ::core::option::Option::None;

            #[unsafe(no_mangle)]
            unsafe extern "system" fn DriverEntry(
                driver: *mut $crate::sys::DRIVER_OBJECT,
                registry_path: *const $crate::sys::UNICODE_STRING,
            ) -> $crate::sys::NTSTATUS {
                // SAFETY: the markers are the section's ends; Windows calls this once, with its
                // driver object and registry path.
                unsafe {
                    let cases = $crate::testing::cases(&raw const FIRST, &raw const LAST);
                    $crate::testing::driver_entry(cases, driver, registry_path)
                }
            }
        };
    };
}

/// The cases between two markers, which `kernel_test_module!` makes.
///
/// # Safety
/// The two are the first and the last entry of the image's section `.ktest`.
#[doc(hidden)]
pub unsafe fn cases(
    first: *const Option<&'static Case>,
    last: *const Option<&'static Case>,
) -> impl Iterator<Item = &'static Case> {
    let mut at = first;
    core::iter::from_fn(move || {
        while at < last {
            // SAFETY: between the two markers lie entries of this type, and nothing else but
            // zeros that the linker may put between object files. Volatile, since the compiler
            // knows the first entry alone.
            let entry = unsafe { at.read_volatile() };
            at = at.wrapping_add(1);
            if entry.is_some() {
                return entry;
            }
        }
        None
    })
}

/// The body of `DriverEntry` when tests run.
///
/// # Safety
/// Called once, at PASSIVE, with the arguments of `DriverEntry`.
#[doc(hidden)]
pub unsafe fn driver_entry(
    mut cases: impl Iterator<Item = &'static Case>,
    driver: *mut DRIVER_OBJECT,
    registry_path: *const UNICODE_STRING,
) -> NTSTATUS {
    pool::resolve();
    // SAFETY: `DriverEntry` gets a valid registry path.
    let wanted = match unsafe { wanted(registry_path) } {
        Ok(wanted) => wanted,
        Err(error) => return error.to_kernel_errno(),
    };
    let Some(case) = cases.find(|case| is(case, &wanted)) else {
        println!("this driver has no such test");
        return STATUS_NOT_FOUND;
    };
    // SAFETY: the driver object of `DriverEntry`.
    if !(case.run)(unsafe { Driver::from_raw(driver) }) {
        return STATUS_UNSUCCESSFUL;
    }
    // SAFETY: this driver's own object, before `DriverEntry` returns.
    unsafe { (*driver).DriverUnload = Some(driver_unload) };
    STATUS_SUCCESS
}

unsafe extern "system" fn driver_unload(_: *mut DRIVER_OBJECT) {}

/// The case that the `Parameters` key names, as `file:line`.
///
/// # Safety
/// `registry_path` is that of `DriverEntry`.
unsafe fn wanted(registry_path: *const UNICODE_STRING) -> Result<String> {
    // SAFETY: the caller's promise.
    let path = unsafe { string::to_string_lossy(registry_path) }?;
    Key::parameters(&path, Access::Read)?.get("KernellabTest")
}

/// Whether `wanted` is the case's `file:line`, a `\` in the file's path being a `/`.
fn is(case: &Case, wanted: &str) -> bool {
    let Some((file, line)) = wanted.rsplit_once(':') else { return false };
    let own = case.file.bytes().map(|byte| if byte == b'\\' { b'/' } else { byte });
    line.parse() == Ok(case.line) && own.eq(file.bytes())
}
