//! Counted UTF-16 strings of the kernel.

use core::slice;

use alloc::string::String;
use alloc::vec::Vec;

use windows_kernel_sys::UNICODE_STRING;

use crate::error::{Error, Result};

/// The text of a `UNICODE_STRING`, by its `Length`: there need not be a NUL, and there may be
/// one inside. What is not valid UTF-16 becomes U+FFFD. Fails only when memory runs out.
///
/// # Safety
/// `string` is null or points to a `UNICODE_STRING` whose `Buffer` has `Length` bytes.
pub unsafe fn to_string_lossy(string: *const UNICODE_STRING) -> Result<String> {
    if string.is_null() {
        return Ok(String::new());
    }
    // SAFETY: the caller's promise.
    let string = unsafe { &*string };
    if string.Buffer.is_null() {
        return Ok(String::new());
    }
    // SAFETY: the caller's promise; a trailing odd byte is no character.
    let units = unsafe { slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    decode_lossy(units)
}

fn decode_lossy(units: &[u16]) -> Result<String> {
    let mut text = String::new();
    // A unit is at most three bytes of UTF-8.
    text.try_reserve(units.len() * 3).map_err(Error::from)?;
    text.extend(
        char::decode_utf16(units.iter().copied())
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)),
    );
    Ok(text)
}

/// An owned counted string, made from Rust text. At most 32,767 UTF-16 units.
pub struct UnicodeString {
    units: Vec<u16>,
}

impl UnicodeString {
    /// The parts one after the other. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::NAME_TOO_LONG`], [`Error::INSUFFICIENT_RESOURCES`].
    pub fn try_new(parts: &[&str]) -> Result<Self> {
        let mut units = Vec::new();
        let len: usize = parts.iter().map(|part| part.encode_utf16().count()).sum();
        if len > usize::from(u16::MAX) / 2 {
            return Err(Error::NAME_TOO_LONG);
        }
        units.try_reserve_exact(len).map_err(Error::from)?;
        for part in parts {
            units.extend(part.encode_utf16());
        }
        Ok(UnicodeString { units })
    }

    /// Calls `f` with the string as the kernel wants it; the pointer is valid meanwhile, and what
    /// it leads to is not changed.
    pub fn with_raw<R>(&self, f: impl FnOnce(*const UNICODE_STRING) -> R) -> R {
        let bytes = (self.units.len() * 2) as u16;
        let raw = UNICODE_STRING {
            Length: bytes,
            MaximumLength: bytes,
            Buffer: self.units.as_ptr().cast_mut(),
        };
        f(&raw const raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn null_is_empty() {
        // SAFETY: null is allowed.
        assert_eq!(unsafe { to_string_lossy(core::ptr::null()) }.unwrap(), "");
    }
}
