//! Exports of `ntoskrnl.exe` that the metadata does not list, and its exported variables.

use crate::base::*;

use super::constants::*;

#[cfg_attr(windows, link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "system" {
    /// Stops in a debugger.
    pub fn DbgBreakPoint();
    /// Frees all entries of a lookaside list. IRQL <= DISPATCH.
    pub fn ExDeleteNPagedLookasideList(lookaside: *mut NPAGED_LOOKASIDE_LIST);
    /// Frees all entries of a lookaside list. IRQL <= APC.
    pub fn ExDeletePagedLookasideList(lookaside: *mut PAGED_LOOKASIDE_LIST);
    /// Makes a lookaside list of nonpaged pool; without routines it uses the pool's own.
    /// IRQL <= DISPATCH.
    pub fn ExInitializeNPagedLookasideList(
        lookaside: *mut NPAGED_LOOKASIDE_LIST,
        allocate: PALLOCATE_FUNCTION,
        free: PFREE_FUNCTION,
        flags: u32,
        size: usize,
        tag: u32,
        depth: u16,
    );
    /// Makes a lookaside list of paged pool. IRQL <= APC.
    pub fn ExInitializePagedLookasideList(
        lookaside: *mut PAGED_LOOKASIDE_LIST,
        allocate: PALLOCATE_FUNCTION,
        free: PFREE_FUNCTION,
        flags: u32,
        size: usize,
        tag: u32,
        depth: u16,
    );
    /// Adds to `*addend` under the lock and returns the old value. IRQL: any.
    pub fn ExInterlockedAddUlong(addend: *mut u32, increment: u32, lock: *mut KSPIN_LOCK) -> u32;
    /// Inserts at the head; returns the old first entry or null. IRQL: any.
    pub fn ExInterlockedInsertHeadList(
        head: *mut LIST_ENTRY,
        entry: *mut LIST_ENTRY,
        lock: *mut KSPIN_LOCK,
    ) -> *mut LIST_ENTRY;
    /// Inserts at the tail; returns the old last entry or null. IRQL: any.
    pub fn ExInterlockedInsertTailList(
        head: *mut LIST_ENTRY,
        entry: *mut LIST_ENTRY,
        lock: *mut KSPIN_LOCK,
    ) -> *mut LIST_ENTRY;
    /// Removes the first entry or returns null. IRQL: any.
    pub fn ExInterlockedRemoveHeadList(
        head: *mut LIST_ENTRY,
        lock: *mut KSPIN_LOCK,
    ) -> *mut LIST_ENTRY;
    /// Pushes on a singly linked list under the lock. IRQL: any.
    pub fn ExInterlockedPushEntryList(
        head: *mut SINGLE_LIST_ENTRY,
        entry: *mut SINGLE_LIST_ENTRY,
        lock: *mut KSPIN_LOCK,
    ) -> *mut SINGLE_LIST_ENTRY;
    /// Pops from a singly linked list under the lock. IRQL: any.
    pub fn ExInterlockedPopEntryList(
        head: *mut SINGLE_LIST_ENTRY,
        lock: *mut KSPIN_LOCK,
    ) -> *mut SINGLE_LIST_ENTRY;
    /// Pushes on a sequenced list (`ExInterlockedPushEntrySList` is this). IRQL <= DISPATCH.
    pub fn ExpInterlockedPushEntrySList(
        head: *mut SLIST_HEADER,
        entry: *mut SLIST_ENTRY,
    ) -> *mut SLIST_ENTRY;
    /// Pops from a sequenced list (`ExInterlockedPopEntrySList` is this). IRQL <= DISPATCH.
    pub fn ExpInterlockedPopEntrySList(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY;
    /// Empties a sequenced list. IRQL <= DISPATCH.
    pub fn ExpInterlockedFlushSList(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY;
    /// Makes a sequenced list empty. IRQL: any.
    pub fn InitializeSListHead(head: *mut SLIST_HEADER);
    /// Takes a spin lock at DISPATCH or above.
    pub fn KeAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK);
    /// Raises to DISPATCH, takes a spin lock, and returns the old IRQL. IRQL <= DISPATCH.
    pub fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL;
    /// Releases a spin lock and returns to `irql`. IRQL: DISPATCH.
    pub fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: KIRQL);
    /// Releases a spin lock and stays at DISPATCH or above.
    pub fn KeReleaseSpinLockFromDpcLevel(lock: *mut KSPIN_LOCK);
    /// The current thread. IRQL <= DISPATCH.
    pub fn KeGetCurrentThread() -> PKTHREAD;
    /// Lowers the IRQL.
    pub fn KeLowerIrql(irql: KIRQL);
    /// Raises the IRQL to DISPATCH and returns the old one.
    pub fn KeRaiseIrqlToDpcLevel() -> KIRQL;
    /// The current thread. IRQL <= DISPATCH.
    pub fn PsGetCurrentThread() -> PETHREAD;
    /// The base of the image that contains an address, or null.
    pub fn RtlPcToFileHeader(address: PVOID, base: *mut PVOID) -> PVOID;
}

#[cfg_attr(windows, link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "C" {
    /// The handler of C's `__try`, which reads a function's scope table. Named in unwind data; not
    /// to be called.
    pub fn __C_specific_handler();
    /// Touches the pages of a large stack frame, in order. The compiler calls it, not you.
    pub fn __chkstk();
    // The headers of the WDK declare these as pointers to the kernel's variables, since C sees the
    // import's slot; here they are the variables. What C writes `*PsThreadType` is `PsThreadType`,
    // and `PsThreadType` is `&raw const PsThreadType`.
    /// The type of driver objects.
    pub static IoDriverObjectType: POBJECT_TYPE;
    /// The type of device objects.
    pub static IoDeviceObjectType: POBJECT_TYPE;
    /// The type of file objects.
    pub static IoFileObjectType: POBJECT_TYPE;
    /// The type of event objects.
    pub static ExEventObjectType: POBJECT_TYPE;
    /// The type of semaphore objects.
    pub static ExSemaphoreObjectType: POBJECT_TYPE;
    /// The type of process objects.
    pub static PsProcessType: POBJECT_TYPE;
    /// The type of thread objects.
    pub static PsThreadType: POBJECT_TYPE;
    /// The system process.
    pub static PsInitialSystemProcess: PEPROCESS;
    /// The highest address of the user half.
    pub static MmHighestUserAddress: PVOID;
    /// The lowest address of the kernel half.
    pub static MmSystemRangeStart: PVOID;
    /// The first address that probing refuses.
    pub static MmUserProbeAddress: usize;
    /// Whether a debugger was enabled at boot.
    pub static KdDebuggerEnabled: BOOLEAN;
    /// Whether an enabled debugger is not attached.
    pub static KdDebuggerNotPresent: BOOLEAN;
}
