//! Taking blocks from lookaside lists, and putting them back (`wdm.h`).

use core::ptr;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use crate::base::*;

use super::constants::*;
use super::exports::*;

/// `ExQueryDepthSList`: how many entries there are.
///
/// # Safety
/// `head` is an initialized list's.
#[inline]
#[must_use]
pub unsafe fn ExQueryDepthSList(head: *const SLIST_HEADER) -> u16 {
    // SAFETY: the caller's promise; the depth is the header's first 16 bits.
    unsafe { AtomicU16::from_ptr(head.cast_mut().cast()).load(Ordering::Relaxed) }
}

/// `ExAllocateFromNPagedLookasideList`: a block, or null. IRQL <= DISPATCH.
///
/// # Safety
/// The list is initialized.
#[inline]
pub unsafe fn ExAllocateFromNPagedLookasideList(list: *mut NPAGED_LOOKASIDE_LIST) -> PVOID {
    // SAFETY: the caller's promise. The counters are only hints, which others change as well.
    unsafe {
        let list = &raw mut (*list).L;
        count(&raw mut (*list).TotalAllocates);
        let entry = ExpInterlockedPopEntrySList(&raw mut (*list).Anonymous1.ListHead);
        if !entry.is_null() {
            return entry.cast();
        }
        count(&raw mut (*list).Anonymous2.AllocateMisses);
        match (*list).Allocate {
            Some(allocate) => allocate((*list).Type, (*list).Size as usize, (*list).Tag),
            None => ptr::null_mut(),
        }
    }
}

/// `ExFreeToNPagedLookasideList`: gives a block back. IRQL <= DISPATCH.
///
/// # Safety
/// The list is initialized; the block is of it, and not used any more.
#[inline]
pub unsafe fn ExFreeToNPagedLookasideList(list: *mut NPAGED_LOOKASIDE_LIST, block: PVOID) {
    // SAFETY: the caller's promise.
    unsafe {
        let list = &raw mut (*list).L;
        count(&raw mut (*list).TotalFrees);
        let head = &raw mut (*list).Anonymous1.ListHead;
        // The system changes the depth as the list is used.
        let depth = AtomicU16::from_ptr(&raw mut (*list).Depth).load(Ordering::Relaxed);
        if ExQueryDepthSList(head) < depth {
            ExpInterlockedPushEntrySList(head, block.cast());
            return;
        }
        count(&raw mut (*list).Anonymous3.FreeMisses);
        if let Some(free) = (*list).Free {
            free(block);
        }
    }
}

/// # Safety
/// The counter can be written. Other processors may count at the same time, and a step be lost.
unsafe fn count(counter: *mut u32) {
    // SAFETY: the caller's promise.
    let counter = unsafe { AtomicU32::from_ptr(counter) };
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
