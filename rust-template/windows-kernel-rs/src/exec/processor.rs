//! Processors: which there are, and staying on one.

use core::marker::PhantomData;

use windows_kernel_sys::{
    GROUP_AFFINITY, KeGetCurrentProcessorNumberEx, KeGetProcessorNumberFromIndex,
    KeQueryActiveProcessorCountEx, KeRevertToUserGroupAffinityThread,
    KeSetSystemGroupAffinityThread, PROCESSOR_NUMBER,
};

use crate::error::check;
use crate::irql::{self, Irql};

/// `ALL_PROCESSOR_GROUPS`.
const ALL_GROUPS: u16 = 0xFFFF;

/// A logical processor of this computer.
///
/// WDK: "Processor Groups".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Processor {
    index: u32,
    group: u16,
    number: u8,
}

impl Processor {
    /// How many there are, at least 1. IRQL: any. WDK: "KeQueryActiveProcessorCountEx function
    /// (wdm.h)".
    #[must_use]
    pub fn count() -> u32 {
        // SAFETY: it has no precondition.
        unsafe { KeQueryActiveProcessorCountEx(ALL_GROUPS) }
    }

    /// All of them. IRQL: any.
    ///
    /// ```no_run
    /// use windows_kernel_rs::exec::Processor;
    /// for processor in Processor::all() {
    ///     windows_kernel_rs::println!("{}", processor.index());
    /// }
    /// ```
    pub fn all() -> impl Iterator<Item = Processor> {
        (0..Self::count()).filter_map(Self::from_index)
    }

    /// That with this index, from 0 to below [`count`](Self::count). IRQL: any. WDK:
    /// "KeGetProcessorNumberFromIndex function (wdm.h)".
    #[must_use]
    pub fn from_index(index: u32) -> Option<Self> {
        let mut number = PROCESSOR_NUMBER::default();
        // SAFETY: the number is on the stack.
        let status = unsafe { KeGetProcessorNumberFromIndex(index, &raw mut number) };
        check(status).ok()?;
        Some(Processor { index, group: number.Group, number: number.Number })
    }

    /// The one that this code runs on. Below DISPATCH the thread may be on another already when
    /// this returns, unless it is [pinned](Self::pin). IRQL: any. WDK:
    /// "KeGetCurrentProcessorNumberEx function (wdm.h)".
    #[must_use]
    pub fn current() -> Self {
        let mut number = PROCESSOR_NUMBER::default();
        // SAFETY: the number is on the stack.
        let index = unsafe { KeGetCurrentProcessorNumberEx(&raw mut number) };
        Processor { index, group: number.Group, number: number.Number }
    }

    /// Its index, counted through all groups. IRQL: any.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    pub(super) fn number(self) -> PROCESSOR_NUMBER {
        PROCESSOR_NUMBER { Group: self.group, Number: self.number, Reserved: 0 }
    }

    /// Moves the current thread to this processor, where it stays until the guard is dropped.
    ///
    /// IRQL <= APC. WDK: "KeSetSystemGroupAffinityThread function (wdm.h)".
    ///
    /// ```no_run
    /// use windows_kernel_rs::exec::Processor;
    ///
    /// for processor in Processor::all() {
    ///     let _here = processor.pin();
    ///     assert_eq!(Processor::current(), processor);
    /// }
    /// ```
    #[track_caller]
    pub fn pin(self) -> Pinned {
        irql::assert_at_most(Irql::APC, "Processor::pin");
        let wanted =
            GROUP_AFFINITY { Mask: 1 << self.number, Group: self.group, ..Default::default() };
        let mut before = GROUP_AFFINITY::default();
        // SAFETY: both are on the stack; processors are not taken away while the system runs.
        unsafe { KeSetSystemGroupAffinityThread(&raw const wanted, &raw mut before) };
        Pinned { before, thread: PhantomData }
    }

    /// Calls `body` on this processor. IRQL <= APC.
    ///
    /// ```no_run
    /// use windows_kernel_rs::exec::Processor;
    /// let indices = Processor::all().map(|p| p.run(|| Processor::current().index()));
    /// # let _ = indices.count();
    /// ```
    #[track_caller]
    pub fn run<R>(self, body: impl FnOnce() -> R) -> R {
        let _here = self.pin();
        body()
    }
}

/// The current thread stays on a processor until this is dropped.
///
/// It belongs to its thread (it is not `Send`). Guards are dropped in the reverse order of their
/// making, as local variables are; else the thread stays where the last one dropped came from.
#[must_use = "the thread may move again when this is dropped, at once if it is not kept"]
pub struct Pinned {
    before: GROUP_AFFINITY,
    /// Of this thread only.
    thread: PhantomData<*mut ()>,
}

impl Drop for Pinned {
    /// IRQL <= APC. WDK: "KeRevertToUserGroupAffinityThread function (wdm.h)".
    fn drop(&mut self) {
        irql::assert_at_most(Irql::APC, "exec::Pinned (drop)");
        // SAFETY: what KeSetSystemGroupAffinityThread gave for this thread.
        unsafe { KeRevertToUserGroupAffinityThread(&raw const self.before) };
    }
}
