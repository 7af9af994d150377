//! [`FastMutex`]: a mutex held at APC_LEVEL.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::marker::{PhantomData, PhantomPinned};
use core::ops::{Deref, DerefMut};
use core::pin::Pin;

use windows_kernel_sys::{
    ExAcquireFastMutex, ExInitializeFastMutex, ExReleaseFastMutex, ExTryToAcquireFastMutex,
    FAST_MUTEX,
};

use crate::error::Result;
use crate::irql::{self, Irql};
use crate::mem::try_box;

/// A value for one thread at a time, at APC_LEVEL: no APC at all interrupts the holder.
///
/// [`Mutex`](super::Mutex) needs no allocation and leaves the IRQL as it is; this one can be
/// tried, and is what other drivers' documentation may ask for. While it is held, the IRQL is APC:
/// paged memory may be used, files and the registry may not.
///
/// IRQL <= APC. WDK: "Fast Mutexes and Guarded Mutexes", "ExAcquireFastMutex function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::sync::FastMutex;
///
/// fn once() -> Result<u32> {
///     let count = FastMutex::try_new(0u32)?;
///     *count.lock() += 1;
///     let seen = count.try_lock().map_or(0, |count| *count);
///     Ok(seen)
/// }
/// ```
pub struct FastMutex<T> {
    inner: Pin<Box<Inner<T>>>,
}

struct Inner<T> {
    mutex: UnsafeCell<FAST_MUTEX>,
    value: UnsafeCell<T>,
    _pinned: PhantomPinned,
}

// SAFETY: the mutex hands the value to one thread at a time, which may move it out.
unsafe impl<T: Send> Send for FastMutex<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Send> Sync for FastMutex<T> {}

impl<T> FastMutex<T> {
    /// A mutex that nobody holds. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out; `value` is dropped.
    pub fn try_new(value: T) -> Result<Self> {
        let inner = Box::into_pin(try_box(Inner {
            mutex: UnsafeCell::default(),
            value: UnsafeCell::new(value),
            _pinned: PhantomPinned,
        })?);
        // SAFETY: it is where it stays, in nonpaged memory, and nobody knows it yet.
        unsafe { ExInitializeFastMutex(inner.mutex.get()) };
        Ok(FastMutex { inner })
    }

    /// Takes the mutex; sleeps until it is free. The IRQL is APC until the guard is dropped.
    ///
    /// IRQL <= APC. A thread that holds it already waits for ever.
    #[track_caller]
    pub fn lock(&self) -> FastMutexGuard<'_, T> {
        irql::assert_at_most(Irql::APC, "FastMutex::lock");
        // SAFETY: it is initialized; the guard releases it, on this thread.
        unsafe { ExAcquireFastMutex(self.inner.mutex.get()) };
        FastMutexGuard { lock: self, thread: PhantomData }
    }

    /// Takes the mutex if nobody holds it.
    ///
    /// IRQL <= APC. WDK: "ExTryToAcquireFastMutex function (wdm.h)".
    #[track_caller]
    pub fn try_lock(&self) -> Option<FastMutexGuard<'_, T>> {
        irql::assert_at_most(Irql::APC, "FastMutex::try_lock");
        // SAFETY: it is initialized; the guard releases it, on this thread.
        let taken = unsafe { ExTryToAcquireFastMutex(self.inner.mutex.get()) } != 0;
        taken.then(|| FastMutexGuard { lock: self, thread: PhantomData })
    }
}

/// The value of a [`FastMutex`], until this is dropped: then the mutex is released, and the IRQL
/// is what it was before.
///
/// Guards are dropped in the reverse order of their making; debug builds check it.
#[must_use = "the mutex is released when this is dropped, at once if it is not kept"]
pub struct FastMutexGuard<'a, T> {
    lock: &'a FastMutex<T>,
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: Sync> Sync for FastMutexGuard<'_, T> {}

super::shown!(FastMutexGuard<T>);

impl<T> Deref for FastMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mutex is held, and `&mut` only comes from `&mut self`.
        unsafe { &*self.lock.inner.value.get() }
    }
}

impl<T> DerefMut for FastMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is held, by this guard alone.
        unsafe { &mut *self.lock.inner.value.get() }
    }
}

impl<T> Drop for FastMutexGuard<'_, T> {
    fn drop(&mut self) {
        irql::assert_is(Irql::APC, "FastMutexGuard");
        // SAFETY: the mutex is held since the guard was made, on this thread.
        unsafe { ExReleaseFastMutex(self.lock.inner.mutex.get()) };
    }
}
