//! [`u16str!`](crate::u16str): constants, converted when the driver is compiled.

/// How many UTF-16 units `text` has. For [`u16str!`](crate::u16str).
#[must_use]
pub const fn units(text: &str) -> usize {
    let text = text.as_bytes();
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        // A first byte counts one; four bytes are a pair of surrogates.
        let byte = text[at];
        count += (byte & 0xC0 != 0x80) as usize + (byte >= 0xF0) as usize;
        at += 1;
    }
    count
}

/// `text` in UTF-16, followed by NULs up to `N` units. For [`u16str!`](crate::u16str).
///
/// # Panics
/// If `N` is smaller than [`units`] of `text`.
#[must_use]
pub const fn encode<const N: usize>(text: &str) -> [u16; N] {
    let text = text.as_bytes();
    let mut out = [0; N];
    let (mut at, mut to) = (0, 0);
    while at < text.len() {
        let first = text[at] as u32;
        let (length, mut code) = match first {
            0..0x80 => (1, first),
            0x80..0xE0 => (2, first & 0x1F),
            0xE0..0xF0 => (3, first & 0x0F),
            _ => (4, first & 0x07),
        };
        let end = at + length;
        at += 1;
        while at < end {
            code = code << 6 | (text[at] & 0x3F) as u32;
            at += 1;
        }
        if code < 0x1_0000 {
            out[to] = code as u16;
            to += 1;
        } else {
            code -= 0x1_0000;
            out[to] = 0xD800 | (code >> 10) as u16;
            out[to + 1] = 0xDC00 | (code & 0x3FF) as u16;
            to += 2;
        }
    }
    out
}

/// A constant kernel string: `u16str!("\\Device\\Lab")` is a `&'static`
/// [`UnicodeStr`](crate::string::UnicodeStr), made by the compiler.
///
/// A NUL follows the text in memory and is not counted. Any IRQL, if the driver's data is not
/// paged. WDK: "RTL_CONSTANT_STRING macro".
///
/// ```no_run
/// use windows_kernel_rs::string::UnicodeStr;
/// use windows_kernel_rs::u16str;
///
/// static NAME: &UnicodeStr = u16str!("größer");
/// ```
#[macro_export]
macro_rules! u16str {
    ($text:expr) => {{
        const __TEXT: &$crate::__private::str = $text;
        static __UNITS: [$crate::__private::u16; $crate::string::units(__TEXT) + 1] =
            $crate::string::encode(__TEXT);
        static __STRING: $crate::string::UnicodeStr =
            $crate::string::UnicodeStr::from_nul_ended(&__UNITS);
        &__STRING
    }};
}

#[cfg(test)]
mod tests {
    use super::{encode, units};
    use std::vec::Vec;

    #[test]
    fn as_the_library_encodes() {
        for text in ["", "a", "é", "ÿĀ", "\u{7FF}\u{800}", "\u{FFFF}", "x😀é", "\u{10FFFF}\0z"]
        {
            let expected: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(units(text), expected.len(), "{text:?}");
            let out = encode::<16>(text);
            assert_eq!(out[..expected.len()], expected[..], "{text:?}");
            assert!(out[expected.len()..].iter().all(|unit| *unit == 0));
        }
    }

    #[test]
    fn every_character() {
        for code in (0..=0x10_FFFF).step_by(if cfg!(miri) { 997 } else { 1 }) {
            let Some(character) = char::from_u32(code) else { continue };
            let mut utf8 = [0; 4];
            let mut utf16 = [0; 2];
            let expected = character.encode_utf16(&mut utf16);
            let out = encode::<2>(character.encode_utf8(&mut utf8));
            assert_eq!(&out[..expected.len()], &*expected);
        }
    }
}
