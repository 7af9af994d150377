//! `Vec` and `String` without hidden failure: each step that may need memory is a `Result`.
//!
//! `alloc`'s own methods (`push`, `extend`, `format!`) panic when memory runs out, which is a bug
//! check; only `try_reserve` and its kin tell. These traits add what is built on it. All memory is
//! nonpaged pool, so that they work at IRQL <= DISPATCH. WDK: "ExAllocatePool2 function (wdm.h)".

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::error::{Error, Result};
use crate::irql::{self, Irql};

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for alloc::vec::Vec<T> {}
    impl Sealed for alloc::string::String {}
}

/// `Vec`'s methods that need memory, as a `Result`.
///
/// IRQL <= DISPATCH. Each fails with [`Error::INSUFFICIENT_RESOURCES`] when memory runs out, and
/// leaves the vector as it was.
///
/// ```no_run
/// use windows_kernel_rs::prelude::*;
///
/// fn numbers() -> Result<Vec<u32>> {
///     let mut found = Vec::try_from_slice(&[1, 2, 3])?;
///     found.try_push(4)?;
///     found.try_extend(found.len() as u32..10)?;
///     Ok(found)
/// }
/// ```
pub trait VecExt<T>: sealed::Sealed + Sized {
    /// An empty vector with room for `capacity` elements.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_with_room(capacity: usize) -> Result<Self>;

    /// A vector with a copy of `items`.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_from_slice(items: &[T]) -> Result<Self>
    where
        T: Copy;

    /// A vector of what `items` gives.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_from_iterator(items: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut out = Self::try_with_room(0)?;
        out.try_extend(items)?;
        Ok(out)
    }

    /// `push`: adds `value` at the end.
    ///
    /// # Errors
    /// When memory runs out; `value` is dropped.
    fn try_push(&mut self, value: T) -> Result<()>;

    /// `insert`: adds `value` at `index`.
    ///
    /// # Errors
    /// When memory runs out, `value` is dropped; [`Error::INVALID_PARAMETER`] when `index` is beyond
    /// the end.
    fn try_insert(&mut self, index: usize, value: T) -> Result<()>;

    /// `extend`: adds what `items` gives; what was added until memory ran out stays.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_extend(&mut self, items: impl IntoIterator<Item = T>) -> Result<()>;

    /// `extend_from_slice`: adds a copy of `items`, all or none.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_extend_from_slice(&mut self, items: &[T]) -> Result<()>
    where
        T: Copy;

    /// `resize`: makes it `len` elements long, new ones being `value`.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_resize(&mut self, len: usize, value: T) -> Result<()>
    where
        T: Copy;
}

impl<T> VecExt<T> for Vec<T> {
    fn try_with_room(capacity: usize) -> Result<Self> {
        let mut out = Vec::new();
        reserve(&mut out, capacity, "Vec::try_with_room")?;
        Ok(out)
    }

    fn try_from_slice(items: &[T]) -> Result<Self>
    where
        T: Copy,
    {
        let mut out = Vec::new();
        out.try_reserve_exact(items.len())?;
        out.extend_from_slice(items);
        Ok(out)
    }

    #[track_caller]
    fn try_push(&mut self, value: T) -> Result<()> {
        reserve(self, 1, "Vec::try_push")?;
        self.push(value);
        Ok(())
    }

    #[track_caller]
    fn try_insert(&mut self, index: usize, value: T) -> Result<()> {
        if index > self.len() {
            return Err(Error::INVALID_PARAMETER);
        }
        reserve(self, 1, "Vec::try_insert")?;
        self.insert(index, value);
        Ok(())
    }

    #[track_caller]
    fn try_extend(&mut self, items: impl IntoIterator<Item = T>) -> Result<()> {
        let items = items.into_iter();
        reserve(self, items.size_hint().0, "Vec::try_extend")?;
        for item in items {
            self.try_push(item)?;
        }
        Ok(())
    }

    #[track_caller]
    fn try_extend_from_slice(&mut self, items: &[T]) -> Result<()>
    where
        T: Copy,
    {
        reserve(self, items.len(), "Vec::try_extend_from_slice")?;
        self.extend_from_slice(items);
        Ok(())
    }

    #[track_caller]
    fn try_resize(&mut self, len: usize, value: T) -> Result<()>
    where
        T: Copy,
    {
        reserve(self, len.saturating_sub(self.len()), "Vec::try_resize")?;
        self.resize(len, value);
        Ok(())
    }
}

#[track_caller]
fn reserve<T>(vec: &mut Vec<T>, more: usize, routine: &str) -> Result<()> {
    irql::assert_at_most(Irql::DISPATCH, routine);
    Ok(vec.try_reserve(more)?)
}

/// `String`'s methods that need memory, as a `Result`; see [`VecExt`].
///
/// IRQL <= DISPATCH. Each fails with [`Error::INSUFFICIENT_RESOURCES`] when memory runs out, and
/// leaves the string as it was.
///
/// ```no_run
/// use windows_kernel_rs::prelude::*;
///
/// fn greeting(name: &str) -> Result<String> {
///     let mut text = String::try_from_str("hello ")?;
///     text.try_push_str(name)?;
///     text.try_push('!')?;
///     Ok(text)
/// }
/// ```
pub trait StringExt: sealed::Sealed + Sized {
    /// An owned copy of `text`.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_from_str(text: &str) -> Result<Self>;

    /// `push_str`: adds `text` at the end.
    ///
    /// # Errors
    /// When memory runs out.
    fn try_push_str(&mut self, text: &str) -> Result<()>;

    /// `push`: adds a character at the end.
    ///
    /// # Errors
    /// When memory runs out.
    #[track_caller]
    fn try_push(&mut self, character: char) -> Result<()> {
        self.try_push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// Adds what `arguments` print; `write!` into a string that can fail. Part of it may have been
    /// added when it fails.
    ///
    /// # Errors
    /// When memory runs out; [`Error::UNSUCCESSFUL`] when an argument's own printing fails.
    fn try_push_fmt(&mut self, arguments: fmt::Arguments<'_>) -> Result<()>;
}

impl StringExt for String {
    fn try_from_str(text: &str) -> Result<Self> {
        let mut out = String::new();
        out.try_reserve_exact(text.len())?;
        out.push_str(text);
        Ok(out)
    }

    #[track_caller]
    fn try_push_str(&mut self, text: &str) -> Result<()> {
        irql::assert_at_most(Irql::DISPATCH, "String::try_push_str");
        self.try_reserve(text.len())?;
        self.push_str(text);
        Ok(())
    }

    fn try_push_fmt(&mut self, arguments: fmt::Arguments<'_>) -> Result<()> {
        struct Adapter<'a> {
            out: &'a mut String,
            full: bool,
        }
        impl Write for Adapter<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.out.try_push_str(text).map_err(|_| {
                    self.full = true;
                    fmt::Error
                })
            }
        }
        let mut adapter = Adapter { out: self, full: false };
        match adapter.write_fmt(arguments) {
            Ok(()) if !adapter.full => Ok(()),
            Err(_) if !adapter.full => Err(Error::UNSUCCESSFUL),
            _ => Err(Error::INSUFFICIENT_RESOURCES),
        }
    }
}

/// `format!` whose failure is an error rather than a panic.
///
/// IRQL <= DISPATCH.
///
/// # Errors
/// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; [`Error::UNSUCCESSFUL`] when an argument's
/// own printing fails.
///
/// ```no_run
/// use windows_kernel_rs::prelude::*;
///
/// fn name(number: u32) -> Result<String> {
///     try_format!("Port{number}")
/// }
/// ```
#[macro_export]
macro_rules! try_format {
    ($($arguments:tt)*) => {
        $crate::__private::try_format($crate::__private::format_args!($($arguments)*))
    };
}

/// What [`try_format!`](crate::try_format) expands to.
#[doc(hidden)]
pub fn try_format(arguments: fmt::Arguments<'_>) -> Result<String> {
    let mut out = String::new();
    out.try_push_fmt(arguments)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{StringExt, VecExt};
    use crate::Error;
    use core::fmt;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn vectors() {
        let mut found = Vec::try_from_slice(&[1, 2]).unwrap();
        found.try_push(3).unwrap();
        found.try_extend([4, 5]).unwrap();
        found.try_extend_from_slice(&[6]).unwrap();
        found.try_insert(0, 0).unwrap();
        assert_eq!(found.try_insert(8, 0), Err(Error::INVALID_PARAMETER));
        found.try_resize(9, 7).unwrap();
        assert_eq!(found, vec![0, 1, 2, 3, 4, 5, 6, 7, 7]);
        found.try_resize(1, 0).unwrap();
        assert_eq!(found, vec![0]);
        assert_eq!(Vec::try_from_iterator(0..3).unwrap(), vec![0, 1, 2]);
    }

    #[test]
    fn too_much_is_an_error() {
        let full = Some(Error::INSUFFICIENT_RESOURCES);
        assert_eq!(Vec::<u64>::try_with_room(usize::MAX).err(), full);
        let mut found = vec![1u8];
        assert_eq!(found.try_resize(usize::MAX, 0).err(), full);
        struct Endless;
        impl Iterator for Endless {
            type Item = u8;
            fn next(&mut self) -> Option<u8> {
                Some(1)
            }
            fn size_hint(&self) -> (usize, Option<usize>) {
                (usize::MAX, None)
            }
        }
        assert_eq!(found.try_extend(Endless).err(), full);
        assert_eq!(found, vec![1]);
    }

    #[test]
    fn strings() {
        let mut text = String::try_from_str("a").unwrap();
        text.try_push_str("bc").unwrap();
        text.try_push('ü').unwrap();
        text.try_push_fmt(format_args!("{:>3}", 7)).unwrap();
        assert_eq!(text, "abcü  7");
        assert_eq!(try_format!("{}-{text}", 1).unwrap(), "1-abcü  7");
    }

    #[test]
    fn printing_that_fails() {
        struct Bad;
        impl fmt::Display for Bad {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        assert_eq!(try_format!("{Bad}"), Err(Error::UNSUCCESSFUL));
    }
}
