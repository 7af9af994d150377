//! [`Lookaside`]: values of one type, made and dropped often.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::marker::{PhantomData, PhantomPinned};
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::NonNull;

use windows_kernel_sys::{
    ExAllocateFromNPagedLookasideList, ExDeleteNPagedLookasideList, ExFreeToNPagedLookasideList,
    ExInitializeNPagedLookasideList, NPAGED_LOOKASIDE_LIST, POOL_NX_ALLOCATION, SLIST_ENTRY,
};

use super::pool_box::Tag;
use super::try_box;
use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::pool::POOL_ALIGNMENT;

/// A list of free blocks of nonpaged pool, each for one `T`: what is dropped is used again.
///
/// The system decides how many blocks are kept. Values cannot outlive the list.
///
/// WDK: "Using Lookaside Lists", "ExInitializeNPagedLookasideList function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::mem::{Lookaside, Tag};
///
/// fn count(packets: &Lookaside<[u8; 1500]>) -> Result<usize> {
///     let mut packet = packets.alloc([0; 1500])?;
///     packet[0] = 1;
///     Ok(packet.iter().map(|&byte| usize::from(byte)).sum())
/// }
///
/// # fn f() -> Result<()> {
/// let packets = Lookaside::try_new(Tag::new(b"Pckt"))?;
/// count(&packets)?;
/// # Ok(()) }
/// ```
pub struct Lookaside<T> {
    inner: Pin<Box<Inner>>,
    values: PhantomData<fn() -> T>,
}

struct Inner {
    list: UnsafeCell<MaybeUninit<NPAGED_LOOKASIDE_LIST>>,
    _pinned: PhantomPinned,
}

// SAFETY: the list is only used through its routines, which are atomic.
unsafe impl Send for Inner {}
// SAFETY: as for `Send`.
unsafe impl Sync for Inner {}

impl Inner {
    fn list(&self) -> *mut NPAGED_LOOKASIDE_LIST {
        self.list.get().cast()
    }
}

impl<T> Lookaside<T> {
    /// An empty list. IRQL <= DISPATCH.
    ///
    /// Types that are aligned to more than 16 bytes, which is what the pool does, are an error of
    /// the compiler's.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out, or `T` is 4 GiB or larger.
    #[track_caller]
    pub fn try_new(tag: Tag) -> Result<Self> {
        const { assert!(align_of::<T>() <= POOL_ALIGNMENT, "the pool aligns to 16 bytes") };
        irql::assert_at_most(Irql::DISPATCH, "Lookaside::try_new");
        let size = size_of::<T>().max(size_of::<SLIST_ENTRY>());
        u32::try_from(size).map_err(|_| Error::INSUFFICIENT_RESOURCES)?;
        let inner = Box::into_pin(try_box(Inner {
            list: UnsafeCell::new(MaybeUninit::zeroed()),
            _pinned: PhantomPinned,
        })?);
        // SAFETY: the list stays where it is, and is given back when `Lookaside` is dropped. No
        // routines are given: it uses the pool's.
        unsafe {
            ExInitializeNPagedLookasideList(
                inner.list(),
                None,
                None,
                POOL_NX_ALLOCATION,
                size,
                tag.as_raw(),
                0,
            );
        }
        Ok(Lookaside { inner, values: PhantomData })
    }

    /// A block with `value`. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; `value` is dropped.
    #[track_caller]
    pub fn alloc(&self, value: T) -> Result<LookasideBox<'_, T>> {
        irql::assert_at_most(Irql::DISPATCH, "Lookaside::alloc");
        // SAFETY: the list is initialized.
        let block = unsafe { ExAllocateFromNPagedLookasideList(self.inner.list()) };
        let place = NonNull::new(block.cast::<T>()).ok_or(Error::INSUFFICIENT_RESOURCES)?;
        // SAFETY: the block is this one's own, aligned to 16 bytes and large enough for a `T`.
        unsafe { place.write(value) };
        Ok(LookasideBox { place, list: &self.inner, value: PhantomData })
    }
}

impl<T> Drop for Lookaside<T> {
    fn drop(&mut self) {
        irql::assert_at_most(Irql::DISPATCH, "Lookaside");
        // SAFETY: no value is left: each borrows the list.
        unsafe { ExDeleteNPagedLookasideList(self.inner.list()) };
    }
}

/// A value in a block of a [`Lookaside`] list, which gets the block back. IRQL <= DISPATCH.
pub struct LookasideBox<'l, T> {
    place: NonNull<T>,
    list: &'l Inner,
    value: PhantomData<T>,
}

// SAFETY: as for `Box`; the list can be used by all threads.
unsafe impl<T: Send> Send for LookasideBox<'_, T> {}
// SAFETY: as for `Box`.
unsafe impl<T: Sync> Sync for LookasideBox<'_, T> {}

impl<T> Deref for LookasideBox<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the block holds a value, which this owns.
        unsafe { self.place.as_ref() }
    }
}

impl<T> DerefMut for LookasideBox<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the block holds a value, which this owns.
        unsafe { self.place.as_mut() }
    }
}

impl<T> Drop for LookasideBox<'_, T> {
    fn drop(&mut self) {
        irql::assert_at_most(Irql::DISPATCH, "LookasideBox");
        // SAFETY: the value is not used after this, nor is the block, which is of the list.
        unsafe {
            self.place.drop_in_place();
            ExFreeToNPagedLookasideList(self.list.list(), self.place.as_ptr().cast());
        }
    }
}
