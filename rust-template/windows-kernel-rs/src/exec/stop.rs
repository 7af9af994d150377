//! Ending a thread's loop: [`StopSource`], [`StopToken`], and [`Worker`], a thread with both.

use core::ffi::c_void;
use core::ops::Deref;
use core::time::Duration;

use super::thread::{self, JoinHandle};
use crate::error::Result;
use crate::mem::arc::Arc;
use crate::sync::wait::sealed::Object;
use crate::sync::{Event, EventKind, Waitable};

/// Tells all who have a [`StopToken`] of it to stop; dropping it does so too.
///
/// ```no_run
/// use core::time::Duration;
/// use windows_kernel_rs::exec::{StopSource, thread};
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let source = StopSource::try_new()?;
/// let token = source.token();
/// let thread = thread::try_spawn(move || {
///     let mut rounds = 0;
///     while !token.sleep(Duration::from_millis(10)) {
///         rounds += 1;
///     }
///     rounds
/// })?;
/// source.stop();
/// let rounds: u64 = thread.join()?;
/// # drop(rounds); Ok(()) }
/// ```
pub struct StopSource {
    event: Arc<Event>,
}

/// Says whether to stop. Clones say the same. It is [`Waitable`]: a thread can wait for it and for
/// something else at once.
///
/// ```no_run
/// use windows_kernel_rs::exec::StopToken;
/// use windows_kernel_rs::sync::{Semaphore, wait_any};
///
/// fn serve(stop: &StopToken, work: &Semaphore) {
///     while wait_any([stop, work]) != 0 {
///         // One piece of work.
///     }
/// }
/// ```
#[derive(Clone)]
pub struct StopToken {
    event: Arc<Event>,
}

impl StopSource {
    /// One that has not told anybody to stop. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out.
    pub fn try_new() -> Result<Self> {
        let event = Arc::try_new(Event::try_new(EventKind::Notification, false)?)?;
        Ok(StopSource { event })
    }

    /// A token for who is to stop. IRQL: any.
    #[must_use]
    pub fn token(&self) -> StopToken {
        StopToken { event: self.event.clone() }
    }

    /// Tells all to stop, and ends their waits. IRQL <= DISPATCH. WDK: "KeSetEvent function
    /// (wdm.h)".
    #[track_caller]
    pub fn stop(&self) {
        self.event.set();
    }
}

impl Drop for StopSource {
    /// IRQL <= DISPATCH.
    fn drop(&mut self) {
        self.stop();
    }
}

impl StopToken {
    /// Whether to stop. IRQL <= DISPATCH. WDK: "KeReadStateEvent function (wdm.h)".
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.event.is_signaled()
    }

    /// Sleeps for `time`, or until it is time to stop; whether it is. IRQL <= APC.
    #[must_use]
    #[track_caller]
    pub fn sleep(&self, time: Duration) -> bool {
        self.wait_for(time).is_signaled()
    }
}

// SAFETY: an event, which `self` keeps.
unsafe impl Object for StopToken {
    fn object(&self) -> *const c_void {
        self.event.object()
    }
}

/// A thread that is told to stop, and waited for, when this is dropped.
///
/// Dropping it at another IRQL than PASSIVE is a panic, as for a [`JoinHandle`].
///
/// ```no_run
/// use core::time::Duration;
/// use windows_kernel_rs::exec::Worker;
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let worker = Worker::try_spawn(|stop| {
///     while !stop.sleep(Duration::from_secs(1)) {
///         windows_kernel_rs::println!("still here");
///     }
/// })?;
/// worker.stop()
/// # }
/// ```
#[must_use = "dropping it ends the thread"]
pub struct Worker<T = ()> {
    // Dropped in this order: told, then waited for.
    source: StopSource,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Worker<T> {
    /// Runs a closure in a thread of its own; it returns soon after its token says so.
    ///
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    /// As [`thread::try_spawn`].
    #[track_caller]
    pub fn try_spawn<F>(body: F) -> Result<Self>
    where
        F: FnOnce(&StopToken) -> T + Send + 'static,
    {
        let source = StopSource::try_new()?;
        let token = source.token();
        let thread = thread::try_spawn(move || body(&token))?;
        Ok(Worker { source, thread })
    }

    /// Tells the thread to stop without waiting for it. IRQL <= DISPATCH.
    #[track_caller]
    pub fn request_stop(&self) {
        self.source.stop();
    }

    /// Tells the thread to stop, waits for it, and gives back what its closure returned.
    ///
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    #[track_caller]
    pub fn stop(self) -> Result<T> {
        drop(self.source);
        self.thread.join()
    }
}

impl<T> Deref for Worker<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        &self.thread
    }
}
