//! [`RwSpinLock`]: a spin lock for many readers or one writer.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use windows_kernel_sys::{
    ExAcquireSpinLockExclusive, ExAcquireSpinLockExclusiveAtDpcLevel, ExAcquireSpinLockShared,
    ExAcquireSpinLockSharedAtDpcLevel, ExReleaseSpinLockExclusive,
    ExReleaseSpinLockExclusiveFromDpcLevel, ExReleaseSpinLockShared,
    ExReleaseSpinLockSharedFromDpcLevel,
};

use crate::irql::{self, Irql};

/// A value for many readers or one writer at a time, at DISPATCH: what
/// [`SpinLock`](super::SpinLock) is to [`Mutex`](super::Mutex), this is to
/// [`RwLock`](super::RwLock).
///
/// Everything said of `SpinLock` holds: short sections, no waiting, no paged memory. A reader does
/// not read again: a writer who waits between the two stops both.
///
/// IRQL <= DISPATCH. WDK: "Reader/Writer Spin Locks", "ExAcquireSpinLockShared function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::sync::RwSpinLock;
///
/// static ROUTES: RwSpinLock<[u16; 16]> = RwSpinLock::new([0; 16]);
///
/// fn route(port: usize) -> Option<u16> {
///     ROUTES.read().get(port).copied()
/// }
/// fn clear() {
///     ROUTES.write().fill(0);
/// }
/// ```
#[derive(Default)]
pub struct RwSpinLock<T: ?Sized> {
    lock: UnsafeCell<i32>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock's word is the kernel's; the value may be moved out by its owner.
unsafe impl<T: ?Sized + Send> Send for RwSpinLock<T> {}
// SAFETY: readers share the value (`Sync`), a writer may move it out (`Send`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwSpinLock<T> {}

impl<T> RwSpinLock<T> {
    /// A lock that nobody holds. IRQL: any.
    #[must_use]
    pub const fn new(value: T) -> Self {
        RwSpinLock { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// The value; nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwSpinLock<T> {
    /// Takes the lock to read; spins while somebody writes. IRQL <= DISPATCH.
    #[track_caller]
    pub fn read(&self) -> RwSpinLockReadGuard<'_, T> {
        irql::assert_at_most(Irql::DISPATCH, "RwSpinLock::read");
        let old = irql::current();
        // SAFETY: the lock is initialized, and released by the guard, on this thread.
        unsafe {
            if old < Irql::DISPATCH {
                ExAcquireSpinLockShared(self.lock.get());
            } else {
                ExAcquireSpinLockSharedAtDpcLevel(self.lock.get());
            }
        }
        RwSpinLockReadGuard { lock: self, old, thread: PhantomData }
    }

    /// Takes the lock to write; spins while anybody else has it. IRQL <= DISPATCH.
    /// WDK: "ExAcquireSpinLockExclusive function (wdm.h)".
    #[track_caller]
    pub fn write(&self) -> RwSpinLockWriteGuard<'_, T> {
        irql::assert_at_most(Irql::DISPATCH, "RwSpinLock::write");
        let old = irql::current();
        // SAFETY: the lock is initialized, and released by the guard, on this thread.
        unsafe {
            if old < Irql::DISPATCH {
                ExAcquireSpinLockExclusive(self.lock.get());
            } else {
                ExAcquireSpinLockExclusiveAtDpcLevel(self.lock.get());
            }
        }
        RwSpinLockWriteGuard { lock: self, old, thread: PhantomData }
    }

    /// The value: `&mut self` says that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// The value of a [`RwSpinLock`] to read, until this is dropped: then the IRQL is what it was.
///
/// Guards are dropped in the reverse order of their making; debug builds check it.
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct RwSpinLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwSpinLock<T>,
    old: Irql,
    /// The IRQL is of this processor.
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwSpinLockReadGuard<'_, T> {}

super::shown!(RwSpinLockReadGuard<T: ?Sized>);

impl<T: ?Sized> Deref for RwSpinLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held by readers only.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwSpinLockReadGuard<'_, T> {
    fn drop(&mut self) {
        irql::assert_is(Irql::DISPATCH.max(self.old), "RwSpinLockReadGuard");
        // SAFETY: the lock is held since the guard was made, at `old`, on this thread.
        unsafe {
            if self.old < Irql::DISPATCH {
                ExReleaseSpinLockShared(self.lock.lock.get(), self.old.as_raw());
            } else {
                ExReleaseSpinLockSharedFromDpcLevel(self.lock.lock.get());
            }
        }
    }
}

/// The value of a [`RwSpinLock`] to write, until this is dropped: then the IRQL is what it was.
///
/// Guards are dropped in the reverse order of their making; debug builds check it.
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct RwSpinLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwSpinLock<T>,
    old: Irql,
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwSpinLockWriteGuard<'_, T> {}

super::shown!(RwSpinLockWriteGuard<T: ?Sized>);

impl<T: ?Sized> Deref for RwSpinLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held, and `&mut` only comes from `&mut self`.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwSpinLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwSpinLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        irql::assert_is(Irql::DISPATCH.max(self.old), "RwSpinLockWriteGuard");
        // SAFETY: the lock is held since the guard was made, at `old`, on this thread.
        unsafe {
            if self.old < Irql::DISPATCH {
                ExReleaseSpinLockExclusive(self.lock.lock.get(), self.old.as_raw());
            } else {
                ExReleaseSpinLockExclusiveFromDpcLevel(self.lock.lock.get());
            }
        }
    }
}
