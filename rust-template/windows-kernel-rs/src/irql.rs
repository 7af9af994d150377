//! The interrupt request level: [`Irql`], [`current`], raising it, and the check that every
//! routine of this crate makes.
//!
//! WDK: "Managing Hardware Priorities". The IRQL says what code may do: at [`Irql::DISPATCH`] and
//! above it may not wait nor touch paged memory. Each public item says "IRQL <= …"; in debug
//! builds [`assert_at_most`] checks it, in release builds the check is not there.
//!
//! Where a type can say it exactly, it does: [`Raised`] and the guards of [`sync`](crate::sync)
//! restore what they raised and stay on their thread, and [`AtDispatch`] is proof that the IRQL
//! is DISPATCH for as long as it lives.

use core::fmt;
use core::marker::PhantomData;

use windows_kernel_sys as sys;

/// An interrupt request level. Levels compare: `Irql::PASSIVE < Irql::DISPATCH`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Irql(u8);

impl Irql {
    /// Threads run, may wait, and may use paged memory.
    pub const PASSIVE: Irql = Irql(sys::PASSIVE_LEVEL as u8);
    /// As PASSIVE, without APCs. A [`FastMutex`](crate::sync::FastMutex) is held here.
    pub const APC: Irql = Irql(sys::APC_LEVEL as u8);
    /// No other thread runs on this processor: no waiting, no paged memory. DPCs and spin locks.
    pub const DISPATCH: Irql = Irql(sys::DISPATCH_LEVEL as u8);
    /// Nothing interrupts this processor.
    pub const HIGH: Irql = Irql(sys::HIGH_LEVEL as u8);

    /// The level of a number; those of devices are between DISPATCH and HIGH.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Self {
        Irql(raw)
    }

    /// Its number.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Irql::PASSIVE => f.pad("PASSIVE_LEVEL"),
            Irql::APC => f.pad("APC_LEVEL"),
            Irql::DISPATCH => f.pad("DISPATCH_LEVEL"),
            Irql::HIGH => f.pad("HIGH_LEVEL"),
            Irql(other) => write!(f, "IRQL {other}"),
        }
    }
}

impl fmt::Debug for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The current level of this processor. IRQL: any. WDK: "KeGetCurrentIrql function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::irql::{self, Irql};
/// assert!(irql::current() <= Irql::APC, "waits");
/// ```
#[inline]
#[must_use]
pub fn current() -> Irql {
    // SAFETY: it has no precondition.
    Irql(unsafe { raw::KeGetCurrentIrql() })
}

/// In debug builds, panics when the IRQL is above `most`, naming `routine` and the caller's line;
/// in release builds it does nothing. IRQL: any.
///
/// ```no_run
/// use windows_kernel_rs::irql::{self, Irql};
///
/// /// Reads the configuration. IRQL: PASSIVE.
/// fn configure() {
///     irql::assert_at_most(Irql::PASSIVE, "configure");
/// }
/// ```
///
/// # Panics
/// In debug builds, when the IRQL is above `most`.
#[inline]
#[track_caller]
pub fn assert_at_most(most: Irql, routine: &str) {
    if cfg!(debug_assertions) && current() > most {
        too_high(most, routine);
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn too_high(most: Irql, routine: &str) -> ! {
    panic!("{routine} may be called at {most} and below; the IRQL is {}", current());
}

/// In debug builds, panics when the IRQL is not what the guard that is dropped had raised it to.
#[inline]
#[track_caller]
pub(crate) fn assert_is(level: Irql, guard: &str) {
    if cfg!(debug_assertions) && current() != level {
        out_of_order(level, guard);
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn out_of_order(level: Irql, guard: &str) -> ! {
    panic!(
        "{guard} is dropped at {}, it was made at {level}: guards that raise the IRQL are dropped \
         in the reverse order of their making",
        current()
    );
}

/// The IRQL was raised, and is restored when this is dropped.
///
/// It stays on the thread that raised it (it is not `Send`). Guards are dropped in the reverse
/// order of their making, as Rust does by itself with local variables; debug builds check it.
///
/// ```no_run
/// use windows_kernel_rs::irql::{self, Irql};
///
/// let raised = irql::raise(Irql::DISPATCH);
/// // Nothing else runs on this processor now.
/// drop(raised);
/// ```
#[must_use = "the IRQL is restored when this is dropped, at once if it is not kept"]
#[derive(Debug)]
pub struct Raised {
    old: Irql,
    level: Irql,
    /// Of this thread only.
    thread: PhantomData<*mut ()>,
}

/// Raises the IRQL to `level`, or leaves it where it is higher already. IRQL: any.
///
/// WDK: "KeRaiseIrql macro (wdm.h)", "KeLowerIrql function (wdm.h)".
#[inline]
pub fn raise(level: Irql) -> Raised {
    let old = current();
    if level > old {
        // SAFETY: it is not below the current level; `Raised` stays on this thread and lowers it.
        unsafe { raw::KfRaiseIrql(level.0) };
    }
    Raised { old, level: level.max(old), thread: PhantomData }
}

impl Raised {
    /// The level before, to which it is restored.
    #[must_use]
    pub fn old(&self) -> Irql {
        self.old
    }

    /// Proof that the IRQL is DISPATCH, if that is what it was raised to.
    #[must_use]
    pub fn at_dispatch(&self) -> Option<AtDispatch<'_>> {
        (self.level == Irql::DISPATCH).then_some(AtDispatch { life: PhantomData })
    }
}

impl Drop for Raised {
    #[inline]
    fn drop(&mut self) {
        assert_is(self.level, "irql::Raised");
        // What is out of order must not raise it.
        if self.old < current() {
            // SAFETY: it was that level when this was made, on this thread.
            unsafe { raw::KeLowerIrql(self.old.0) };
        }
    }
}

/// Proof that this processor is at DISPATCH_LEVEL, as long as it is borrowed from what says so:
/// a [`Raised`], a spin lock's guard, or the framework's call of a DPC.
///
/// [`SpinLock::lock_at_dispatch`](crate::sync::SpinLock::lock_at_dispatch) asks for it. It is not
/// `Send`: another processor is at a level of its own.
#[derive(Clone, Copy, Debug)]
pub struct AtDispatch<'a> {
    life: PhantomData<(&'a (), *mut ())>,
}

impl AtDispatch<'_> {
    /// For callers who know that the IRQL is DISPATCH, such as a DPC's routine. In debug builds
    /// it is checked.
    ///
    /// # Safety
    /// The IRQL is DISPATCH_LEVEL and stays so, on this thread, as long as the value lives.
    #[inline]
    #[must_use]
    #[track_caller]
    pub unsafe fn new() -> Self {
        debug_assert!(current() == Irql::DISPATCH, "not at DISPATCH_LEVEL: {}", current());
        AtDispatch { life: PhantomData }
    }
}

#[cfg(not(test))]
mod raw {
    pub use windows_kernel_sys::{KeGetCurrentIrql, KeLowerIrql, KfRaiseIrql};
}

/// The kernel's routines for unit tests: each thread is a processor.
#[cfg(test)]
#[allow(non_snake_case)]
pub(crate) mod raw {
    use core::cell::Cell;

    std::thread_local!(static LEVEL: Cell<u8> = const { Cell::new(0) });

    pub unsafe fn KeGetCurrentIrql() -> u8 {
        LEVEL.get()
    }

    pub unsafe fn KfRaiseIrql(level: u8) -> u8 {
        assert!(level >= LEVEL.get(), "IRQL_NOT_GREATER_OR_EQUAL");
        LEVEL.replace(level)
    }

    pub unsafe fn KeLowerIrql(level: u8) {
        assert!(level <= LEVEL.get(), "IRQL_NOT_LESS_OR_EQUAL");
        LEVEL.set(level);
    }
}

#[cfg(test)]
mod tests {
    use super::{Irql, assert_at_most, current, raise};
    use std::panic::catch_unwind;
    use std::string::{String, ToString};

    fn message(body: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let caught = catch_unwind(body).unwrap_err();
        caught.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn names() {
        assert_eq!(Irql::DISPATCH.to_string(), "DISPATCH_LEVEL");
        assert_eq!(Irql::from_raw(7).to_string(), "IRQL 7");
        assert!(Irql::PASSIVE < Irql::APC && Irql::APC < Irql::DISPATCH);
    }

    #[test]
    fn raised_and_restored() {
        let outer = raise(Irql::APC);
        assert!(outer.at_dispatch().is_none());
        {
            let inner = raise(Irql::DISPATCH);
            assert_eq!((current(), inner.old()), (Irql::DISPATCH, Irql::APC));
            assert!(inner.at_dispatch().is_some());
            // At least that level: nothing is lowered.
            assert_eq!(raise(Irql::PASSIVE).old(), Irql::DISPATCH);
        }
        assert_eq!(current(), Irql::APC);
        drop(outer);
        assert_eq!(current(), Irql::PASSIVE);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn too_high_is_said() {
        assert_at_most(Irql::PASSIVE, "fine");
        let text = message(|| {
            let _raised = raise(Irql::DISPATCH);
            assert_at_most(Irql::APC, "Event::wait");
        });
        assert_eq!(
            text,
            "Event::wait may be called at APC_LEVEL and below; the IRQL is DISPATCH_LEVEL"
        );
        assert_eq!(current(), Irql::PASSIVE);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn out_of_order_is_said() {
        let text = message(|| {
            let outer = raise(Irql::APC);
            let inner = raise(Irql::DISPATCH);
            core::mem::forget(inner);
            drop(outer);
        });
        assert!(text.starts_with("irql::Raised is dropped at DISPATCH_LEVEL, it was made at APC_"));
    }
}
