//! Ending a thread's loop: [`StopSource`], [`StopToken`], and [`Worker`], a thread with both.

use core::cell::UnsafeCell;
use core::ops::Deref;
use core::time::Duration;

use windows_kernel_sys::{
    IO_NO_INCREMENT, KEVENT, KeInitializeEvent, KeReadStateEvent, KeSetEvent, NotificationEvent,
};

use super::thread::{self, JoinHandle};
use super::wait_for;
use crate::error::Result;
use crate::irql::{self, Irql};
use crate::mem::arc::Arc;

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
    shared: Arc<Shared>,
}

/// Says whether to stop. Clones say the same.
#[derive(Clone)]
pub struct StopToken {
    shared: Arc<Shared>,
}

/// A notification event that is never reset. In an `Arc`, so that it stays where it is.
struct Shared(UnsafeCell<KEVENT>);

// SAFETY: the event is used through kernel routines, which lock.
unsafe impl Send for Shared {}
// SAFETY: as for `Send`.
unsafe impl Sync for Shared {}

impl StopSource {
    /// One that has not told anybody to stop. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out.
    pub fn try_new() -> Result<Self> {
        let shared = Arc::try_new(Shared(UnsafeCell::default()))?;
        // SAFETY: the event is where it stays, and nobody else knows it yet.
        unsafe { KeInitializeEvent(shared.0.get(), NotificationEvent, 0) };
        Ok(StopSource { shared })
    }

    /// A token for who is to stop. IRQL: any.
    #[must_use]
    pub fn token(&self) -> StopToken {
        StopToken { shared: self.shared.clone() }
    }

    /// Tells all to stop, and ends their waits. IRQL <= DISPATCH. WDK: "KeSetEvent function
    /// (wdm.h)".
    pub fn stop(&self) {
        irql::assert_at_most(Irql::DISPATCH, "StopSource::stop");
        // SAFETY: the event is initialized.
        unsafe { KeSetEvent(self.shared.0.get(), IO_NO_INCREMENT as i32, 0) };
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
        irql::assert_at_most(Irql::DISPATCH, "StopToken::is_stopped");
        // SAFETY: the event is initialized.
        unsafe { KeReadStateEvent(self.shared.0.get()) != 0 }
    }

    /// Waits until it is time to stop. IRQL <= APC.
    pub fn wait(&self) {
        irql::assert_at_most(Irql::APC, "StopToken::wait");
        // SAFETY: the event is initialized, and lives as long as `self`.
        unsafe { wait_for(self.shared.0.get().cast(), None) };
    }

    /// Sleeps for `time`, or until it is time to stop; whether it is. IRQL <= APC.
    #[must_use]
    pub fn sleep(&self, time: Duration) -> bool {
        irql::assert_at_most(Irql::APC, "StopToken::sleep");
        // SAFETY: as in `wait`.
        unsafe { wait_for(self.shared.0.get().cast(), Some(time)) }
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
    pub fn request_stop(&self) {
        self.source.stop();
    }

    /// Tells the thread to stop, waits for it, and gives back what its closure returned.
    ///
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
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
