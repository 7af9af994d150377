//! [`Arc`]: shared ownership whose allocation can fail.

use alloc::boxed::Box;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::try_box;
use crate::error::Result;

/// A value with several owners, dropped with the last of them.
///
/// As `alloc::sync::Arc`, but making one is fallible, and there are no weak references. The value
/// is dropped where its last owner is, at that IRQL.
///
/// ```no_run
/// # use windows_kernel_rs::mem::arc::Arc;
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let first = Arc::try_new(7)?;
/// let second = first.clone();
/// assert_eq!(*first + *second, 14);
/// # Ok(()) }
/// ```
pub struct Arc<T> {
    block: NonNull<Block<T>>,
}

struct Block<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: an `Arc` gives `&T` to each of its owners' threads, and the last one drops the `T`.
unsafe impl<T: Send + Sync> Send for Arc<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Send + Sync> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// A value with one owner.
    ///
    /// IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out.
    pub fn try_new(value: T) -> Result<Self> {
        let block = try_box(Block { owners: AtomicUsize::new(1), value })?;
        Ok(Arc { block: NonNull::from(Box::leak(block)) })
    }

    /// This owner as a pointer, for a place that holds no Rust values. Give it back to
    /// [`from_raw`](Self::from_raw), else the value is never dropped.
    #[must_use]
    pub fn into_raw(self) -> *const () {
        let raw = self.block.as_ptr();
        core::mem::forget(self);
        raw.cast_const().cast()
    }

    /// The owner that [`into_raw`](Self::into_raw) turned into a pointer.
    ///
    /// # Safety
    /// `raw` is from `into_raw` of an `Arc<T>`, and each one is taken back once.
    #[must_use]
    pub unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: the caller's promise: it is not null.
        Arc { block: unsafe { NonNull::new_unchecked(raw.cast_mut().cast()) } }
    }

    /// Another owner of what `raw` owns, which stays as it is.
    ///
    /// # Safety
    /// `raw` is from `into_raw` of an `Arc<T>` and has not been taken back.
    #[must_use]
    pub unsafe fn clone_raw(raw: *const ()) -> Self {
        // SAFETY: the caller's promise; the pointer's own count is not given up.
        let owner = core::mem::ManuallyDrop::new(unsafe { Self::from_raw(raw) });
        (*owner).clone()
    }

    fn block(&self) -> &Block<T> {
        // SAFETY: the block lives as long as any owner.
        unsafe { self.block.as_ref() }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        let owners = self.block().owners.fetch_add(1, Ordering::Relaxed);
        // Owners forgotten in a loop must not make the count go round.
        assert!(owners < isize::MAX as usize, "too many owners");
        Arc { block: self.block }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.block().value
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.block().owners.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: this was the last owner, and the block is from a box.
            drop(unsafe { Box::from_raw(self.block.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arc;
    use core::sync::atomic::{AtomicUsize, Ordering};

    struct Counted<'a>(&'a AtomicUsize);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_last_owner_drops_the_value() {
        let drops = AtomicUsize::new(0);
        let first = Arc::try_new(Counted(&drops)).unwrap();
        let raw = first.clone().into_raw();
        // SAFETY: `raw` is of such an `Arc` and taken back below.
        let third = unsafe { Arc::<Counted<'_>>::clone_raw(raw) };
        drop(first);
        drop(third);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        // SAFETY: once.
        drop(unsafe { Arc::<Counted<'_>>::from_raw(raw) });
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}
