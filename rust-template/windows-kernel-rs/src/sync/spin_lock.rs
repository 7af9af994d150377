//! [`SpinLock`]: a value for one processor at a time; [`QueuedSpinLock`]: first come, first served.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use windows_kernel_sys::{
    KLOCK_QUEUE_HANDLE, KSPIN_LOCK, KeAcquireInStackQueuedSpinLock, KeReleaseInStackQueuedSpinLock,
};

use super::raw;
use crate::irql::{self, AtDispatch, Irql};

/// A value behind a spin lock: for short sections (at most 25 µs, says the WDK) that DPCs or
/// several processors share.
///
/// While it is held, the IRQL is DISPATCH: no waiting, no paged memory. IRQL of all functions
/// <= DISPATCH. WDK: "Introduction to Spin Locks", "KeAcquireSpinLock macro (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::sync::SpinLock;
///
/// static COUNTS: SpinLock<[u32; 2]> = SpinLock::new([0; 2]);
///
/// fn count(hit: bool) {
///     COUNTS.lock()[usize::from(hit)] += 1;
/// }
/// ```
#[derive(Default)]
pub struct SpinLock<T: ?Sized> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time, which may move it out.
unsafe impl<T: ?Sized + Send> Send for SpinLock<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: ?Sized + Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A lock that nobody holds. IRQL: any.
    #[must_use]
    pub const fn new(value: T) -> Self {
        SpinLock { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// The value; nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Takes the lock; spins until it is free. The IRQL is DISPATCH until the guard is dropped.
    ///
    /// IRQL <= DISPATCH. WDK: "KeAcquireSpinLockRaiseToDpc function (wdm.h)",
    /// "KeAcquireSpinLockAtDpcLevel macro (wdm.h)".
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        irql::assert_at_most(Irql::DISPATCH, "SpinLock::lock");
        let old = irql::current();
        // SAFETY: the lock is initialized, and released by the guard, on this thread. One that is
        // at DISPATCH already has no level to restore.
        unsafe {
            if old < Irql::DISPATCH {
                raw::KeAcquireSpinLockRaiseToDpc(self.lock.get());
            } else {
                raw::KeAcquireSpinLockAtDpcLevel(self.lock.get());
            }
        }
        SpinLockGuard { lock: self, old, thread: PhantomData }
    }

    /// As [`lock`](Self::lock), where the IRQL is known to be DISPATCH.
    ///
    /// IRQL: DISPATCH. WDK: "KeAcquireSpinLockAtDpcLevel macro (wdm.h)".
    ///
    /// ```no_run
    /// # use windows_kernel_rs::sync::{SpinLock, SpinLockGuard};
    /// fn swap(one: &SpinLock<u32>, other: &SpinLock<u32>) {
    ///     let mut one = one.lock();
    ///     let at_dispatch = SpinLockGuard::at_dispatch(&one);
    ///     let mut other = other.lock_at_dispatch(at_dispatch);
    ///     let value = *other;
    ///     *other = *one;
    ///     drop(other);
    ///     *one = value;
    /// }
    /// ```
    #[inline]
    pub fn lock_at_dispatch<'a>(&'a self, proof: AtDispatch<'a>) -> SpinLockGuard<'a, T> {
        let _ = proof;
        // SAFETY: the proof says that the IRQL is DISPATCH until the guard is dropped.
        unsafe { raw::KeAcquireSpinLockAtDpcLevel(self.lock.get()) };
        SpinLockGuard { lock: self, old: Irql::DISPATCH, thread: PhantomData }
    }

    /// Takes the lock if nobody holds it.
    ///
    /// IRQL <= DISPATCH. WDK: "KeTryToAcquireSpinLockAtDpcLevel function (wdm.h)".
    #[track_caller]
    pub fn try_lock(&self) -> Option<SpinLockGuard<'_, T>> {
        irql::assert_at_most(Irql::DISPATCH, "SpinLock::try_lock");
        let raised = irql::raise(Irql::DISPATCH);
        // SAFETY: the lock is initialized, the IRQL is DISPATCH.
        if unsafe { raw::KeTryToAcquireSpinLockAtDpcLevel(self.lock.get()) } == 0 {
            return None;
        }
        let old = raised.old();
        // The guard restores the level.
        core::mem::forget(raised);
        Some(SpinLockGuard { lock: self, old, thread: PhantomData })
    }

    /// The value: `&mut self` says that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// The value of a [`SpinLock`], until this is dropped: then the lock is released, and the IRQL is
/// what it was before.
///
/// Guards are dropped in the reverse order of their making; debug builds check it.
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct SpinLockGuard<'a, T: ?Sized> {
    lock: &'a SpinLock<T>,
    old: Irql,
    /// The IRQL is of this processor.
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for SpinLockGuard<'_, T> {}

impl<T: ?Sized> SpinLockGuard<'_, T> {
    /// Proof that the IRQL is DISPATCH, as long as the lock is held. (A guard has the functions
    /// of its value, so this is called as `SpinLockGuard::at_dispatch(&guard)`.)
    #[must_use]
    pub fn at_dispatch(this: &Self) -> AtDispatch<'_> {
        let _ = this;
        // SAFETY: the guard's maker has raised the IRQL, and it is lowered after the borrow.
        unsafe { AtDispatch::new() }
    }
}

super::shown!(SpinLockGuard<T: ?Sized>);

impl<T: ?Sized> Deref for SpinLockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, and `&mut` only comes from `&mut self`.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for SpinLockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for SpinLockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        irql::assert_is(Irql::DISPATCH.max(self.old), "SpinLockGuard");
        // SAFETY: the lock is held since the guard was made, at `old`, on this thread.
        unsafe {
            if self.old < Irql::DISPATCH {
                raw::KeReleaseSpinLock(self.lock.lock.get(), self.old.as_raw());
            } else {
                raw::KeReleaseSpinLockFromDpcLevel(self.lock.lock.get());
            }
        }
    }
}

/// A value behind an in-stack queued spin lock: each waiting processor spins on a word of its own
/// stack and they are served in their order, which scales better where many contend.
///
/// The place in the queue may not move, so there is no guard but [`with`](Self::with).
///
/// IRQL <= DISPATCH. WDK: "Queued Spin Locks".
///
/// ```no_run
/// use windows_kernel_rs::sync::QueuedSpinLock;
///
/// static TOTAL: QueuedSpinLock<u64> = QueuedSpinLock::new(0);
///
/// fn add(more: u64) -> u64 {
///     TOTAL.with(|total, _| {
///         *total += more;
///         *total
///     })
/// }
/// ```
#[derive(Default)]
pub struct QueuedSpinLock<T: ?Sized> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time, which may move it out.
unsafe impl<T: ?Sized + Send> Send for QueuedSpinLock<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: ?Sized + Send> Sync for QueuedSpinLock<T> {}

impl<T> QueuedSpinLock<T> {
    /// A lock that nobody holds. IRQL: any.
    #[must_use]
    pub const fn new(value: T) -> Self {
        QueuedSpinLock { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// The value; nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> QueuedSpinLock<T> {
    /// Calls `body` with the value, at DISPATCH and with proof of it, while the lock is held.
    ///
    /// IRQL <= DISPATCH. WDK: "KeAcquireInStackQueuedSpinLock function (wdm.h)".
    #[track_caller]
    pub fn with<R>(&self, body: impl FnOnce(&mut T, AtDispatch<'_>) -> R) -> R {
        irql::assert_at_most(Irql::DISPATCH, "QueuedSpinLock::with");
        let mut place = KLOCK_QUEUE_HANDLE::default();
        // SAFETY: the lock is initialized; the place stays where it is until the release, which
        // nothing skips: a panic does not unwind.
        unsafe { KeAcquireInStackQueuedSpinLock(self.lock.get(), &raw mut place) };
        // SAFETY: the lock is held, so this is the only reference; the IRQL is DISPATCH.
        let result = body(unsafe { &mut *self.value.get() }, unsafe { AtDispatch::new() });
        irql::assert_is(Irql::DISPATCH, "QueuedSpinLock::with");
        // SAFETY: acquired above, with this place.
        unsafe { KeReleaseInStackQueuedSpinLock(&raw const place) };
        result
    }

    /// The value: `&mut self` says that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::{SpinLock, SpinLockGuard};
    use crate::irql::{Irql, current};
    use std::thread::scope;

    #[test]
    fn one_at_a_time() {
        static COUNT: SpinLock<(u32, u32)> = SpinLock::new((0, 0));
        let turns = if cfg!(miri) { 20 } else { 2000 };
        scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    for _ in 0..turns {
                        let mut pair = COUNT.lock();
                        pair.0 += 1;
                        assert_eq!(current(), Irql::DISPATCH);
                        pair.1 += 1;
                    }
                });
            }
        });
        assert_eq!(*COUNT.lock(), (3 * turns, 3 * turns));
        assert_eq!(current(), Irql::PASSIVE);
    }

    #[test]
    fn the_level_is_restored_by_the_outer_guard() {
        let (one, other) = (SpinLock::new(1), SpinLock::new(2));
        let outer = one.lock();
        {
            let inner = other.lock();
            assert!(other.try_lock().is_none());
            assert_eq!((*inner, current()), (2, Irql::DISPATCH));
        }
        {
            let inner = other.lock_at_dispatch(SpinLockGuard::at_dispatch(&outer));
            assert_eq!(*inner, 2);
        }
        assert_eq!(current(), Irql::DISPATCH);
        drop(outer);
        assert_eq!(current(), Irql::PASSIVE);
    }

    #[test]
    fn trying() {
        let lock = SpinLock::new(5);
        let held = lock.try_lock().unwrap();
        assert_eq!(current(), Irql::DISPATCH);
        drop(held);
        scope(|threads| {
            let held = lock.lock();
            let other = threads.spawn(|| (lock.try_lock().is_none(), current()));
            assert_eq!(other.join().unwrap(), (true, Irql::PASSIVE));
            drop(held);
        });
        assert_eq!(lock.into_inner(), 5);
    }
}
