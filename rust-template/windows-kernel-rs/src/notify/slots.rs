//! Places for closures whose routine gets no context from the kernel: one routine a place.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use alloc::boxed::Box;

use crate::error::{Error, Result};

/// How many registrations of one kind a driver can have at the same time.
pub const MAX: usize = 4;

/// The places of one kind. Place `n` is used by the routine number `n` of that kind.
pub(super) struct Slots<C>([AtomicPtr<C>; MAX]);

impl<C> Slots<C> {
    pub(super) const fn new() -> Self {
        Slots([const { AtomicPtr::new(ptr::null_mut()) }; MAX])
    }

    /// Puts a closure into a free place; which one.
    pub(super) fn put(&self, callback: Box<C>) -> Result<usize> {
        let raw = Box::into_raw(callback);
        for (index, slot) in self.0.iter().enumerate() {
            let free = ptr::null_mut();
            if slot.compare_exchange(free, raw, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Ok(index);
            }
        }
        // SAFETY: nobody has seen the pointer.
        drop(unsafe { Box::from_raw(raw) });
        Err(Error::INSUFFICIENT_RESOURCES)
    }

    /// The closure of a place.
    ///
    /// # Safety
    /// The place is not taken back during `'a`.
    pub(super) unsafe fn get<'a>(&self, index: usize) -> Option<&'a C> {
        // SAFETY: `put` stored a box, which stays until the place is taken back.
        unsafe { self.0.get(index)?.load(Ordering::Acquire).as_ref() }
    }

    /// Takes a closure back; the place is free again.
    ///
    /// # Safety
    /// The routine of this place runs nowhere, and will not be called.
    pub(super) unsafe fn take(&self, index: usize) -> Option<Box<C>> {
        let raw = self.0.get(index)?.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: a box from `put`, taken once; nobody borrows it.
        (!raw.is_null()).then(|| unsafe { Box::from_raw(raw) })
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX, Slots};
    use std::boxed::Box;
    use std::sync::Arc;

    #[test]
    fn places_are_found_given_back_and_limited() {
        let slots = Slots::<Arc<u32>>::new();
        let value = Arc::new(7);
        for index in 0..MAX {
            assert_eq!(slots.put(Box::new(value.clone())), Ok(index));
        }
        assert!(slots.put(Box::new(value.clone())).is_err());
        assert_eq!(Arc::strong_count(&value), MAX + 1);
        // SAFETY: one thread; nothing is borrowed when places are taken back.
        unsafe {
            assert_eq!(slots.get(1).map(|each| **each), Some(7));
            drop(slots.take(1));
            assert!(slots.get(1).is_none() && slots.take(1).is_none());
            assert_eq!(slots.put(Box::new(value.clone())), Ok(1));
            (0..MAX).for_each(|index| drop(slots.take(index)));
        }
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
