//! What is in a key: [`Keys`] and [`Values`].

use core::mem::offset_of;

use alloc::vec::Vec;

use windows_kernel_sys as sys;
use windows_kernel_sys::{KEY_BASIC_INFORMATION, KEY_VALUE_FULL_INFORMATION};

use super::{Key, Value, query, u32_at};
use crate::error::{Error, Result};
use crate::irql::{Irql, assert_at_most};
use crate::mem::try_vec;
use crate::string::UnicodeString;

/// The names of the keys below a key; see [`Key::keys`]. Ends with the first error. IRQL: PASSIVE.
#[derive(Debug)]
pub struct Keys<'a> {
    key: &'a Key,
    next: Option<u32>,
}

/// The values of a key; see [`Key::values`]. Ends with the first error. IRQL: PASSIVE.
#[derive(Debug)]
pub struct Values<'a> {
    key: &'a Key,
    next: Option<u32>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(key: &'a Key) -> Self {
        Keys { key, next: Some(0) }
    }
}

impl<'a> Values<'a> {
    pub(super) fn new(key: &'a Key) -> Self {
        Values { key, next: Some(0) }
    }
}

/// The answer for the next index; `None` at the end.
fn step<T>(next: &mut Option<u32>, ask: impl FnOnce(u32) -> Result<T>) -> Option<Result<T>> {
    let index = (*next)?;
    match ask(index) {
        Ok(found) => {
            *next = index.checked_add(1);
            Some(Ok(found))
        }
        Err(error) => {
            *next = None;
            (error != Error::NO_MORE_ENTRIES).then_some(Err(error))
        }
    }
}

/// The part of an answer that another field gives offset and length of.
fn part(block: &[u8], offset: usize, length: u32) -> Result<&[u8]> {
    let rest = block.get(offset..).ok_or(Error::INVALID_BUFFER_SIZE)?;
    rest.get(..length as usize).ok_or(Error::INVALID_BUFFER_SIZE)
}

fn name(bytes: &[u8]) -> Result<UnicodeString> {
    let mut units = Vec::new();
    units.try_reserve_exact(bytes.len() / 2).map_err(Error::from)?;
    units.extend(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
    UnicodeString::from_units(&units)
}

impl Iterator for Keys<'_> {
    type Item = Result<UnicodeString>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        assert_at_most(Irql::PASSIVE, "Keys::next");
        let handle = self.key.as_raw();
        step(&mut self.next, |index| {
            let block = query(|buffer, size, needed| {
                let class = sys::KeyBasicInformation;
                // SAFETY: the handle is valid, the buffer has `size` bytes.
                unsafe { sys::ZwEnumerateKey(handle, index, class, buffer, size, needed) }
            })?;
            let length = u32_at(&block, offset_of!(KEY_BASIC_INFORMATION, NameLength))?;
            name(part(&block, offset_of!(KEY_BASIC_INFORMATION, Name), length)?)
        })
    }
}

impl Iterator for Values<'_> {
    type Item = Result<(UnicodeString, Value)>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        assert_at_most(Irql::PASSIVE, "Values::next");
        let handle = self.key.as_raw();
        step(&mut self.next, |index| {
            let block = query(|buffer, size, needed| {
                let class = sys::KeyValueFullInformation;
                // SAFETY: the handle is valid, the buffer has `size` bytes.
                unsafe { sys::ZwEnumerateValueKey(handle, index, class, buffer, size, needed) }
            })?;
            let field = |offset| u32_at(&block, offset);
            let kind = field(offset_of!(KEY_VALUE_FULL_INFORMATION, Type))?;
            let start = field(offset_of!(KEY_VALUE_FULL_INFORMATION, DataOffset))?;
            let size = field(offset_of!(KEY_VALUE_FULL_INFORMATION, DataLength))?;
            let length = field(offset_of!(KEY_VALUE_FULL_INFORMATION, NameLength))?;
            let data = if size == 0 { &[][..] } else { part(&block, start as usize, size)? };
            let name = name(part(&block, offset_of!(KEY_VALUE_FULL_INFORMATION, Name), length)?)?;
            Ok((name, Value::new(kind, try_vec(data)?)))
        })
    }
}
