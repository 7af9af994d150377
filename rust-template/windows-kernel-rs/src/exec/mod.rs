//! What runs when: threads, DPCs, timers, work items, delays, processors.
//!
//! | | runs | at | use it to |
//! |---|---|---|---|
//! | [`thread`] | a closure in a thread of its own | PASSIVE | do something for long, or wait |
//! | [`WorkItem`] | a closure in a thread of the system's | PASSIVE | get away from DISPATCH |
//! | [`Dpc`] | a closure on a processor, soon | DISPATCH | get away from a device's IRQL |
//! | [`Timer`] | a closure when it is time | DISPATCH | do something later, or again and again |
//!
//! **Unloading.** Code that runs after its driver is gone is the classic bug of a driver. Here it
//! cannot happen: each of these values ends what it started when it is dropped, and waits for it.
//! And each keeps the driver's image in memory as long as it lives (by a reference to the driver
//! object, as WDK's "IoCreateSystemThread function (wdm.h)" does), so that a value which is never
//! dropped, [`core::mem::forget`] is safe to call, wastes memory rather than running code that is
//! not there.
//!
//! **Dropping waits**, so it wants IRQL PASSIVE. That is checked in release builds too: a panic
//! (see [`panic`](crate::panic)) says what was dropped where. What a closure owns is dropped with
//! it, never at DISPATCH.
//!
//! **Closures** are `'static` (they outlive the function that made them) and `Send`; those that
//! may run on two processors at once are also `Sync` and take what they own by `&`. What they
//! change is behind a lock or an atomic.

pub mod dpc;
pub(crate) mod image;
pub mod processor;
pub mod stop;
pub mod thread;
pub mod timer;
pub mod work;

use core::time::Duration;

use windows_kernel_sys::{FALSE, KeDelayExecutionThread, KeStallExecutionProcessor, KernelMode};

pub use self::dpc::{Dpc, Importance};
pub use self::processor::{Pinned, Processor};
pub use self::stop::{StopSource, StopToken, Worker};
pub use self::thread::JoinHandle;
pub use self::timer::Timer;
pub use self::work::WorkItem;
use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::sync::wait::relative;

/// The longest [`stall`], which WDK's "KeStallExecutionProcessor function (ntifs.h)" asks for.
pub const LONGEST_STALL: Duration = Duration::from_micros(50);

/// Lets other threads run for at least `time`. Windows looks at its clock every 0.5 to 15.6 ms,
/// so it takes up to that much longer.
///
/// IRQL <= APC. WDK: "KeDelayExecutionThread function (wdm.h)".
///
/// ```no_run
/// use core::time::Duration;
/// windows_kernel_rs::exec::sleep(Duration::from_millis(10));
/// ```
#[track_caller]
pub fn sleep(time: Duration) {
    irql::assert_at_most(Irql::APC, "exec::sleep");
    delay(relative(time));
}

/// Lets other threads of the same or a higher priority run, if there are any.
///
/// IRQL <= APC. WDK: "KeDelayExecutionThread function (wdm.h)", with an interval of 0.
///
/// ```no_run
/// windows_kernel_rs::exec::yield_now();
/// ```
#[track_caller]
pub fn yield_now() {
    irql::assert_at_most(Irql::APC, "exec::yield_now");
    delay(0);
}

fn delay(interval: i64) {
    // SAFETY: the interval is on the stack. Nothing alerts a wait in kernel mode that is not
    // alertable: the status says nothing.
    unsafe { KeDelayExecutionThread(KernelMode as i8, FALSE, &raw const interval) };
}

/// Keeps this processor busy for at least `time`, rounded up to microseconds: for a device that
/// needs a moment between two accesses. All that is longer is for [`sleep`] or a [`Timer`].
///
/// IRQL: any. WDK: "KeStallExecutionProcessor function (ntifs.h)".
///
/// # Errors
/// [`Error::INVALID_PARAMETER`] for more than [`LONGEST_STALL`]; it returns at once.
///
/// ```no_run
/// # fn f() -> windows_kernel_rs::Result<()> {
/// use core::time::Duration;
/// windows_kernel_rs::exec::stall(Duration::from_micros(10))
/// # }
/// ```
pub fn stall(time: Duration) -> Result<()> {
    if time > LONGEST_STALL {
        return Err(Error::INVALID_PARAMETER);
    }
    // SAFETY: it has no precondition.
    unsafe { KeStallExecutionProcessor(time.subsec_nanos().div_ceil(1000)) };
    Ok(())
}

/// In all builds: panics where `what` is dropped above `most`, and so cannot wait for its end.
#[inline]
#[track_caller]
fn assert_can_end(most: Irql, what: &str) {
    if irql::current() > most {
        cannot_end(most, what);
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn cannot_end(most: Irql, what: &str) -> ! {
    let now = irql::current();
    panic!("{what} is dropped at {now}: it waits for its end, which it may at {most} and below");
}
