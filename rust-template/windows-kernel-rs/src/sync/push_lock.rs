//! [`Mutex`] and [`RwLock`] on push locks.
//!
//! WDK: "ExInitializePushLock function (wdm.h)", "ExAcquirePushLockExclusive macro (wdm.h)". A push
//! lock is one word, which is zero when nobody holds it: these locks need no initialization and
//! can be in a `static`. Kernel APCs are off while one is held ("KeEnterCriticalRegion function
//! (ntddk.h)"): a thread that is suspended meanwhile would stop all who wait. The IRQL stays as
//! it is, so the holder may use paged memory, files and the registry.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use windows_kernel_sys::EX_DEFAULT_PUSH_LOCK_FLAGS as DEFAULT;

use super::raw;
use crate::irql::{self, Irql};

/// A push lock in critical regions.
#[derive(Default)]
struct PushLock(UnsafeCell<usize>);

// SAFETY: only the kernel's routines use the word, from any thread.
unsafe impl Send for PushLock {}
// SAFETY: as for `Send`.
unsafe impl Sync for PushLock {}

impl PushLock {
    const fn new() -> Self {
        PushLock(UnsafeCell::new(0))
    }

    #[track_caller]
    fn acquire(&self, exclusive: bool, routine: &str) {
        irql::assert_at_most(Irql::APC, routine);
        // SAFETY: the word is a push lock's; the same thread releases it and leaves the region.
        unsafe {
            raw::KeEnterCriticalRegion();
            if exclusive {
                raw::ExAcquirePushLockExclusiveEx(self.0.get(), DEFAULT);
            } else {
                raw::ExAcquirePushLockSharedEx(self.0.get(), DEFAULT);
            }
        }
    }

    /// # Safety
    /// This thread holds it in this way.
    #[track_caller]
    unsafe fn release(&self, exclusive: bool, guard: &str) {
        irql::assert_at_most(Irql::APC, guard);
        // SAFETY: the caller's promise.
        unsafe {
            if exclusive {
                raw::ExReleasePushLockExclusiveEx(self.0.get(), DEFAULT);
            } else {
                raw::ExReleasePushLockSharedEx(self.0.get(), DEFAULT);
            }
            raw::KeLeaveCriticalRegion();
        }
    }
}

/// A value for one thread at a time; others sleep until it is free. The usual lock of drivers.
///
/// IRQL <= APC. Kernel APCs are off while it is held. One that DPCs use too is a
/// [`SpinLock`](super::SpinLock).
/// WDK: "ExAcquirePushLockExclusive macro (wdm.h)".
///
/// ```no_run
/// # extern crate alloc;
/// use alloc::vec::Vec;
/// use windows_kernel_rs::{Error, Result};
/// use windows_kernel_rs::sync::Mutex;
///
/// static NAMES: Mutex<Vec<u32>> = Mutex::new(Vec::new());
///
/// fn add(name: u32) -> Result<()> {
///     let mut names = NAMES.lock();
///     names.try_reserve(1)?;
///     names.push(name);
///     Ok(())
/// }
/// ```
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    lock: PushLock,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time, which may move it out.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A lock that nobody holds. IRQL: any.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Mutex { lock: PushLock::new(), value: UnsafeCell::new(value) }
    }

    /// The value; nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock; sleeps until it is free.
    ///
    /// IRQL <= APC. A thread that holds it already waits for ever.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock.acquire(true, "Mutex::lock");
        MutexGuard { lock: self, thread: PhantomData }
    }

    /// The value: `&mut self` says that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// The value of a [`Mutex`], until this is dropped. IRQL of dropping <= APC.
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// The critical region is of this thread.
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

super::shown!(MutexGuard<T: ?Sized>);

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held, and `&mut` only comes from `&mut self`.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the lock is held since the guard was made, on this thread.
        unsafe { self.lock.lock.release(true, "dropping a MutexGuard") };
    }
}

/// A value for many readers or one writer at a time.
///
/// IRQL <= APC. Kernel APCs are off while it is held. A reader that reads again may wait for a
/// writer who waits for the reader: take it once.
/// WDK: "ExAcquirePushLockShared macro (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::sync::RwLock;
///
/// static LIMITS: RwLock<(u32, u32)> = RwLock::new((0, 100));
///
/// fn allowed(value: u32) -> bool {
///     let limits = LIMITS.read();
///     (limits.0..limits.1).contains(&value)
/// }
/// fn limit(most: u32) {
///     LIMITS.write().1 = most;
/// }
/// ```
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    lock: PushLock,
    value: UnsafeCell<T>,
}

// SAFETY: readers share the value (`Sync`), a writer may move it out (`Send`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// A lock that nobody holds. IRQL: any.
    #[must_use]
    pub const fn new(value: T) -> Self {
        RwLock { lock: PushLock::new(), value: UnsafeCell::new(value) }
    }

    /// The value; nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes the lock to read; sleeps while somebody writes. IRQL <= APC.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.lock.acquire(false, "RwLock::read");
        RwLockReadGuard { lock: self, thread: PhantomData }
    }

    /// Takes the lock to write; sleeps while anybody else has it. IRQL <= APC.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.lock.acquire(true, "RwLock::write");
        RwLockWriteGuard { lock: self, thread: PhantomData }
    }

    /// The value: `&mut self` says that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// The value of a [`RwLock`] to read, until this is dropped. IRQL of dropping <= APC.
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

super::shown!(RwLockReadGuard<T: ?Sized>);

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held by readers only.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the lock is held since the guard was made, on this thread.
        unsafe { self.lock.lock.release(false, "dropping a RwLockReadGuard") };
    }
}

/// The value of a [`RwLock`] to write, until this is dropped. IRQL of dropping <= APC.
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

super::shown!(RwLockWriteGuard<T: ?Sized>);

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held, and `&mut` only comes from `&mut self`.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the lock is held since the guard was made, on this thread.
        unsafe { self.lock.lock.release(true, "dropping a RwLockWriteGuard") };
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutex, RwLock};
    use std::thread::scope;
    use std::vec::Vec;

    #[test]
    fn a_guard_is_shown_as_its_value() {
        let (mutex, pair) = (Mutex::new(3), RwLock::new((1, 2)));
        assert_eq!(std::format!("{} {:?}", mutex.lock(), pair.write()), "3 (1, 2)");
        assert_eq!(std::format!("{:?}", pair.read()), "(1, 2)");
    }

    #[test]
    fn one_writes_or_many_read() {
        let turns = if cfg!(miri) { 20 } else { 1000 };
        let pair = RwLock::new((0u32, 0u32));
        scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    for _ in 0..turns {
                        let mut pair = pair.write();
                        pair.0 += 1;
                        pair.1 += 1;
                    }
                });
                threads.spawn(|| {
                    for _ in 0..turns {
                        let pair = pair.read();
                        assert_eq!(pair.0, pair.1);
                    }
                });
            }
        });
        assert_eq!(pair.into_inner(), (2 * turns, 2 * turns));
    }

    #[test]
    fn readers_share() {
        let lock = RwLock::new(1);
        let (one, other) = (lock.read(), lock.read());
        assert_eq!(*one + *other, 2);
    }

    #[test]
    fn a_mutex_of_what_is_not_copied() {
        let names: Mutex<Vec<usize>> = Mutex::default();
        scope(|threads| {
            for number in 0..4 {
                let names = &names;
                threads.spawn(move || names.lock().push(number));
            }
        });
        let mut names = names.into_inner();
        names.sort_unstable();
        assert_eq!(names, [0, 1, 2, 3]);
    }
}
