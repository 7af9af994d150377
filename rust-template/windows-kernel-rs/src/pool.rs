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
    NonPagedPoolNx, PASSIVE_LEVEL, POOL_FLAG_NON_PAGED, POOL_FLAG_PAGED, POOL_FLAG_UNINITIALIZED,
    PagedPool, UNICODE_STRING,
};

/// The pool tag of all Rust allocations, `Rust` in a debugger's `!poolused`.
pub const TAG: u32 = u32::from_le_bytes(*b"Rust");

/// What the pool aligns to on x86-64 (`MEMORY_ALLOCATION_ALIGNMENT`).
pub(crate) const POOL_ALIGNMENT: usize = 16;

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

/// Which pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Always there, and not to be executed.
    NonPaged,
    /// IRQL <= APC.
    Paged,
}

/// `size` bytes (not 0) from the pool, aligned to [`POOL_ALIGNMENT`], or null.
pub(crate) fn allocate(source: Source, size: usize, zeroed: bool, tag: u32) -> *mut u8 {
    let (kind, pool) = match source {
        Source::NonPaged => (NonPagedPoolNx, POOL_FLAG_NON_PAGED),
        Source::Paged => (PagedPool, POOL_FLAG_PAGED),
    };
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
        let block = unsafe { ExAllocatePoolWithTag(kind, size, tag) }.cast::<u8>();
        if zeroed && !block.is_null() {
            // SAFETY: the block has `size` bytes.
            unsafe { block.write_bytes(0, size) };
        }
        return block;
    }
    // SAFETY: the kernel's own address of the routine, which has this signature.
    let allocate = unsafe {
        let routine = ptr::with_exposed_provenance::<c_void>(routine);
        core::mem::transmute::<*const c_void, AllocatePool2>(routine)
    };
    let flags = pool | if zeroed { 0 } else { POOL_FLAG_UNINITIALIZED };
    // SAFETY: the size is not zero, and the flags do not ask for an exception on failure.
    unsafe { allocate(flags, size, tag) }.cast()
}

/// Frees what [`allocate`] gave.
///
/// # Safety
/// `block` is from there, with this tag, and is not used any more. IRQL as for its pool.
pub(crate) unsafe fn free(block: core::ptr::NonNull<u8>, tag: u32) {
    // SAFETY: the caller's promise.
    unsafe { ExFreePoolWithTag(block.as_ptr().cast(), tag) };
}

/// The allocator; see the [module](self).
pub struct PoolAllocator;

#[cfg(all(windows, not(test)))]
#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator;

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
        let block = allocate(Source::NonPaged, size, zeroed, TAG);
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
    use std::alloc::System;
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::vec::Vec;

    /// The pool's routines on the test's own heap. Blocks keep their layout and tag; a size of
    /// [`FAILING`] fails.
    static BLOCKS: Mutex<Option<HashMap<usize, Layout>>> = Mutex::new(None);
    static FLAGS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    const FAILING: usize = 0xFA11;

    fn block(size: usize, tag: u32) -> *mut c_void {
        assert_eq!(tag, TAG);
        assert_ne!(size, 0);
        if size == FAILING {
            return ptr::null_mut();
        }
        let layout = Layout::from_size_align(size, POOL_ALIGNMENT).unwrap();
        // SAFETY: the size is not zero.
        let block = unsafe { System.alloc(layout) };
        // SAFETY: just allocated. What is not zeroed is seen.
        unsafe { block.write_bytes(0xA5, size) };
        BLOCKS.lock().unwrap().get_or_insert_default().insert(block as usize, layout);
        block.cast()
    }

    #[unsafe(no_mangle)]
    extern "system" fn ExAllocatePoolWithTag(kind: i32, size: usize, tag: u32) -> *mut c_void {
        assert_eq!(kind, NonPagedPoolNx);
        block(size, tag)
    }

    extern "system" fn pool2(flags: u64, size: usize, tag: u32) -> *mut c_void {
        FLAGS.lock().unwrap().push(flags);
        let block = block(size, tag);
        if flags & POOL_FLAG_UNINITIALIZED == 0 && !block.is_null() {
            // SAFETY: the block has this size.
            unsafe { block.cast::<u8>().write_bytes(0, size) };
        }
        block
    }

    #[unsafe(no_mangle)]
    extern "system" fn ExFreePoolWithTag(block: *mut c_void, tag: u32) {
        assert_eq!(tag, TAG);
        let layout = BLOCKS.lock().unwrap().as_mut().unwrap().remove(&(block as usize));
        // SAFETY: the block is from `block` with this layout.
        unsafe { System.dealloc(block.cast(), layout.expect("a block of the pool")) };
    }

    #[unsafe(no_mangle)]
    extern "system" fn KeGetCurrentIrql() -> u8 {
        2
    }

    #[unsafe(no_mangle)]
    unsafe extern "system" fn MmGetSystemRoutineAddress(
        name: *const UNICODE_STRING,
    ) -> *mut c_void {
        // SAFETY: the caller gives a valid name.
        let name = unsafe { crate::string::to_string_lossy(name) }.unwrap();
        assert_eq!(name, "ExAllocatePool2");
        pool2 as *mut c_void
    }

    fn round(size: usize, align: usize) {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the sizes are not zero; blocks are used within their size and freed once.
        unsafe {
            let plain = PoolAllocator.alloc(layout);
            assert_eq!(plain as usize % align, 0);
            plain.write_bytes(1, size);
            let zeroed = PoolAllocator.alloc_zeroed(layout);
            assert_eq!(zeroed as usize % align, 0);
            assert!((0..size).all(|index| zeroed.add(index).read() == 0));
            let larger = PoolAllocator.realloc(plain, layout, size * 2);
            assert_eq!(larger as usize % align, 0);
            assert!((0..size).all(|index| larger.add(index).read() == 1));
            PoolAllocator.dealloc(zeroed, layout);
            let layout = Layout::from_size_align(size * 2, align).unwrap();
            PoolAllocator.dealloc(larger, layout);
        }
        assert!(BLOCKS.lock().unwrap().as_ref().unwrap().is_empty());
    }

    #[test]
    fn blocks_are_aligned_zeroed_and_freed() {
        let all = || {
            for align in [1, 8, 16, 32, 64, 4096, 8192] {
                for size in [1, 15, 16, 100, if cfg!(miri) { 200 } else { 5000 }] {
                    round(size, align);
                }
            }
            let failing = Layout::from_size_align(FAILING, 8).unwrap();
            // SAFETY: the size is not zero.
            unsafe {
                assert!(PoolAllocator.alloc(failing).is_null());
                assert!(PoolAllocator.alloc_zeroed(failing).is_null());
            }
        };
        // At DISPATCH nothing is looked up, and the old routine is used.
        ALLOCATE_POOL_2.store(UNKNOWN, Ordering::Relaxed);
        all();
        assert_eq!(ALLOCATE_POOL_2.load(Ordering::Relaxed), UNKNOWN);
        assert!(FLAGS.lock().unwrap().is_empty());

        assert!(![UNKNOWN, ABSENT].contains(&resolve()));
        all();
        let seen = FLAGS.lock().unwrap();
        assert!(seen.contains(&POOL_FLAG_NON_PAGED));
        assert!(seen.contains(&(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED)));
    }

    #[test]
    fn larger_alignments_fit_into_their_block() {
        for shift in 5..if cfg!(miri) { 9 } else { 16 } {
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
