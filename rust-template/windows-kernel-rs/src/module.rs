//! A driver's entry and end: [`KernelModule`] and [`kernel_module!`](crate::kernel_module).

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use windows_kernel_sys::{DRIVER_OBJECT, DRIVER_UNLOAD, NTSTATUS, STATUS_SUCCESS, UNICODE_STRING};

use crate::error::{Error, Result};
use crate::{pool, string};

/// The driver object that Windows made for this driver.
#[derive(Debug)]
pub struct Driver {
    raw: NonNull<DRIVER_OBJECT>,
}

// SAFETY: a `Driver` only hands out the address; what is done with it is unsafe.
unsafe impl Send for Driver {}
// SAFETY: as for `Send`.
unsafe impl Sync for Driver {}

impl Driver {
    /// Takes the pointer that `DriverEntry` or `DriverUnload` was given.
    ///
    /// # Safety
    /// `driver` points to this driver's object, which lives until `DriverUnload` returns.
    ///
    /// # Panics
    /// If `driver` is null.
    #[must_use]
    pub unsafe fn from_raw(driver: *mut DRIVER_OBJECT) -> Self {
        let raw = NonNull::new(driver).expect("a driver object");
        OBJECT.store(driver, Ordering::Relaxed);
        Driver { raw }
    }

    /// The object, to read from.
    #[must_use]
    pub fn as_raw(&self) -> *const DRIVER_OBJECT {
        self.raw.as_ptr()
    }

    /// The object, to change. Reading and writing through it is up to the caller: Windows and
    /// other threads of the driver use it too.
    #[must_use]
    pub fn as_raw_mut(&mut self) -> *mut DRIVER_OBJECT {
        self.raw.as_ptr()
    }
}

/// The object of the one driver that this crate is linked into, once a [`Driver`] was made.
static OBJECT: AtomicPtr<DRIVER_OBJECT> = AtomicPtr::new(ptr::null_mut());

/// This driver's object: valid as long as code of the driver runs.
///
/// Fails with [`Error::DEVICE_NOT_READY`] where no [`Driver`] was made: in a driver that has its
/// own `DriverEntry` and did not call [`Driver::from_raw`].
pub(crate) fn object() -> Result<NonNull<DRIVER_OBJECT>> {
    NonNull::new(OBJECT.load(Ordering::Relaxed)).ok_or(Error::DEVICE_NOT_READY)
}

/// A driver. See the [crate].
///
/// The value lives from [`init`](Self::init) to the end of the driver. Other threads may use it
/// meanwhile, so it is `Sync`; it is dropped on another thread than the one that made it, so it
/// is `Send`.
pub trait KernelModule: Sized + Sync + Send + 'static {
    /// Starts the driver: the body of `DriverEntry`. IRQL: PASSIVE.
    ///
    /// `registry_path` is the driver's key, `\Registry\Machine\System\CurrentControlSet\Services\…`.
    ///
    /// # Errors
    /// `DriverEntry` returns the error's status, and Windows unloads the driver without calling
    /// [`cleanup`](Self::cleanup): what was made so far must be dropped on the way out.
    fn init(driver: Driver, registry_path: &str) -> Result<Self, Error>;

    /// Ends the driver: the body of `DriverUnload`. IRQL: PASSIVE. The value is dropped next.
    fn cleanup(&mut self, driver: Driver);
}

/// Makes `$module`, which implements [`KernelModule`], the driver of this crate: exports
/// `DriverEntry`, and has it install `DriverUnload`.
#[macro_export]
macro_rules! kernel_module {
    ($module:ty) => {
        const _: () = {
            static MODULE: $crate::__private::Slot<$module> = $crate::__private::Slot::new();

            #[unsafe(no_mangle)]
            unsafe extern "system" fn DriverEntry(
                driver: *mut $crate::sys::DRIVER_OBJECT,
                registry_path: *const $crate::sys::UNICODE_STRING,
            ) -> $crate::sys::NTSTATUS {
                // SAFETY: Windows calls this once, with its driver object and registry path.
                unsafe {
                    $crate::__private::driver_entry(
                        &MODULE,
                        driver,
                        registry_path,
                        ::core::option::Option::Some(DriverUnload),
                    )
                }
            }

            unsafe extern "system" fn DriverUnload(driver: *mut $crate::sys::DRIVER_OBJECT) {
                // SAFETY: Windows calls this once, after DriverEntry has succeeded.
                unsafe { $crate::__private::driver_unload(&MODULE, driver) }
            }
        };
    };
}

/// Where the module lives between `DriverEntry` and `DriverUnload`.
#[doc(hidden)]
pub struct Slot<T> {
    full: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is put in once and taken out once, each by the one thread that changes
// `full`, so it moves between threads and is not shared by the slot.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    #[must_use]
    #[allow(clippy::new_without_default, missing_docs)]
    pub const fn new() -> Self {
        Slot { full: AtomicBool::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// # Safety
    /// No other call on this slot runs at the same time.
    unsafe fn put(&self, value: T) {
        // SAFETY: the caller's promise makes this the only reference.
        unsafe { (*self.value.get()).write(value) };
        self.full.store(true, Ordering::Release);
    }

    /// # Safety
    /// No other call on this slot runs at the same time.
    unsafe fn take(&self) -> Option<T> {
        self.full.swap(false, Ordering::AcqRel).then(|| {
            // SAFETY: `full` says that there is a value, and nobody else takes it.
            unsafe { (*self.value.get()).assume_init_read() }
        })
    }
}

/// The body of `DriverEntry`.
///
/// # Safety
/// Called once, at PASSIVE, with the arguments of `DriverEntry`.
#[doc(hidden)]
pub unsafe fn driver_entry<T: KernelModule>(
    slot: &'static Slot<T>,
    driver: *mut DRIVER_OBJECT,
    registry_path: *const UNICODE_STRING,
    unload: DRIVER_UNLOAD,
) -> NTSTATUS {
    pool::resolve();
    // SAFETY: `DriverEntry` gets a valid registry path.
    let path = match unsafe { string::to_string_lossy(registry_path) } {
        Ok(path) => path,
        Err(error) => return error.to_kernel_errno(),
    };
    // SAFETY: the driver object of `DriverEntry`.
    match T::init(unsafe { Driver::from_raw(driver) }, &path) {
        Ok(module) => {
            // SAFETY: only `DriverUnload` uses the slot too, and it is not installed yet; the
            // object is this driver's own.
            unsafe {
                slot.put(module);
                (*driver).DriverUnload = unload;
            }
            STATUS_SUCCESS
        }
        Err(error) => error.to_kernel_errno(),
    }
}

/// The body of `DriverUnload`.
///
/// # Safety
/// Called once, at PASSIVE, with the argument of `DriverUnload`.
#[doc(hidden)]
pub unsafe fn driver_unload<T: KernelModule>(slot: &'static Slot<T>, driver: *mut DRIVER_OBJECT) {
    // SAFETY: `DriverEntry` has returned, and unloading happens once.
    if let Some(mut module) = unsafe { slot.take() } {
        // SAFETY: the driver object of `DriverUnload`.
        module.cleanup(unsafe { Driver::from_raw(driver) });
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;
    use std::sync::Arc;

    #[test]
    fn a_slot_gives_its_value_back_once() {
        let slot = Slot::new();
        let value = Arc::new(());
        // SAFETY: one thread.
        unsafe {
            assert!(slot.take().is_none());
            slot.put(value.clone());
            assert_eq!(Arc::strong_count(&value), 2);
            drop(slot.take());
            assert_eq!(Arc::strong_count(&value), 1);
            assert!(slot.take().is_none());
        }
    }
}
