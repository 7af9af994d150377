//! [`UnicodeString`]: a counted string that is owned.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use windows_kernel_sys::UNICODE_STRING;

use super::{UnicodeStr, bytes};
use crate::error::{Error, Result};

/// An owned counted string, at most 32,767 UTF-16 units, in the nonpaged pool. It is a
/// [`UnicodeStr`] wherever one is wanted.
pub struct UnicodeString {
    // What `view` points to; never changed after it was made.
    units: Vec<u16>,
    view: UnicodeStr,
}

impl UnicodeString {
    /// The parts one after the other. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::NAME_TOO_LONG`], [`Error::INSUFFICIENT_RESOURCES`].
    pub fn try_new(parts: &[&str]) -> Result<Self> {
        let len: usize = parts.iter().map(|part| part.encode_utf16().count()).sum();
        bytes(len)?;
        let mut units = Vec::new();
        units.try_reserve_exact(len).map_err(Error::from)?;
        for part in parts {
            units.extend(part.encode_utf16());
        }
        Ok(Self::from_vec(units))
    }

    /// A copy of these units. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// As for [`try_new`](Self::try_new).
    pub fn from_units(units: &[u16]) -> Result<Self> {
        bytes(units.len())?;
        Ok(Self::from_vec(crate::mem::try_vec(units)?))
    }

    /// A copy. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`].
    pub fn try_clone(&self) -> Result<Self> {
        Self::from_units(&self.units)
    }

    /// `units` has at most `MAX_UNITS`.
    fn from_vec(units: Vec<u16>) -> Self {
        // SAFETY: the vector's memory stays where it is when the vector moves, and it is not
        // changed; the length was checked.
        let view = unsafe { UnicodeStr::new(units.as_ptr(), units.len(), units.len()) };
        UnicodeString { units, view }
    }

    /// Calls `f` with the string as the kernel wants it; the pointer is valid meanwhile, and what
    /// it leads to is not changed.
    pub fn with_raw<R>(&self, f: impl FnOnce(*const UNICODE_STRING) -> R) -> R {
        f(self.view.as_raw())
    }
}

impl UnicodeStr {
    /// An owned copy. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`].
    pub fn try_to_owned(&self) -> Result<UnicodeString> {
        UnicodeString::from_units(self.as_units())
    }
}

impl Deref for UnicodeString {
    type Target = UnicodeStr;

    fn deref(&self) -> &UnicodeStr {
        &self.view
    }
}

impl PartialEq for UnicodeString {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for UnicodeString {}

impl fmt::Debug for UnicodeString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl TryFrom<&str> for UnicodeString {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::try_new(&[text])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join() {
        let string = UnicodeString::try_new(&["\\Device\\", "é", ""]).unwrap();
        assert!(*string == "\\Device\\é");
        let moved = std::boxed::Box::new(string);
        assert_eq!(moved.try_to_string().unwrap(), "\\Device\\é");
        assert_eq!(*moved, moved.try_clone().unwrap());
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow there")]
    fn the_length_is_never_cut() {
        let text = "x".repeat(super::super::MAX_UNITS + 1);
        assert_eq!(UnicodeString::try_new(&[&text]), Err(Error::NAME_TOO_LONG));
        let longest = UnicodeString::try_new(&[&text[1..]]).unwrap();
        assert_eq!(longest.as_units().len(), super::super::MAX_UNITS);
    }
}
