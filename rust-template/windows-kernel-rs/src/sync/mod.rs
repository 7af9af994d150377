//! Locks, events and what else threads, DPCs and requests meet at.
//!
//! | type | what for | waits | held at | in a `static` |
//! |---|---|---|---|---|
//! | [`SpinLock`] | short sections, also in DPCs | spins | DISPATCH | yes |
//! | [`QueuedSpinLock`] | the same, contended by many processors | spins | DISPATCH | yes |
//! | [`RwSpinLock`] | the same, for many readers or one writer | spins | DISPATCH | yes |
//! | [`HighLock`] | the same, for code at any IRQL | spins | HIGH | yes |
//! | [`Mutex`] | the usual lock of threads | sleeps | no change, APCs off | yes |
//! | [`RwLock`] | many readers or one writer | sleeps | no change, APCs off | yes |
//! | [`FastMutex`] | as `Mutex`, with [`try_lock`](FastMutex::try_lock) | sleeps | APC | boxed |
//! | [`Resource`] | as `RwLock`, with `try_read`, downgrading, fairness | sleeps | no change, APCs off | boxed |
//! | [`Event`] | "it has happened" | sleeps | | boxed |
//! | [`Semaphore`] | so many of a thing | sleeps | | boxed |
//! | [`Once`], [`OnceLock`], [`LazyLock`] | made once, at the first use | sleeps | | yes |
//! | [`Rundown`] | no new users, then none at all | sleeps | | yes |
//! | [`Stack`] | values pushed and popped without a lock | never | | yes |
//!
//! What can be in a `static` has a `const fn new`; the others have kernel objects that must not
//! move, and are boxed by `try_new`. A `static` is never dropped, also when the driver is
//! unloaded: what it owns must be taken out in `cleanup` (`CACHE.lock().take()`), or better be
//! kept in the module's own value, which is dropped.
//!
//! All guards are dropped on the thread that made them (they are not `Send`). There is no
//! poisoning: a panic is a bug check. A thread that takes a lock which it holds waits for itself
//! for ever. (The kernel's mutex objects, which a thread may take twice, are not here: each would
//! give it a second `&mut`.)
//!
//! # Atomics
//!
//! `core::sync::atomic` works at any IRQL and is best for counters and flags: `Relaxed` where only
//! the number matters; `Release` by who publishes and `Acquire` by who looks, where other memory is
//! meant by it; `SeqCst` where two atomics are compared. WDK's `Interlocked…` routines are its
//! read-modify-write functions with `SeqCst`. An atomic does not wake anybody: an [`Event`] does.
//! Two atomics that have to change together want a lock.

/// A guard is shown as the value that it guards.
macro_rules! shown {
    ($guard:ident<T $(: ?$sized:ident)?>) => {
        impl<T: core::fmt::Debug $(+ ?$sized)?> core::fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: core::fmt::Display $(+ ?$sized)?> core::fmt::Display for $guard<'_, T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}
use shown;

pub mod event;
pub mod fast_mutex;
pub mod high_lock;
pub mod once;
pub mod push_lock;
pub mod resource;
pub mod rundown;
pub mod rw_spin_lock;
pub mod semaphore;
pub mod spin_lock;
pub mod stack;
pub mod wait;

#[cfg(test)]
mod host;

pub use event::{Event, EventKind};
pub use fast_mutex::{FastMutex, FastMutexGuard};
pub use high_lock::{HighLock, HighLockGuard};
pub use once::{LazyLock, Once, OnceLock};
pub use push_lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use resource::{Resource, ResourceReadGuard, ResourceWriteGuard};
pub use rundown::{Rundown, RundownGuard};
pub use rw_spin_lock::{RwSpinLock, RwSpinLockReadGuard, RwSpinLockWriteGuard};
pub use semaphore::{Permit, Semaphore};
pub use spin_lock::{QueuedSpinLock, SpinLock, SpinLockGuard};
pub use stack::Stack;
pub use wait::{WaitResult, Waitable, wait_all, wait_all_for, wait_any, wait_any_for};

/// The kernel's routines; in unit tests what stands for them.
mod raw {
    #[cfg(test)]
    pub use super::host::*;
    #[cfg(not(test))]
    pub use windows_kernel_sys::{
        ExAcquirePushLockExclusiveEx, ExAcquirePushLockSharedEx, ExReleasePushLockExclusiveEx,
        ExReleasePushLockSharedEx, KeAcquireSpinLockAtDpcLevel, KeAcquireSpinLockRaiseToDpc,
        KeEnterCriticalRegion, KeLeaveCriticalRegion, KeReleaseSpinLock,
        KeReleaseSpinLockFromDpcLevel, KeTryToAcquireSpinLockAtDpcLevel,
    };
}
