//! [`HighLock`]: a lock that can be taken at any IRQL.

use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

use crate::irql::{self, Irql, Raised};

/// A value that code of any IRQL uses, one processor at a time: routines that the kernel calls
/// above DISPATCH, such as a [`PrintNotify`](crate::notify::PrintNotify)'s, and threads.
///
/// While it is held the processor is at HIGH_LEVEL and does nothing else at all, so sections are as
/// short as copying some hundred bytes. Where [`SpinLock`](super::SpinLock) will do, it is better.
///
/// Only what interrupts HIGH_LEVEL itself (a nonmaskable interrupt, a bug check) can find that its
/// own processor holds the lock: [`try_lock`](Self::try_lock) says so, rather than wait for ever.
///
/// ```no_run
/// use windows_kernel_rs::sync::HighLock;
///
/// static LAST: HighLock<[u32; 2]> = HighLock::new([0; 2]);
///
/// fn note(component: u32, level: u32) {
///     if let Some(mut last) = LAST.try_lock() {
///         *last = [component, level];
///     }
/// }
/// ```
#[derive(Default)]
pub struct HighLock<T: ?Sized> {
    /// 0, or the index of the processor that holds it and 1.
    owner: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value may be moved out by its owner.
unsafe impl<T: ?Sized + Send> Send for HighLock<T> {}
// SAFETY: the lock gives the value to one processor at a time, which may move it out.
unsafe impl<T: ?Sized + Send> Sync for HighLock<T> {}

impl<T> HighLock<T> {
    /// A lock that nobody holds. IRQL: any.
    #[must_use]
    pub const fn new(value: T) -> Self {
        HighLock { owner: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// The value; nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> HighLock<T> {
    /// Takes the lock; spins while another processor has it. `None` where this processor has it
    /// already. IRQL: any.
    #[must_use]
    pub fn try_lock(&self) -> Option<HighLockGuard<'_, T>> {
        let raised = irql::raise(Irql::HIGH);
        let me = processor() + 1;
        loop {
            match self.owner.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(HighLockGuard { lock: self, _raised: raised }),
                Err(owner) if owner == me => return None,
                Err(_) => core::hint::spin_loop(),
            }
        }
    }

    /// The value: `&mut self` says that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized> fmt::Debug for HighLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HighLock").finish_non_exhaustive()
    }
}

/// The value of a [`HighLock`], until this is dropped: then the IRQL is what it was.
///
/// It stays on the processor that made it (it is not `Send`).
#[must_use = "the lock is released when this is dropped, at once if it is not kept"]
pub struct HighLockGuard<'a, T: ?Sized> {
    lock: &'a HighLock<T>,
    // Lowered when the lock is released.
    _raised: Raised,
}

// SAFETY: a shared guard only gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for HighLockGuard<'_, T> {}

super::shown!(HighLockGuard<T: ?Sized>);

impl<T: ?Sized> Deref for HighLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for HighLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for HighLockGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.owner.store(0, Ordering::Release);
    }
}

#[cfg(not(test))]
fn processor() -> u32 {
    crate::exec::Processor::current().index()
}

/// In unit tests each thread is a processor.
#[cfg(test)]
fn processor() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::thread_local!(static INDEX: u32 = NEXT.fetch_add(1, Ordering::Relaxed));
    INDEX.with(|index| *index)
}

#[cfg(test)]
mod tests {
    use super::HighLock;
    use crate::irql::{Irql, current, raise};
    use std::thread;

    #[test]
    fn one_processor_at_a_time() {
        let lock = HighLock::new(0u32);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        *lock.try_lock().expect("held by nobody here") += 1;
                    }
                });
            }
        });
        assert_eq!(lock.into_inner(), 4000);
    }

    #[test]
    fn its_own_processor_does_not_wait_for_itself() {
        let lock = HighLock::new(());
        let raised = raise(Irql::from_raw(12));
        let held = lock.try_lock();
        assert!(held.is_some() && current() == Irql::HIGH);
        assert!(lock.try_lock().is_none());
        drop(held);
        assert_eq!(current(), Irql::from_raw(12));
        assert!(lock.try_lock().is_some());
        drop(raised);
    }
}
