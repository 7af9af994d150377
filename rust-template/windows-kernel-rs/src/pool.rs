//! The global allocator: nonpaged, non-executable pool with the tag `Rust`.
//!
//! WDK: "ExAllocatePool2 function (wdm.h)", "ExAllocatePoolWithTag function (wdm.h)". The first
//! is used where the kernel has it (Windows 10 2004 and later), found at run time; the second
//! elsewhere. IRQL <= DISPATCH. A failed allocation returns null: fallible calls such as
//! `Vec::try_reserve` see an error, others panic, which bug-checks (see [`crate::panic`]).

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use windows_kernel_sys::{
    ExAllocatePoolWithTag, ExFreePoolWithTag, KeGetCurrentIrql, MmGetSystemRoutineAddress,
    NonPagedPoolNx, PASSIVE_LEVEL, POOL_FLAG_NON_PAGED, POOL_FLAG_UNINITIALIZED, UNICODE_STRING,
};

/// The pool tag of all Rust allocations, `Rust` in a debugger's `!poolused`.
pub const TAG: u32 = u32::from_le_bytes(*b"Rust");

/// What the pool aligns to on x86-64 (`MEMORY_ALLOCATION_ALIGNMENT`).
const POOL_ALIGNMENT: usize = 16;

type AllocatePool2 = unsafe extern "system" fn(u64, usize, u32) -> *mut c_void;

/// The address of `ExAllocatePool2`, or one of these.
static ALLOCATE_POOL_2: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = 0;
const ABSENT: usize = 1;

/// Looks `ExAllocatePool2` up, unless that is done already.
///
/// IRQL: PASSIVE (`MmGetSystemRoutineAddress` asks for it).
pub(crate) fn resolve() -> usize {
    let found = ALLOCATE_POOL_2.load(Ordering::Relaxed);
    if found != UNKNOWN {
        return found;
    }
    const NAME: [u16; 15] = {
        let mut units = [0; 15];
        let mut index = 0;
        while index < units.len() {
            units[index] = b"ExAllocatePool2"[index] as u16;
            index += 1;
        }
        units
    };
    let name = UNICODE_STRING {
        Length: size_of_val(&NAME) as u16,
        MaximumLength: size_of_val(&NAME) as u16,
        Buffer: NAME.as_ptr().cast_mut(),
    };
    // SAFETY: the name is a valid string, which the routine only reads.
    let address = unsafe { MmGetSystemRoutineAddress(&raw const name) } as usize;
    let address = if address == 0 { ABSENT } else { address };
    // Two threads find the same.
    ALLOCATE_POOL_2.store(address, Ordering::Relaxed);
    address
}

/// `size` bytes from the pool, aligned to [`POOL_ALIGNMENT`], or null.
fn allocate(size: usize, zeroed: bool) -> *mut u8 {
    let mut routine = ALLOCATE_POOL_2.load(Ordering::Relaxed);
    if routine == UNKNOWN {
        // A driver with a DriverEntry of its own may come here first, at any IRQL.
        // SAFETY: it has no precondition.
        routine = if u32::from(unsafe { KeGetCurrentIrql() }) == PASSIVE_LEVEL {
            resolve()
        } else {
            ABSENT
        };
    }
    if routine == ABSENT {
        // SAFETY: the size is not zero, and the pool type does not raise on failure.
        let block = unsafe { ExAllocatePoolWithTag(NonPagedPoolNx, size, TAG) }.cast::<u8>();
        if zeroed && !block.is_null() {
            // SAFETY: the block has `size` bytes.
            unsafe { block.write_bytes(0, size) };
        }
        return block;
    }
    // SAFETY: the kernel's own address of the routine, which has this signature.
    let allocate = unsafe { core::mem::transmute::<usize, AllocatePool2>(routine) };
    let flags = POOL_FLAG_NON_PAGED | if zeroed { 0 } else { POOL_FLAG_UNINITIALIZED };
    // SAFETY: the size is not zero, and the flags do not ask for an exception on failure.
    unsafe { allocate(flags, size, TAG) }.cast()
}

/// The allocator; see the [module](self).
pub struct PoolAllocator;

/// Where in a block a larger alignment starts, leaving room for the block's address before it.
fn align_inside(block: usize, align: usize) -> usize {
    (block + size_of::<usize>()).next_multiple_of(align)
}

/// The block to ask for: itself, or larger where the pool's alignment is too small.
fn block_size(layout: Layout) -> Option<usize> {
    if layout.align() <= POOL_ALIGNMENT {
        Some(layout.size())
    } else {
        layout.size().checked_add(layout.align())?.checked_add(size_of::<usize>())
    }
}

impl PoolAllocator {
    fn get(layout: Layout, zeroed: bool) -> *mut u8 {
        let Some(size) = block_size(layout) else {
            return ptr::null_mut();
        };
        let block = allocate(size, zeroed);
        if block.is_null() || layout.align() <= POOL_ALIGNMENT {
            return block;
        }
        let offset = align_inside(block as usize, layout.align()) - block as usize;
        // SAFETY: `block_size` made room for the offset, which is at least one address.
        unsafe {
            let aligned = block.add(offset);
            aligned.cast::<*mut u8>().sub(1).write_unaligned(block);
            aligned
        }
    }
}

// SAFETY: blocks come from the pool, are as large and aligned as asked for, and stay until they
// are freed; failure is null; nothing here unwinds.
unsafe impl GlobalAlloc for PoolAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::get(layout, false)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::get(layout, true)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` is from `alloc` with this layout, which wrote the address before it
        // if the alignment is larger than the pool's.
        unsafe {
            let block = if layout.align() <= POOL_ALIGNMENT {
                block
            } else {
                block.cast::<*mut u8>().sub(1).read_unaligned()
            };
            ExFreePoolWithTag(block.cast(), TAG);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_alignments_fit_into_their_block() {
        for shift in 5..16 {
            let align = 1 << shift;
            for size in [1, 7, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let block = block_size(layout).unwrap();
                for start in (0x1000..0x1000 + align * 2).step_by(POOL_ALIGNMENT) {
                    let inside = align_inside(start, align);
                    assert_eq!(inside % align, 0);
                    assert!(inside >= start + size_of::<usize>());
                    assert!(inside + size <= start + block);
                }
            }
        }
    }

    #[test]
    fn sizes_do_not_wrap() {
        let layout = Layout::from_size_align(isize::MAX as usize - 63, 64).unwrap();
        assert!(block_size(layout).is_some_and(|size| size > layout.size()));
    }
}
