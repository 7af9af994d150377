//! [`Resource`]: an executive resource, for many readers or one writer.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::marker::{PhantomData, PhantomPinned};
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;

use windows_kernel_sys::{
    ERESOURCE, ExAcquireResourceExclusiveLite, ExAcquireResourceSharedLite,
    ExConvertExclusiveToSharedLite, ExDeleteResourceLite, ExInitializeResourceLite,
    ExIsResourceAcquiredExclusiveLite, ExReleaseResourceLite, KeEnterCriticalRegion,
    KeLeaveCriticalRegion,
};

use crate::error::{Result, check};
use crate::irql::{self, Irql};
use crate::mem::try_box;

/// A value for many readers or one writer at a time, as [`RwLock`](super::RwLock): larger, but
/// it can be tried, a writer can go on as a reader, and the debugger's `!locks` shows it.
///
/// Kernel APCs are off while it is held; the IRQL stays as it is.
///
/// IRQL <= APC. WDK: "Introduction to ERESOURCE Routines".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::sync::Resource;
///
/// fn table() -> Result<Resource<[u32; 8]>> {
///     Resource::try_new([0; 8])
/// }
/// fn set(table: &Resource<[u32; 8]>, at: usize, value: u32) -> u32 {
///     let mut write = table.write();
///     write[at % 8] = value;
///     let read = write.downgrade(); // other readers may read now
///     read.iter().sum()
/// }
/// ```
pub struct Resource<T> {
    inner: Pin<Box<Inner<T>>>,
}

struct Inner<T> {
    resource: UnsafeCell<ERESOURCE>,
    value: UnsafeCell<T>,
    _pinned: PhantomPinned,
}

// SAFETY: only the kernel's routines use the resource; the value may be moved out by its owner.
unsafe impl<T: Send> Send for Resource<T> {}
// SAFETY: readers share the value (`Sync`), a writer may move it out (`Send`).
unsafe impl<T: Send + Sync> Sync for Resource<T> {}

impl<T> Resource<T> {
    /// A resource that nobody holds. IRQL <= DISPATCH.
    /// WDK: "ExInitializeResourceLite function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out; `value` is dropped.
    pub fn try_new(value: T) -> Result<Self> {
        let inner = try_box(Inner {
            resource: UnsafeCell::default(),
            value: UnsafeCell::new(value),
            _pinned: PhantomPinned,
        })?;
        // SAFETY: it is where it stays, in nonpaged memory, and nobody knows it yet.
        check(unsafe { ExInitializeResourceLite(inner.resource.get()) })?;
        Ok(Resource { inner: Box::into_pin(inner) })
    }

    fn raw(&self) -> *mut ERESOURCE {
        self.inner.resource.get()
    }

    /// Takes it, in a critical region; whether it was taken.
    #[track_caller]
    fn acquire(&self, exclusive: bool, wait: bool, routine: &str) -> bool {
        irql::assert_at_most(Irql::APC, routine);
        // SAFETY: it is initialized; who takes it leaves the region when it is released.
        unsafe {
            KeEnterCriticalRegion();
            // The kernel lets a writer in again; a second reference would be wrong.
            if ExIsResourceAcquiredExclusiveLite(self.raw()) != 0 {
                recursive(routine);
            }
            let taken = if exclusive {
                ExAcquireResourceExclusiveLite(self.raw(), wait.into())
            } else {
                ExAcquireResourceSharedLite(self.raw(), wait.into())
            } != 0;
            if !taken {
                KeLeaveCriticalRegion();
            }
            taken
        }
    }

    /// Takes it to read; sleeps while somebody writes. IRQL <= APC.
    ///
    /// # Panics
    /// When this thread holds it to write.
    #[track_caller]
    pub fn read(&self) -> ResourceReadGuard<'_, T> {
        self.acquire(false, true, "Resource::read");
        ResourceReadGuard { lock: self, thread: PhantomData }
    }

    /// Takes it to read if nobody writes or waits to write. IRQL <= APC.
    ///
    /// # Panics
    /// When this thread holds it to write.
    #[track_caller]
    pub fn try_read(&self) -> Option<ResourceReadGuard<'_, T>> {
        self.acquire(false, false, "Resource::try_read")
            .then(|| ResourceReadGuard { lock: self, thread: PhantomData })
    }

    /// Takes it to write; sleeps while anybody else has it. IRQL <= APC.
    ///
    /// # Panics
    /// When this thread holds it to write. When it holds it to read, it waits for ever.
    #[track_caller]
    pub fn write(&self) -> ResourceWriteGuard<'_, T> {
        self.acquire(true, true, "Resource::write");
        ResourceWriteGuard { lock: self, thread: PhantomData }
    }

    /// Takes it to write if nobody has it. IRQL <= APC.
    ///
    /// # Panics
    /// When this thread holds it to write.
    #[track_caller]
    pub fn try_write(&self) -> Option<ResourceWriteGuard<'_, T>> {
        self.acquire(true, false, "Resource::try_write")
            .then(|| ResourceWriteGuard { lock: self, thread: PhantomData })
    }

    /// # Safety
    /// This thread holds it.
    #[track_caller]
    unsafe fn release(&self) {
        irql::assert_at_most(Irql::APC, "dropping a guard of a Resource");
        // SAFETY: the caller's promise.
        unsafe {
            ExReleaseResourceLite(self.raw());
            KeLeaveCriticalRegion();
        }
    }
}

#[cold]
#[track_caller]
fn recursive(routine: &str) -> ! {
    panic!("{routine}: this thread holds the resource to write");
}

impl<T> Drop for Resource<T> {
    /// IRQL <= DISPATCH. WDK: "ExDeleteResourceLite function (wdm.h)".
    fn drop(&mut self) {
        // SAFETY: it is initialized, and nobody holds it: guards borrow it.
        unsafe { ExDeleteResourceLite(self.raw()) };
    }
}

/// The value of a [`Resource`] to read, until this is dropped. IRQL of dropping <= APC.
#[must_use = "the resource is released when this is dropped, at once if it is not kept"]
pub struct ResourceReadGuard<'a, T> {
    lock: &'a Resource<T>,
    /// The owner is this thread.
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: Sync> Sync for ResourceReadGuard<'_, T> {}

super::shown!(ResourceReadGuard<T>);

impl<T> Deref for ResourceReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it is held by readers only.
        unsafe { &*self.lock.inner.value.get() }
    }
}

impl<T> Drop for ResourceReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: it is held since the guard was made, by this thread.
        unsafe { self.lock.release() };
    }
}

/// The value of a [`Resource`] to write, until this is dropped. IRQL of dropping <= APC.
#[must_use = "the resource is released when this is dropped, at once if it is not kept"]
pub struct ResourceWriteGuard<'a, T> {
    lock: &'a Resource<T>,
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: Sync> Sync for ResourceWriteGuard<'_, T> {}

impl<'a, T> ResourceWriteGuard<'a, T> {
    /// Goes on as a reader: others may read too, and nobody has written in between.
    ///
    /// IRQL <= DISPATCH. WDK: "ExConvertExclusiveToSharedLite function (wdm.h)".
    pub fn downgrade(self) -> ResourceReadGuard<'a, T> {
        let lock = ManuallyDrop::new(self).lock;
        // SAFETY: this thread holds it to write.
        unsafe { ExConvertExclusiveToSharedLite(lock.raw()) };
        ResourceReadGuard { lock, thread: PhantomData }
    }
}

super::shown!(ResourceWriteGuard<T>);

impl<T> Deref for ResourceWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it is held, and `&mut` only comes from `&mut self`.
        unsafe { &*self.lock.inner.value.get() }
    }
}

impl<T> DerefMut for ResourceWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: it is held, by this guard alone.
        unsafe { &mut *self.lock.inner.value.get() }
    }
}

impl<T> Drop for ResourceWriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: it is held since the guard was made, by this thread.
        unsafe { self.lock.release() };
    }
}
