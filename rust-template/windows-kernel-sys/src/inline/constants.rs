//! Type names, `#define`s and macros over numbers. The generator reads this file too: the
//! constants and types here are in `kernellab/ntdata` as well.

use crate::base::*;

/// An interrupt request level.
pub type KIRQL = u8;
/// `KernelMode` or `UserMode`.
pub type KPROCESSOR_MODE = i8;
/// A spin lock: zero when free.
pub type KSPIN_LOCK = usize;
/// A reader-writer spin lock of the executive.
pub type EX_SPIN_LOCK = i32;
/// `FILE_DEVICE_…`
pub type DEVICE_TYPE = u32;
/// A physical address.
pub type PHYSICAL_ADDRESS = i64;
/// Any pointer.
pub type PVOID = *mut core::ffi::c_void;

/// `FALSE`
pub const FALSE: BOOLEAN = 0;
/// `TRUE`
pub const TRUE: BOOLEAN = 1;

/// `DbgPrintEx` component: independent hardware vendors' drivers.
pub const DPFLTR_IHVDRIVER_ID: u32 = 77;
/// `DbgPrintEx` component: the one that `DbgPrint` uses.
pub const DPFLTR_DEFAULT_ID: u32 = 101;
/// `DbgPrintEx` level: errors.
pub const DPFLTR_ERROR_LEVEL: u32 = 0;
/// `DbgPrintEx` level: warnings.
pub const DPFLTR_WARNING_LEVEL: u32 = 1;
/// `DbgPrintEx` level: traces.
pub const DPFLTR_TRACE_LEVEL: u32 = 2;
/// `DbgPrintEx` level: information.
pub const DPFLTR_INFO_LEVEL: u32 = 3;
/// `DbgPrintEx` levels above 31 are bit masks marked with this.
pub const DPFLTR_MASK: u32 = 0x8000_0000;

/// `ExAllocatePool2`: charge the process quota.
pub const POOL_FLAG_USE_QUOTA: u64 = 0x1;
/// `ExAllocatePool2`: do not zero.
pub const POOL_FLAG_UNINITIALIZED: u64 = 0x2;
/// `ExAllocatePool2`: session space.
pub const POOL_FLAG_SESSION: u64 = 0x4;
/// `ExAllocatePool2`: align to a cache line.
pub const POOL_FLAG_CACHE_ALIGNED: u64 = 0x8;
/// `ExAllocatePool2`: raise an exception on failure.
pub const POOL_FLAG_RAISE_ON_FAILURE: u64 = 0x20;
/// `ExAllocatePool2`: nonpaged, not executable.
pub const POOL_FLAG_NON_PAGED: u64 = 0x40;
/// `ExAllocatePool2`: nonpaged, executable.
pub const POOL_FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
/// `ExAllocatePool2`: paged.
pub const POOL_FLAG_PAGED: u64 = 0x100;

/// `MDL.MdlFlags`: mapped to a system address.
pub const MDL_MAPPED_TO_SYSTEM_VA: u32 = 0x0001;
/// `MDL.MdlFlags`: pages are locked.
pub const MDL_PAGES_LOCKED: u32 = 0x0002;
/// `MDL.MdlFlags`: describes nonpaged pool.
pub const MDL_SOURCE_IS_NONPAGED_POOL: u32 = 0x0004;
/// `MDL.MdlFlags`: made by `IoBuildPartialMdl`.
pub const MDL_PARTIAL: u32 = 0x0010;
/// `MDL.MdlFlags`: a partial MDL that has been mapped.
pub const MDL_PARTIAL_HAS_BEEN_MAPPED: u32 = 0x0020;
/// `MDL.MdlFlags`: the pages are read into.
pub const MDL_IO_PAGE_READ: u32 = 0x0040;
/// `MDL.MdlFlags`: locked for writing.
pub const MDL_WRITE_OPERATION: u32 = 0x0080;
/// `MDL.MdlFlags`: the MDL it is a part of is mapped.
pub const MDL_PARENT_MAPPED_SYSTEM_VA: u32 = 0x0100;
/// `MDL.MdlFlags`: describes I/O space.
pub const MDL_IO_SPACE: u32 = 0x0800;
/// `MDL.MdlFlags`: mapping may fail.
pub const MDL_MAPPING_CAN_FAIL: u32 = 0x2000;

/// `IoStatus.Information` after a create: the file was replaced.
pub const FILE_SUPERSEDED: u32 = 0;
/// `IoStatus.Information` after a create: the file was opened.
pub const FILE_OPENED: u32 = 1;
/// `IoStatus.Information` after a create: the file was created.
pub const FILE_CREATED: u32 = 2;
/// `IoStatus.Information` after a create: the file was overwritten.
pub const FILE_OVERWRITTEN: u32 = 3;
/// `IoStatus.Information` after a create: the file exists.
pub const FILE_EXISTS: u32 = 4;
/// `IoStatus.Information` after a create: the file does not exist.
pub const FILE_DOES_NOT_EXIST: u32 = 5;

/// Where the page that the kernel shares with programs is.
pub const KI_USER_SHARED_DATA: usize = 0xFFFF_F780_0000_0000;

/// `__fastfail`: a doubly linked list is corrupt.
pub const FAST_FAIL_CORRUPT_LIST_ENTRY: u32 = 3;

/// The common part of lookaside lists (`GENERAL_LOOKASIDE_LAYOUT`), aligned to a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct GENERAL_LOOKASIDE {
    pub Anonymous1: GENERAL_LOOKASIDE_0,
    pub Depth: u16,
    pub MaximumDepth: u16,
    pub TotalAllocates: u32,
    pub Anonymous2: GENERAL_LOOKASIDE_1,
    pub TotalFrees: u32,
    pub Anonymous3: GENERAL_LOOKASIDE_2,
    pub Type: POOL_TYPE,
    pub Tag: u32,
    pub Size: u32,
    pub Allocate: PALLOCATE_FUNCTION,
    pub Free: PFREE_FUNCTION,
    pub ListEntry: LIST_ENTRY,
    pub LastTotalAllocates: u32,
    pub Anonymous4: GENERAL_LOOKASIDE_3,
    pub Future: [u32; 2],
}

/// See [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union GENERAL_LOOKASIDE_0 {
    pub ListHead: SLIST_HEADER,
    pub SingleListHead: SINGLE_LIST_ENTRY,
}

/// See [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union GENERAL_LOOKASIDE_1 {
    pub AllocateMisses: u32,
    pub AllocateHits: u32,
}

/// See [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union GENERAL_LOOKASIDE_2 {
    pub FreeMisses: u32,
    pub FreeHits: u32,
}

/// See [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union GENERAL_LOOKASIDE_3 {
    pub LastAllocateMisses: u32,
    pub LastAllocateHits: u32,
}

/// A lookaside list of nonpaged pool.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct NPAGED_LOOKASIDE_LIST {
    pub L: GENERAL_LOOKASIDE,
}

/// A lookaside list of paged pool.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct PAGED_LOOKASIDE_LIST {
    pub L: GENERAL_LOOKASIDE,
}

/// `NT_SUCCESS`: success or information.
#[must_use]
pub const fn NT_SUCCESS(status: NTSTATUS) -> bool {
    status >= 0
}

/// `NT_INFORMATION`
#[must_use]
pub const fn NT_INFORMATION(status: NTSTATUS) -> bool {
    (status as u32) >> 30 == 1
}

/// `NT_WARNING`
#[must_use]
pub const fn NT_WARNING(status: NTSTATUS) -> bool {
    (status as u32) >> 30 == 2
}

/// `NT_ERROR`
#[must_use]
pub const fn NT_ERROR(status: NTSTATUS) -> bool {
    (status as u32) >> 30 == 3
}

/// `CTL_CODE`: a device control code. `access` is `FILE_ANY_ACCESS`, `FILE_READ_ACCESS` or
/// `FILE_WRITE_ACCESS`.
#[must_use]
pub const fn CTL_CODE(device_type: u32, function: u32, method: u32, access: u32) -> u32 {
    (device_type << 16) | (access << 14) | (function << 2) | method
}

/// `DEVICE_TYPE_FROM_CTL_CODE`
#[must_use]
pub const fn DEVICE_TYPE_FROM_CTL_CODE(code: u32) -> u32 {
    code >> 16
}

/// `METHOD_FROM_CTL_CODE`
#[must_use]
pub const fn METHOD_FROM_CTL_CODE(code: u32) -> u32 {
    code & 3
}

/// `BYTES_TO_PAGES`
#[must_use]
pub const fn BYTES_TO_PAGES(size: usize) -> usize {
    size.div_ceil(PAGE_SIZE as usize)
}

/// `ADDRESS_AND_SIZE_TO_SPAN_PAGES`
#[must_use]
pub const fn ADDRESS_AND_SIZE_TO_SPAN_PAGES(address: usize, size: usize) -> usize {
    BYTES_TO_PAGES((address & (PAGE_SIZE as usize - 1)) + size)
}

/// The pseudo handle `ZwCurrentProcess()`.
#[must_use]
pub const fn ZwCurrentProcess() -> HANDLE {
    -1_isize as HANDLE
}

/// The pseudo handle `ZwCurrentThread()`.
#[must_use]
pub const fn ZwCurrentThread() -> HANDLE {
    -2_isize as HANDLE
}
