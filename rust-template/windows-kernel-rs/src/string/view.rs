//! [`UnicodeStr`]: a counted string that is kept elsewhere.

use alloc::string::String;
use core::fmt::{self, Write};
use core::{ptr, slice};

use windows_kernel_sys::{RtlEqualUnicodeString, RtlPrefixUnicodeString, UNICODE_STRING};

use super::MAX_UNITS;
use crate::error::{Error, Result};

/// A counted UTF-16 string as the kernel has it: a `&UnicodeStr` is a `PCUNICODE_STRING` that is
/// known to be valid and not to change as long as it is borrowed.
///
/// It can be read at the IRQLs at which its memory can: names that the kernel passes are often in
/// paged memory.
///
/// WDK: "UNICODE_STRING structure (ntdef.h)".
#[repr(transparent)]
pub struct UnicodeStr {
    // Not public, and never handed out by `&mut`: the buffer has at least `Length` bytes.
    raw: UNICODE_STRING,
}

// SAFETY: what the pointer leads to is only read.
unsafe impl Send for UnicodeStr {}
// SAFETY: as for `Send`.
unsafe impl Sync for UnicodeStr {}

impl UnicodeStr {
    /// The string over these units.
    ///
    /// # Safety
    /// `buffer` has `units` units, at most [`MAX_UNITS`], and room for `capacity`, which is not
    /// smaller; all stays as it is while the value is used.
    pub(super) const unsafe fn new(buffer: *const u16, units: usize, capacity: usize) -> Self {
        let capacity = if capacity > MAX_UNITS { MAX_UNITS } else { capacity };
        UnicodeStr {
            raw: UNICODE_STRING {
                Length: (units * 2) as u16,
                MaximumLength: (capacity * 2) as u16,
                Buffer: buffer.cast_mut(),
            },
        }
    }

    /// A constant string; the last unit is a NUL that is not counted. For
    /// [`u16str!`](crate::u16str).
    ///
    /// # Panics
    /// If `units` is empty, does not end in 0 or has more than [`MAX_UNITS`] before it; in a
    /// constant, this does not compile.
    #[must_use]
    pub const fn from_nul_ended(units: &'static [u16]) -> Self {
        assert!(!units.is_empty(), "a string that ends in NUL");
        let count = units.len() - 1;
        assert!(units[count] == 0, "a string that ends in NUL");
        assert!(count <= MAX_UNITS, "at most 32,767 UTF-16 units");
        // SAFETY: a slice that stays; its length was checked.
        unsafe { Self::new(units.as_ptr(), count, units.len()) }
    }

    /// The string that the kernel points to; `None` for null.
    ///
    /// # Safety
    /// `raw` is null or points to a `UNICODE_STRING` whose `Buffer` is null or has `Length`
    /// bytes, aligned, and neither changes during `'a`.
    #[must_use]
    pub unsafe fn from_raw<'a>(raw: *const UNICODE_STRING) -> Option<&'a Self> {
        // SAFETY: the caller's promise; the layout is that of UNICODE_STRING.
        unsafe { raw.cast::<Self>().as_ref() }
    }

    /// The string, to pass to a kernel routine that only reads it.
    #[must_use]
    pub const fn as_raw(&self) -> *const UNICODE_STRING {
        ptr::from_ref(&self.raw)
    }

    /// The UTF-16 units, without a NUL that may follow.
    #[must_use]
    pub fn as_units(&self) -> &[u16] {
        if self.raw.Buffer.is_null() {
            return &[];
        }
        // SAFETY: the buffer has `Length` bytes; a trailing odd byte is no unit.
        unsafe { slice::from_raw_parts(self.raw.Buffer, usize::from(self.raw.Length) / 2) }
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_units().is_empty()
    }

    /// The characters; U+FFFD for what is invalid.
    pub fn chars(&self) -> impl Iterator<Item = char> + '_ {
        char::decode_utf16(self.as_units().iter().copied())
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// For printing, with U+FFFD for what is invalid. Nothing is allocated.
    #[must_use]
    pub fn display(&self) -> Display<'_> {
        Display(self)
    }

    /// As a Rust string, with U+FFFD for what is invalid. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`].
    pub fn to_string_lossy(&self) -> Result<String> {
        let mut text = self.room()?;
        text.extend(self.chars());
        Ok(text)
    }

    /// As a Rust string, exactly. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::UNMAPPABLE_CHARACTER`] for what is not valid UTF-16,
    /// [`Error::INSUFFICIENT_RESOURCES`].
    pub fn try_to_string(&self) -> Result<String> {
        let mut text = self.room()?;
        for character in char::decode_utf16(self.as_units().iter().copied()) {
            text.push(character.map_err(Error::from)?);
        }
        Ok(text)
    }

    fn room(&self) -> Result<String> {
        let mut text = String::new();
        // A unit is at most three bytes of UTF-8.
        text.try_reserve(self.as_units().len() * 3).map_err(Error::from)?;
        Ok(text)
    }

    /// Whether both are the same but for the case of letters, as the kernel compares names.
    ///
    /// IRQL: PASSIVE. WDK: "RtlEqualUnicodeString function (wdm.h)".
    #[must_use]
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        // SAFETY: both are valid strings, which are only read.
        unsafe { RtlEqualUnicodeString(self.as_raw(), other.as_raw(), 1) != 0 }
    }

    /// Whether it begins with `prefix`, but for the case of letters.
    ///
    /// IRQL: PASSIVE. WDK: "RtlPrefixUnicodeString function (ntddk.h)".
    #[must_use]
    pub fn starts_with_ignore_case(&self, prefix: &Self) -> bool {
        // SAFETY: both are valid strings, which are only read.
        unsafe { RtlPrefixUnicodeString(prefix.as_raw(), self.as_raw(), 1) != 0 }
    }

    /// Whether it ends with `suffix`, but for the case of letters: a file's name in its path, say.
    ///
    /// IRQL: PASSIVE. WDK: "RtlEqualUnicodeString function (wdm.h)".
    #[must_use]
    pub fn ends_with_ignore_case(&self, suffix: &Self) -> bool {
        let (units, wanted) = (self.as_units(), suffix.as_units());
        let Some(start) = units.len().checked_sub(wanted.len()) else { return false };
        let Some(end) = units.get(start..) else { return false };
        // SAFETY: the end of a valid string; it is not longer than the whole.
        unsafe { Self::new(end.as_ptr(), end.len(), end.len()) }.eq_ignore_case(suffix)
    }
}

/// Exactly the same units.
impl PartialEq for UnicodeStr {
    fn eq(&self, other: &Self) -> bool {
        self.as_units() == other.as_units()
    }
}

impl Eq for UnicodeStr {}

/// Exactly the same text; never true for what is not valid UTF-16.
impl PartialEq<str> for UnicodeStr {
    fn eq(&self, other: &str) -> bool {
        self.as_units().iter().copied().eq(other.encode_utf16())
    }
}

impl PartialEq<&str> for UnicodeStr {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Debug for UnicodeStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for unit in char::decode_utf16(self.as_units().iter().copied()) {
            match unit {
                Ok(character) => write!(f, "{}", character.escape_debug())?,
                Err(lone) => write!(f, "\\u{{{:x}}}", lone.unpaired_surrogate())?,
            }
        }
        f.write_char('"')
    }
}

/// What [`UnicodeStr::display`] gives.
pub struct Display<'a>(&'a UnicodeStr);

impl fmt::Display for Display<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| f.write_char(character))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::string::to_string_lossy;
    use crate::u16str;
    use std::format;
    use std::string::ToString;
    use std::vec::Vec;

    fn counted(units: &[u16], length: u16) -> UNICODE_STRING {
        UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_ptr().cast_mut() }
    }

    fn text(units: &[u16], length: u16) -> String {
        // SAFETY: `length` is at most the size of `units` in all callers.
        unsafe { to_string_lossy(&counted(units, length)) }.expect("memory")
    }

    #[test]
    fn the_length_counts() {
        let units: Vec<u16> = "ServiceXXX".encode_utf16().collect();
        assert_eq!(text(&units, 14), "Service");
        assert_eq!(text(&units, 15), "Service");
        assert_eq!(text(&units, 0), "");
        let inside: Vec<u16> = "a\0b".encode_utf16().collect();
        assert_eq!(text(&inside, 6), "a\0b");
    }

    #[test]
    fn surrogates() {
        let units: Vec<u16> = "x😀é".encode_utf16().collect();
        assert_eq!(text(&units, 8), "x😀é");
        assert_eq!(text(&[0xD83D, 0x41], 4), "\u{FFFD}A");
        assert_eq!(text(&[0x41, 0xDE00], 4), "A\u{FFFD}");
        let lone = [0x41, 0xDE00];
        // SAFETY: the units stay meanwhile.
        let raw = unsafe { UnicodeStr::new(lone.as_ptr(), 2, 2) };
        assert_eq!(raw.try_to_string(), Err(Error::UNMAPPABLE_CHARACTER));
        assert_eq!(format!("{raw:?}"), "\"A\\u{de00}\"");
        assert_eq!(raw.display().to_string(), "A\u{FFFD}");
        assert!(raw != *"A\u{FFFD}");
    }

    #[test]
    fn null_is_empty() {
        // SAFETY: null is allowed.
        assert_eq!(unsafe { to_string_lossy(core::ptr::null()) }.unwrap(), "");
        let none = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() };
        // SAFETY: so is a null buffer.
        let none = unsafe { UnicodeStr::from_raw(&raw const none) }.unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn constants() {
        static NAME: &UnicodeStr = u16str!("größer 😀");
        assert_eq!(NAME.try_to_string().unwrap(), "größer 😀");
        assert!(*NAME == "größer 😀" && *NAME != "größer" && NAME == u16str!("größer 😀"));
        // SAFETY: a valid string.
        let raw = unsafe { &*NAME.as_raw() };
        assert_eq!((raw.Length, raw.MaximumLength), (18, 20));
        assert!(u16str!("").is_empty());
        assert_eq!(format!("{:?}", u16str!("a\"\n\0")), "\"a\\\"\\n\\0\"");
    }
}
