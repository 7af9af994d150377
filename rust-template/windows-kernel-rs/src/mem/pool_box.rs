//! Allocations with a pool and a tag of one's own: [`PoolBox`], [`PagedBox`].
//!
//! `Box` and `Vec` are nonpaged pool with the tag `Rust`. What is large and only used by threads may be
//! paged; what is to be seen by itself in `!poolused` has its own [`Tag`].

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::pool::{self, Source};

/// Four letters that a debugger shows allocations by. WDK: "ExAllocatePool2 function (wdm.h)".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(u32);

impl Tag {
    /// The tag of the global allocator, `Rust`.
    pub const RUST: Tag = Tag(pool::TAG);

    /// A tag of four characters.
    ///
    /// # Panics
    /// At compile time where it is a constant, when one is not a visible ASCII character.
    ///
    /// ```
    /// use windows_kernel_rs::mem::Tag;
    /// const TAG: Tag = Tag::new(b"Lab1");
    /// ```
    #[must_use]
    pub const fn new(text: &[u8; 4]) -> Self {
        let mut index = 0;
        while index < text.len() {
            assert!(text[index] >= b' ' && text[index] < 0x7F, "a tag is four ASCII characters");
            index += 1;
        }
        Tag(u32::from_le_bytes(*text))
    }

    /// As the kernel's routines take it.
    #[must_use]
    pub const fn as_raw(self) -> u32 {
        self.0
    }
}

mod sealed {
    pub trait Sealed {
        const PAGED: bool;
    }
}

/// A kind of pool: [`Paged`] or [`NonPaged`].
pub trait Pool: sealed::Sealed + 'static {
    /// The highest IRQL at which the memory may be used.
    const MOST: Irql;
    /// Its name.
    const NAME: &'static str;
}

/// Pool that may be written to disk: for much memory that only threads use. IRQL <= APC.
#[derive(Debug)]
pub enum Paged {}

/// Pool that is always there. IRQL <= DISPATCH to allocate and free.
#[derive(Debug)]
pub enum NonPaged {}

impl sealed::Sealed for Paged {
    const PAGED: bool = true;
}

impl sealed::Sealed for NonPaged {
    const PAGED: bool = false;
}

impl Pool for Paged {
    const MOST: Irql = Irql::APC;
    const NAME: &'static str = "PoolBox<_, Paged>";
}

impl Pool for NonPaged {
    const MOST: Irql = Irql::DISPATCH;
    const NAME: &'static str = "PoolBox<_, NonPaged>";
}

/// A value in the pool `P`, or a slice of values: as `Box`, with a pool and a tag.
///
/// IRQL <= APC for [`Paged`], also for using the value, which debug builds check; for [`NonPaged`]
/// <= DISPATCH. The value is dropped and its memory freed with the box.
///
/// WDK: "ExAllocatePool2 function (wdm.h)", "ExAllocatePoolWithTag function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::mem::{PagedBox, Tag};
///
/// fn table() -> windows_kernel_rs::Result<PagedBox<[u32]>> {
///     let mut table = PagedBox::try_filled(1 << 16, 0, Tag::new(b"Tabl"))?;
///     table[7] = 1;
///     Ok(table)
/// }
/// ```
pub struct PoolBox<T: ?Sized, P: Pool> {
    place: NonNull<T>,
    tag: Tag,
    pool: PhantomData<(P, T)>,
}

/// A value in paged pool: IRQL <= APC.
pub type PagedBox<T> = PoolBox<T, Paged>;

// SAFETY: as for `Box`: the value has one owner, and pool may be freed on any thread.
unsafe impl<T: Send + ?Sized, P: Pool> Send for PoolBox<T, P> {}
// SAFETY: as for `Box`.
unsafe impl<T: Sync + ?Sized, P: Pool> Sync for PoolBox<T, P> {}

impl<T, P: Pool> PoolBox<T, P> {
    /// A value with a tag.
    ///
    /// IRQL <= APC for [`Paged`], <= DISPATCH for [`NonPaged`]. Types that are aligned to more than
    /// 16 bytes, which is what the pool does, are an error of the compiler's.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; `value` is dropped.
    #[track_caller]
    pub fn try_new(value: T, tag: Tag) -> Result<Self> {
        let place = allocate::<T, P>(1, tag)?;
        // SAFETY: the place is new, large enough and aligned.
        unsafe { place.write(value) };
        Ok(PoolBox { place, tag, pool: PhantomData })
    }
}

impl<T: Copy, P: Pool> PoolBox<[T], P> {
    /// `len` elements that are all `value`.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    #[track_caller]
    pub fn try_filled(len: usize, value: T, tag: Tag) -> Result<Self> {
        let place = allocate::<T, P>(len, tag)?;
        for index in 0..len {
            // SAFETY: the place has room for `len` elements.
            unsafe { place.add(index).write(value) };
        }
        Ok(PoolBox { place: NonNull::slice_from_raw_parts(place, len), tag, pool: PhantomData })
    }

    /// A copy of `items`.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    #[track_caller]
    pub fn try_from_slice(items: &[T], tag: Tag) -> Result<Self> {
        let len = items.len();
        let place = allocate::<T, P>(len, tag)?;
        // SAFETY: the place is new and has room for `len` elements.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(items).cast(), len) };
        Ok(PoolBox { place: NonNull::slice_from_raw_parts(place, len), tag, pool: PhantomData })
    }
}

impl<T: ?Sized, P: Pool> PoolBox<T, P> {
    /// Its tag.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.tag
    }
}

impl<T: ?Sized, P: Pool> Deref for PoolBox<T, P> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        in_reach::<P>();
        // SAFETY: the place holds a value, which this owns.
        unsafe { self.place.as_ref() }
    }
}

impl<T: ?Sized, P: Pool> DerefMut for PoolBox<T, P> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        in_reach::<P>();
        // SAFETY: the place holds a value, which this owns.
        unsafe { self.place.as_mut() }
    }
}

impl<T: ?Sized, P: Pool> Drop for PoolBox<T, P> {
    fn drop(&mut self) {
        irql::assert_at_most(P::MOST, P::NAME);
        // SAFETY: the place holds a value, which is not used after this. Nothing is allocated for
        // what has no size.
        unsafe {
            let size = size_of_val(self.place.as_ref());
            self.place.drop_in_place();
            if size > 0 {
                pool::free(self.place.cast(), self.tag.0);
            }
        }
    }
}

/// Nonpaged memory can be used at any IRQL.
#[track_caller]
fn in_reach<P: Pool>() {
    if P::MOST < Irql::DISPATCH {
        irql::assert_at_most(P::MOST, P::NAME);
    }
}

#[track_caller]
fn allocate<T, P: Pool>(count: usize, tag: Tag) -> Result<NonNull<T>> {
    const { assert!(align_of::<T>() <= pool::POOL_ALIGNMENT, "the pool aligns to 16 bytes") };
    irql::assert_at_most(P::MOST, P::NAME);
    let size = size_of::<T>().checked_mul(count).ok_or(Error::INSUFFICIENT_RESOURCES)?;
    if size == 0 {
        return Ok(NonNull::dangling());
    }
    if size > isize::MAX as usize {
        return Err(Error::INSUFFICIENT_RESOURCES);
    }
    let source = if P::PAGED { Source::Paged } else { Source::NonPaged };
    NonNull::new(pool::allocate(source, size, false, tag.0).cast())
        .ok_or(Error::INSUFFICIENT_RESOURCES)
}
