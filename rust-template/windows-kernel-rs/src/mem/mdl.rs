//! [`Mdl`]: the pages of a buffer of this driver's, for other drivers and for devices.

use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use windows_kernel_sys::{
    FALSE, IoAllocateMdl, IoFreeMdl, MDL, MmBuildMdlForNonPagedPool, MmGetMdlByteCount,
};

use super::physical::PhysicalAddress;
use super::pool_box::{NonPaged, PoolBox};
use crate::error::{Error, Result};
use crate::irql::{self, Irql};

/// A buffer of nonpaged pool with the list of its pages (a memory descriptor list).
///
/// The buffer belongs to the list as long as that lives: whoever gets [`as_raw`](Self::as_raw) may read
/// and write it. It is given back by [`into_buffer`](Self::into_buffer).
///
/// IRQL <= DISPATCH. WDK: "Using MDLs", "MmBuildMdlForNonPagedPool function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::mem::{Mdl, NonPaged, PoolBox, Tag};
///
/// fn pages(len: usize) -> Result<usize> {
///     let buffer = PoolBox::<_, NonPaged>::try_filled(len, 0u8, Tag::new(b"Pkts"))?;
///     let mdl = Mdl::try_new(buffer)?;
///     Ok(mdl.pages().count())
/// }
/// ```
pub struct Mdl {
    mdl: NonNull<MDL>,
    buffer: ManuallyDrop<PoolBox<[u8], NonPaged>>,
}

// SAFETY: the list and its buffer have one owner, and may be freed on any thread.
unsafe impl Send for Mdl {}
// SAFETY: with a shared reference the list is only read.
unsafe impl Sync for Mdl {}

impl Mdl {
    /// The pages of `buffer`.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out, [`Error::INVALID_PARAMETER`] when the
    /// buffer is empty or 4 GiB or longer; the buffer is dropped.
    #[track_caller]
    pub fn try_new(mut buffer: PoolBox<[u8], NonPaged>) -> Result<Self> {
        irql::assert_at_most(Irql::DISPATCH, "Mdl::try_new");
        let length = u32::try_from(buffer.len()).map_err(|_| Error::INVALID_PARAMETER)?;
        if length == 0 {
            return Err(Error::INVALID_PARAMETER);
        }
        let start = buffer.as_mut_ptr();
        // SAFETY: the buffer is nonpaged pool of this length, and stays until the list is freed.
        let mdl = unsafe {
            let mdl = IoAllocateMdl(start.cast(), length, FALSE as _, FALSE as _, ptr::null_mut());
            let mdl = NonNull::new(mdl).ok_or(Error::INSUFFICIENT_RESOURCES)?;
            MmBuildMdlForNonPagedPool(mdl.as_ptr());
            mdl
        };
        Ok(Mdl { mdl, buffer: ManuallyDrop::new(buffer) })
    }

    /// How many bytes it describes.
    #[must_use]
    pub fn len(&self) -> usize {
        // SAFETY: the list is this value's own.
        unsafe { MmGetMdlByteCount(self.mdl.as_ptr()) as usize }
    }

    /// Never: there is always one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Where each of its pages is in the machine's memory. IRQL: any.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = PhysicalAddress> + '_ {
        const PAGE: usize = 4096;
        // SAFETY: the list is this value's own; the page numbers follow its header, one for each
        // page that the buffer touches.
        let numbers = unsafe {
            let mdl = self.mdl.as_ptr();
            let count = ((*mdl).ByteOffset as usize + self.len()).div_ceil(PAGE);
            core::slice::from_raw_parts(mdl.add(1).cast::<u64>(), count)
        };
        numbers.iter().map(|number| PhysicalAddress::new(number * PAGE as u64))
    }

    /// The list, for `windows-kernel-sys`. It is freed with this value.
    #[must_use]
    pub fn as_raw(&self) -> *mut MDL {
        self.mdl.as_ptr()
    }

    /// The buffer again; the list is freed. IRQL <= DISPATCH.
    #[must_use]
    pub fn into_buffer(self) -> PoolBox<[u8], NonPaged> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: neither the list nor the buffer are used by `this` after this.
        unsafe {
            IoFreeMdl(this.mdl.as_ptr());
            ManuallyDrop::take(&mut this.buffer)
        }
    }
}

impl Drop for Mdl {
    /// IRQL <= DISPATCH. WDK: "IoFreeMdl function (wdm.h)".
    fn drop(&mut self) {
        irql::assert_at_most(Irql::DISPATCH, "Mdl");
        // SAFETY: both are this value's own, and not used after this; the list goes first.
        unsafe {
            IoFreeMdl(self.mdl.as_ptr());
            ManuallyDrop::drop(&mut self.buffer);
        }
    }
}
