//! [`Stack`]: values that are pushed and popped without a lock.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::marker::PhantomData;

use windows_kernel_sys::{
    ExpInterlockedPopEntrySList, ExpInterlockedPushEntrySList, SLIST_ENTRY, SLIST_HEADER,
    SLIST_HEADER_0,
};

use crate::error::Result;
use crate::irql::{self, Irql};
use crate::mem::try_box;

/// Values, the last one first, that any number of threads and DPCs push and pop at the same time.
///
/// Each value is in a block of nonpaged pool of its own, aligned as the list asks for.
///
/// IRQL <= DISPATCH. WDK: "Sequenced Singly Linked Lists",
/// "ExInterlockedPushEntrySList function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::sync::Stack;
///
/// fn last_first() -> Result<Option<u32>> {
///     let stack = Stack::new();
///     stack.push(1)?;
///     stack.push(2)?;
///     Ok(stack.pop()) // Some(2)
/// }
/// ```
#[repr(align(16))]
pub struct Stack<T> {
    head: UnsafeCell<SLIST_HEADER>,
    values: PhantomData<T>,
}

#[repr(C, align(16))]
struct Node<T> {
    // First: its address is the node's.
    entry: UnsafeCell<SLIST_ENTRY>,
    value: T,
}

// SAFETY: the stack owns its values, which move to whoever pops them.
unsafe impl<T: Send> Send for Stack<T> {}
// SAFETY: as for `Send`; no reference to a value is given out.
unsafe impl<T: Send> Sync for Stack<T> {}

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Stack<T> {
    /// Without values. IRQL: any. WDK: "ExInitializeSListHead function (wdm.h)".
    #[must_use]
    pub const fn new() -> Self {
        let empty = SLIST_HEADER { Anonymous: SLIST_HEADER_0 { Alignment: 0, Region: 0 } };
        Stack { head: UnsafeCell::new(empty), values: PhantomData }
    }

    /// Puts `value` on top. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out; `value` is dropped.
    #[track_caller]
    pub fn push(&self, value: T) -> Result<()> {
        irql::assert_at_most(Irql::DISPATCH, "Stack::push");
        let node = Box::into_raw(try_box(Node { entry: UnsafeCell::default(), value })?);
        // SAFETY: the node is new, aligned, and the list's own from now on.
        unsafe { ExpInterlockedPushEntrySList(self.head.get(), node.cast()) };
        Ok(())
    }

    /// Takes the value on top. IRQL <= DISPATCH.
    /// WDK: "ExInterlockedPopEntrySList function (wdm.h)".
    #[track_caller]
    pub fn pop(&self) -> Option<T> {
        irql::assert_at_most(Irql::DISPATCH, "Stack::pop");
        // SAFETY: the list is initialized. It may still look at a node that another thread pops
        // and frees meanwhile, and is made to.
        let entry = unsafe { ExpInterlockedPopEntrySList(self.head.get()) };
        if entry.is_null() {
            return None;
        }
        // SAFETY: all entries are the first field of such nodes, from boxes; this one is ours.
        let node = unsafe { Box::from_raw(entry.cast::<Node<T>>()) };
        Some(node.value)
    }
}

impl<T> Drop for Stack<T> {
    fn drop(&mut self) {
        while let Some(value) = self.pop() {
            drop(value);
        }
    }
}
