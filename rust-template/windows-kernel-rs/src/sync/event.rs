//! [`Event`]: it has happened, or not yet.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomPinned;
use core::pin::Pin;

use windows_kernel_sys::{
    EVENT_TYPE, FALSE, IO_NO_INCREMENT, KEVENT, KeClearEvent, KeInitializeEvent, KeReadStateEvent,
    KeResetEvent, KeSetEvent, NotificationEvent, SynchronizationEvent,
};

use super::wait::sealed::Object;
use crate::error::Result;
use crate::irql::{self, Irql};
use crate::mem::try_box;

/// What a wait does to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It stays signaled until somebody resets it: all who wait go on.
    Notification,
    /// A wait resets it: one of those who wait goes on.
    Synchronization,
}

/// An event, for threads to wait for ([`Waitable`](super::Waitable)) and for anybody to set.
///
/// IRQL <= DISPATCH, of waiting <= APC. WDK: "Event Objects", "KeSetEvent function (wdm.h)".
///
/// ```no_run
/// use core::time::Duration;
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::sync::{Event, EventKind, Waitable};
///
/// fn wait_a_little() -> Result<bool> {
///     let done = Event::try_new(EventKind::Notification, false)?;
///     // … somebody calls done.set() …
///     Ok(done.wait_for(Duration::from_millis(100)).is_signaled())
/// }
/// ```
pub struct Event {
    inner: Pin<Box<Inner>>,
}

struct Inner {
    event: UnsafeCell<KEVENT>,
    _pinned: PhantomPinned,
}

// SAFETY: only the kernel's routines use the event, from any thread.
unsafe impl Send for Event {}
// SAFETY: as for `Send`.
unsafe impl Sync for Event {}

// SAFETY: the event is boxed and initialized.
unsafe impl Object for Event {
    fn object(&self) -> *const c_void {
        self.inner.event.get().cast()
    }
}

impl Event {
    /// An event that is `signaled` or not. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out.
    pub fn try_new(kind: EventKind, signaled: bool) -> Result<Self> {
        let event = UnsafeCell::default();
        let inner = Box::into_pin(try_box(Inner { event, _pinned: PhantomPinned })?);
        let kind: EVENT_TYPE = match kind {
            EventKind::Notification => NotificationEvent,
            EventKind::Synchronization => SynchronizationEvent,
        };
        // SAFETY: it is where it stays, in nonpaged memory, and nobody knows it yet.
        unsafe { KeInitializeEvent(inner.event.get(), kind, signaled.into()) };
        Ok(Event { inner })
    }

    /// Signals it; says whether it was signaled before. IRQL <= DISPATCH.
    #[track_caller]
    pub fn set(&self) -> bool {
        irql::assert_at_most(Irql::DISPATCH, "Event::set");
        // SAFETY: it is initialized.
        unsafe { KeSetEvent(self.inner.event.get(), IO_NO_INCREMENT as i32, FALSE) != 0 }
    }

    /// Makes it not signaled. IRQL <= DISPATCH. WDK: "KeClearEvent function (wdm.h)".
    #[track_caller]
    pub fn clear(&self) {
        irql::assert_at_most(Irql::DISPATCH, "Event::clear");
        // SAFETY: it is initialized.
        unsafe { KeClearEvent(self.inner.event.get()) };
    }

    /// Makes it not signaled; says whether it was signaled. IRQL <= DISPATCH.
    /// WDK: "KeResetEvent function (wdm.h)".
    #[track_caller]
    pub fn reset(&self) -> bool {
        irql::assert_at_most(Irql::DISPATCH, "Event::reset");
        // SAFETY: it is initialized.
        unsafe { KeResetEvent(self.inner.event.get()) != 0 }
    }

    /// Whether it is signaled, without waiting and without changing it. IRQL <= DISPATCH.
    /// WDK: "KeReadStateEvent function (wdm.h)".
    #[must_use]
    pub fn is_signaled(&self) -> bool {
        // SAFETY: it is initialized.
        unsafe { KeReadStateEvent(self.inner.event.get()) != 0 }
    }

    /// The event, for `windows-kernel-sys`; valid as long as `self`.
    #[must_use]
    pub fn as_raw(&self) -> *mut KEVENT {
        self.inner.event.get()
    }
}
