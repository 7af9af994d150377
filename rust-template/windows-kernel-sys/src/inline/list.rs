//! Doubly linked lists (`wdm.h`), with the integrity checks that Windows 8 and later make.

use crate::base::*;

use super::constants::*;
use super::exports::*;

/// `__fastfail`: bug check `KERNEL_SECURITY_CHECK_FAILURE` with `code`.
#[inline]
pub fn RtlFailFast(code: u32) -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: interrupt 0x29 with the code in ecx is what the compiler's intrinsic emits.
    unsafe {
        core::arch::asm!("int 0x29", in("ecx") code, options(noreturn, nomem, nostack))
    }
    #[cfg(not(target_arch = "x86_64"))]
    panic!("fast fail {code}")
}

/// `InitializeListHead`
///
/// # Safety
/// `head` may be written.
#[inline]
pub unsafe fn InitializeListHead(head: *mut LIST_ENTRY) {
    // SAFETY: the caller's promise.
    unsafe { *head = LIST_ENTRY { Flink: head, Blink: head } }
}

/// `IsListEmpty`
///
/// # Safety
/// `head` is an initialized list head.
#[inline]
#[must_use]
pub unsafe fn IsListEmpty(head: *const LIST_ENTRY) -> bool {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::eq((*head).Flink, head) }
}

/// `InsertTailList`
///
/// # Safety
/// `head` is a list that nothing else changes now; `entry` may be written and is on no list.
#[inline]
pub unsafe fn InsertTailList(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY) {
    // SAFETY: the caller's promise; the neighbours are checked as the WDK's routine does.
    unsafe {
        let last = (*head).Blink;
        if (*last).Flink != head {
            RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
        }
        *entry = LIST_ENTRY { Flink: head, Blink: last };
        (*last).Flink = entry;
        (*head).Blink = entry;
    }
}

/// `InsertHeadList`
///
/// # Safety
/// As [`InsertTailList`].
#[inline]
pub unsafe fn InsertHeadList(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY) {
    // SAFETY: the caller's promise; the neighbours are checked as the WDK's routine does.
    unsafe {
        let first = (*head).Flink;
        if (*first).Blink != head {
            RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
        }
        *entry = LIST_ENTRY { Flink: first, Blink: head };
        (*first).Blink = entry;
        (*head).Flink = entry;
    }
}

/// `RemoveEntryList`: true if the list is empty afterwards.
///
/// # Safety
/// `entry` is on a list that nothing else changes now.
#[inline]
pub unsafe fn RemoveEntryList(entry: *mut LIST_ENTRY) -> bool {
    // SAFETY: the caller's promise; the neighbours are checked as the WDK's routine does.
    unsafe {
        let (next, previous) = ((*entry).Flink, (*entry).Blink);
        if (*next).Blink != entry || (*previous).Flink != entry {
            RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
        }
        (*previous).Flink = next;
        (*next).Blink = previous;
        next == previous
    }
}

/// `RemoveHeadList`: the first entry, or the head itself if the list is empty.
///
/// # Safety
/// `head` is a list that nothing else changes now.
#[inline]
pub unsafe fn RemoveHeadList(head: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*head).Flink;
        RemoveEntryList(entry);
        entry
    }
}

/// `RemoveTailList`: the last entry, or the head itself if the list is empty.
///
/// # Safety
/// As [`RemoveHeadList`].
#[inline]
pub unsafe fn RemoveTailList(head: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*head).Blink;
        RemoveEntryList(entry);
        entry
    }
}

/// `ExInterlockedPushEntrySList`. IRQL <= DISPATCH.
///
/// # Safety
/// `head` is an initialized list; `entry` is aligned to 16 bytes, lives until it is popped, and is on no list.
#[inline]
pub unsafe fn ExInterlockedPushEntrySList(
    head: *mut SLIST_HEADER,
    entry: *mut SLIST_ENTRY,
) -> *mut SLIST_ENTRY {
    // SAFETY: passed on to the caller.
    unsafe { ExpInterlockedPushEntrySList(head, entry) }
}

/// `ExInterlockedPopEntrySList`. IRQL <= DISPATCH.
///
/// # Safety
/// `head` is an initialized list whose entries are alive.
#[inline]
pub unsafe fn ExInterlockedPopEntrySList(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    // SAFETY: passed on to the caller.
    unsafe { ExpInterlockedPopEntrySList(head) }
}
