//! Memory: allocation that can fail, pools, user and device memory, memory that hardware reads.
//!
//! | for | use |
//! |---|---|
//! | a value, several owners | [`try_box`], [`arc::Arc`] |
//! | collections | [`VecExt`], [`StringExt`], [`try_format!`](crate::try_format) |
//! | another pool, a tag of one's own | [`PoolBox`], [`PagedBox`] |
//! | many values of one size, made and dropped often | [`Lookaside`] |
//! | records that come at any IRQL, in memory that is there | [`Ring`] |
//! | a program's memory | [`user`] |
//! | pages for other drivers and devices | [`Mdl`], [`Contiguous`], [`PhysicalAddress`] |
//! | a device's registers | [`IoSpace`] |

pub mod arc;
pub mod collections;
pub mod copy;
mod guarded;
pub mod io_space;
pub mod lookaside;
pub mod mdl;
pub mod physical;
pub mod pool_box;
pub mod ring;
pub mod user;

pub use arc::Arc;
pub use collections::{StringExt, VecExt};
pub use io_space::{IoSpace, Register};
pub use lookaside::{Lookaside, LookasideBox};
pub use mdl::Mdl;
pub use physical::{Contiguous, PhysicalAddress};
pub use pool_box::{NonPaged, Paged, PagedBox, Pool, PoolBox, Tag};
pub use ring::Ring;

use alloc::alloc::alloc;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;

use crate::error::{Error, Result};

/// `Box::new` whose failure is an error rather than a panic.
///
/// IRQL <= DISPATCH (the nonpaged pool). WDK: "ExAllocatePool2 function (wdm.h)".
///
/// # Errors
/// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; `value` is dropped.
///
/// ```no_run
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let block = windows_kernel_rs::mem::try_box([0u8; 4096])?;
/// # drop(block); Ok(()) }
/// ```
pub fn try_box<T>(value: T) -> Result<Box<T>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::new(value));
    }
    // SAFETY: the size is not zero.
    let place = unsafe { alloc(layout) }.cast::<T>();
    if place.is_null() {
        return Err(Error::INSUFFICIENT_RESOURCES);
    }
    // SAFETY: the place is new, aligned and large enough, and from the global allocator.
    unsafe {
        place.write(value);
        Ok(Box::from_raw(place))
    }
}

/// A vector with a copy of `bytes`, whose failure is an error rather than a panic.
///
/// IRQL <= DISPATCH.
///
/// # Errors
/// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
pub fn try_vec<T: Copy>(items: &[T]) -> Result<Vec<T>> {
    let mut out = Vec::new();
    out.try_reserve_exact(items.len()).map_err(Error::from)?;
    out.extend_from_slice(items);
    Ok(out)
}

/// A `T` of the bytes that `fill` writes.
#[cfg(feature = "zerocopy")]
pub(crate) fn captured<T: zerocopy::TryFromBytes>(
    fill: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<T> {
    let mut place = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the place has this size, and all of its bytes are initialized.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(place.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    fill(bytes)?;
    T::try_read_from_bytes(bytes).map_err(|_| Error::INVALID_PARAMETER)
}
