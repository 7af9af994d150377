//! Values of the registry and the Rust types that they are read and written as.
//!
//! | Rust | registry |
//! |---|---|
//! | `u32` | `REG_DWORD` |
//! | `u64` | `REG_QWORD`; also reads `REG_DWORD` |
//! | `String`, `str`, [`UnicodeString`], [`UnicodeStr`] | `REG_SZ`; also reads `REG_EXPAND_SZ`, as it is |
//! | `Vec<u8>`, `[u8]` | `REG_BINARY` |
//! | `Vec<String>`, `[&str]`, `[String]` | `REG_MULTI_SZ` |
//! | [`Value`] | any |

use alloc::string::String;
use alloc::vec::Vec;

use windows_kernel_sys as sys;

use crate::error::{Error, Result};
use crate::string::{UnicodeStr, UnicodeString};

/// A value as the registry has it: a type and bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Value {
    kind: u32,
    data: Vec<u8>,
}

impl Value {
    /// A value of type `kind`, `REG_…`.
    #[must_use]
    pub fn new(kind: u32, data: Vec<u8>) -> Self {
        Value { kind, data }
    }

    /// Its type, `REG_…`.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Its data. A text is UTF-16 and may or may not end in NUL.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    fn of(self, kinds: &[u32]) -> Result<Vec<u8>> {
        if kinds.contains(&self.kind) { Ok(self.data) } else { Err(Error::OBJECT_TYPE_MISMATCH) }
    }

    /// The units of a text, with all that ends it.
    fn units(self, kinds: &[u32]) -> Result<Vec<u16>> {
        let data = self.of(kinds)?;
        if data.len() % 2 != 0 {
            return Err(Error::INVALID_BUFFER_SIZE);
        }
        let mut units = Vec::new();
        units.try_reserve_exact(data.len() / 2).map_err(Error::from)?;
        units.extend(data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
        Ok(units)
    }
}

/// What a value can be read as. IRQL <= DISPATCH.
pub trait FromValue: Sized {
    /// The value as this type.
    ///
    /// # Errors
    /// [`Error::OBJECT_TYPE_MISMATCH`] for another type, [`Error::INVALID_BUFFER_SIZE`] for data
    /// that does not fit the type, [`Error::UNMAPPABLE_CHARACTER`] for a text that is not UTF-16,
    /// [`Error::INSUFFICIENT_RESOURCES`].
    fn from_value(value: Value) -> Result<Self>;
}

/// What a value can be written from. IRQL <= DISPATCH.
pub trait ToValue {
    /// Calls `f` with the `REG_…` type and the data.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`]; [`Error::INVALID_PARAMETER`] for what the type cannot
    /// hold.
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R>;
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self> {
        Ok(value)
    }
}

impl FromValue for u32 {
    fn from_value(value: Value) -> Result<Self> {
        let data = value.of(&[sys::REG_DWORD])?;
        Ok(u32::from_le_bytes(data.as_slice().try_into()?))
    }
}

impl FromValue for u64 {
    fn from_value(value: Value) -> Result<Self> {
        if value.kind == sys::REG_DWORD {
            return u32::from_value(value).map(u64::from);
        }
        let data = value.of(&[sys::REG_QWORD])?;
        Ok(u64::from_le_bytes(data.as_slice().try_into()?))
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Result<Self> {
        value.of(&[sys::REG_BINARY])
    }
}

/// Without the NULs at its end.
impl FromValue for UnicodeString {
    fn from_value(value: Value) -> Result<Self> {
        let units = value.units(&[sys::REG_SZ, sys::REG_EXPAND_SZ])?;
        UnicodeString::from_units(trim(&units))
    }
}

/// Without the NULs at its end.
impl FromValue for String {
    fn from_value(value: Value) -> Result<Self> {
        text(trim(&value.units(&[sys::REG_SZ, sys::REG_EXPAND_SZ])?))
    }
}

/// Up to the empty text that ends the list.
impl FromValue for Vec<String> {
    fn from_value(value: Value) -> Result<Self> {
        let units = value.units(&[sys::REG_MULTI_SZ])?;
        let mut texts = Vec::new();
        for each in units.split(|unit| *unit == 0).take_while(|each| !each.is_empty()) {
            texts.try_reserve(1).map_err(Error::from)?;
            texts.push(text(each)?);
        }
        Ok(texts)
    }
}

fn trim(units: &[u16]) -> &[u16] {
    let end = units.iter().rposition(|unit| *unit != 0).map_or(0, |last| last + 1);
    units.get(..end).unwrap_or_default()
}

fn text(units: &[u16]) -> Result<String> {
    let mut text = String::new();
    text.try_reserve(units.len() * 3).map_err(Error::from)?;
    for character in char::decode_utf16(units.iter().copied()) {
        text.push(character?);
    }
    Ok(text)
}

/// The bytes of units and a NUL.
fn with_nul(units: impl Iterator<Item = u16> + Clone, out: &mut Vec<u8>) -> Result<()> {
    out.try_reserve(units.clone().count() * 2 + 2).map_err(Error::from)?;
    out.extend(units.chain([0]).flat_map(u16::to_le_bytes));
    Ok(())
}

impl ToValue for Value {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        Ok(f(self.kind, &self.data))
    }
}

impl ToValue for u32 {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        Ok(f(sys::REG_DWORD, &self.to_le_bytes()))
    }
}

impl ToValue for u64 {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        Ok(f(sys::REG_QWORD, &self.to_le_bytes()))
    }
}

impl ToValue for str {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        let mut data = Vec::new();
        with_nul(self.encode_utf16(), &mut data)?;
        Ok(f(sys::REG_SZ, &data))
    }
}

impl ToValue for UnicodeStr {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        let mut data = Vec::new();
        with_nul(self.as_units().iter().copied(), &mut data)?;
        Ok(f(sys::REG_SZ, &data))
    }
}

impl ToValue for [u8] {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        Ok(f(sys::REG_BINARY, self))
    }
}

/// A list of texts, none of them empty: an empty one would end it.
fn multi<'a, R>(
    texts: impl Iterator<Item = &'a str>,
    f: impl FnOnce(u32, &[u8]) -> R,
) -> Result<R> {
    let mut data = Vec::new();
    for text in texts {
        if text.is_empty() || text.contains('\0') {
            return Err(Error::INVALID_PARAMETER);
        }
        with_nul(text.encode_utf16(), &mut data)?;
    }
    with_nul([].into_iter(), &mut data)?;
    Ok(f(sys::REG_MULTI_SZ, &data))
}

impl ToValue for [&str] {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        multi(self.iter().copied(), f)
    }
}

impl ToValue for [String] {
    fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
        multi(self.iter().map(String::as_str), f)
    }
}

macro_rules! as_slice {
    ($(($($generics:tt)*) $kind:ty => $slice:ty;)*) => {$(
        impl<$($generics)*> ToValue for $kind {
            fn with_value<R>(&self, f: impl FnOnce(u32, &[u8]) -> R) -> Result<R> {
                <$slice>::with_value(self, f)
            }
        }
    )*};
}

as_slice! {
    () String => str;
    () UnicodeString => UnicodeStr;
    () Vec<u8> => [u8];
    () Vec<String> => [String];
    (const N: usize) [u8; N] => [u8];
    (const N: usize) [&str; N] => [&str];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::u16str;
    use std::string::ToString;
    use std::vec;

    fn written<T: ToValue + ?Sized>(value: &T) -> Value {
        value.with_value(|kind, data| Value::new(kind, data.to_vec())).unwrap()
    }

    fn back<T: FromValue>(value: &(impl ToValue + ?Sized)) -> Result<T> {
        T::from_value(written(value))
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(back::<u32>(&7_u32), Ok(7));
        assert_eq!(back::<u64>(&(1_u64 << 40)), Ok(1 << 40));
        assert_eq!(back::<u64>(&7_u32), Ok(7));
        assert_eq!(back::<String>("größer 😀"), Ok("größer 😀".to_string()));
        assert!(*back::<UnicodeString>(u16str!("é")).unwrap() == "é");
        assert_eq!(back::<Vec<u8>>(&[1, 2]), Ok(vec![1, 2]));
        let list = vec!["a".to_string(), "bc".to_string()];
        assert_eq!(back::<Vec<String>>(&["a", "bc"]), Ok(list));
        assert_eq!(back::<Vec<String>>(&Vec::<String>::new()), Ok(vec![]));
        assert_eq!(written("a").data(), b"a\0\0\0");
        assert_eq!(written(&["a"]).data(), b"a\0\0\0\0\0");
    }

    #[test]
    fn types_do_not_mix() {
        assert_eq!(back::<u32>(&7_u64), Err(Error::OBJECT_TYPE_MISMATCH));
        assert_eq!(back::<u32>("7"), Err(Error::OBJECT_TYPE_MISMATCH));
        assert_eq!(back::<String>(&[0x41, 0]), Err(Error::OBJECT_TYPE_MISMATCH));
        assert_eq!(back::<Vec<u8>>(&7_u32), Err(Error::OBJECT_TYPE_MISMATCH));
    }

    #[test]
    fn data_that_does_not_fit_its_type() {
        let of = |kind, data: &[u8]| Value::new(kind, data.to_vec());
        assert_eq!(u32::from_value(of(sys::REG_DWORD, &[1])), Err(Error::INVALID_BUFFER_SIZE));
        let odd = of(sys::REG_SZ, &[0x41, 0, 0]);
        assert_eq!(String::from_value(odd), Err(Error::INVALID_BUFFER_SIZE));
        let lone = of(sys::REG_SZ, &[0, 0xD8, 0x41, 0]);
        assert_eq!(String::from_value(lone), Err(Error::UNMAPPABLE_CHARACTER));
        let unended = of(sys::REG_EXPAND_SZ, &[0x41, 0]);
        assert_eq!(String::from_value(unended), Ok("A".to_string()));
        assert_eq!(String::from_value(of(sys::REG_SZ, &[])), Ok(String::new()));
        let list = of(sys::REG_MULTI_SZ, &[0x41, 0, 0, 0, 0x42, 0]);
        assert_eq!(Vec::from_value(list), Ok(vec!["A".to_string(), "B".to_string()]));
    }

    #[test]
    fn what_a_list_cannot_hold() {
        let refused = ["a", ""].with_value(|_, _| ());
        assert_eq!(refused, Err(Error::INVALID_PARAMETER));
        assert_eq!(["a\0b"].with_value(|_, _| ()), Err(Error::INVALID_PARAMETER));
    }
}
