//! A request's data: bytes to read from, bytes to fill.
//!
//! With direct I/O these are the pages of the program that sent the request, mapped into the
//! kernel's half: threads of the program write them whenever they like. A `&[u8]` to them would
//! promise the compiler that nobody does. So [`Input`] and [`Output`] are views that copy, a range or a byte
//! at a time, and each copy is made once; what was checked and what is used is the copy.
//!
//! IRQL <= DISPATCH: the pages are locked. WDK: "Using Direct I/O", "Using Buffered I/O".

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::error::{Error, Result};
use crate::mem::copy::copy_shared;

/// What the caller sends. It may be the caller's own memory, which can change at any time: what
/// is checked has to be copied first.
#[derive(Clone, Copy, Debug)]
pub struct Input<'r> {
    start: *const u8,
    len: usize,
    request: PhantomData<&'r [u8]>,
}

impl Input<'_> {
    /// # Safety
    /// `start` can be read for `len` bytes as long as the lifetime, at IRQL <= DISPATCH.
    pub(crate) unsafe fn new(start: *const u8, len: usize) -> Self {
        Input { start, len, request: PhantomData }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the bytes from `offset` on that fill `to`.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        check(offset, to.len(), self.len)?;
        // SAFETY: inside of the buffer, as `new` was promised; `to` is Rust's own memory.
        unsafe { copy_shared(self.start.add(offset), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// The byte at `offset`, if there is one.
    #[must_use]
    pub fn get(&self, offset: usize) -> Option<u8> {
        // SAFETY: inside of the buffer; a byte is always aligned.
        (offset < self.len).then(|| unsafe { self.start.add(offset).read_volatile() })
    }

    /// The bytes from `offset` on, `len` of them.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer.
    pub fn part(&self, offset: usize, len: usize) -> Result<Self> {
        check(offset, len, self.len)?;
        Ok(Input { start: self.start.wrapping_add(offset), len, request: PhantomData })
    }

    /// All bytes.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        out.try_reserve_exact(self.len).map_err(Error::from)?;
        out.resize(self.len, 0);
        self.copy_to(0, &mut out)?;
        Ok(out)
    }
}

/// Where the caller wants data.
#[derive(Debug)]
pub struct Output<'r> {
    start: *mut u8,
    len: usize,
    request: PhantomData<&'r mut [u8]>,
}

impl Output<'_> {
    /// # Safety
    /// `start` can be written for `len` bytes as long as the lifetime, at IRQL <= DISPATCH, and
    /// no reference to them exists.
    pub(crate) unsafe fn new(start: *mut u8, len: usize) -> Self {
        Output { start, len, request: PhantomData }
    }

    /// How many bytes there is room for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no room at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes `data` at `offset`.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when it does not fit; nothing is written then.
    pub fn write_at(&mut self, offset: usize, data: &[u8]) -> Result<()> {
        check(offset, data.len(), self.len)?;
        // SAFETY: inside of the buffer, as `new` was promised; `data` is Rust's own memory.
        unsafe { copy_shared(data.as_ptr(), self.start.add(offset), data.len()) };
        Ok(())
    }

    /// Makes the `len` bytes from `offset` on `value`.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer; nothing is written then.
    pub fn fill(&mut self, offset: usize, len: usize, value: u8) -> Result<()> {
        check(offset, len, self.len)?;
        for index in offset..offset + len {
            // SAFETY: inside of the buffer, as `new` was promised; a byte is always aligned.
            unsafe { self.start.add(index).write_volatile(value) };
        }
        Ok(())
    }

    /// The bytes from `offset` on, `len` of them, to be written by themselves.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer.
    pub fn part(&mut self, offset: usize, len: usize) -> Result<Output<'_>> {
        check(offset, len, self.len)?;
        Ok(Output { start: self.start.wrapping_add(offset), len, request: PhantomData })
    }
}

fn check(offset: usize, size: usize, len: usize) -> Result<()> {
    let fits = offset.checked_add(size).is_some_and(|end| end <= len);
    if fits { Ok(()) } else { Err(Error::BUFFER_TOO_SMALL) }
}

#[cfg(test)]
mod tests {
    use super::{Input, Output};
    use crate::Error;
    use std::vec;

    #[test]
    fn bounds() {
        let mut memory = [1u8, 2, 3, 4];
        // SAFETY: of the array.
        let input = unsafe { Input::new(memory.as_ptr(), 4) };
        let mut two = [0; 2];
        input.copy_to(2, &mut two).unwrap();
        assert_eq!(two, [3, 4]);
        assert_eq!(input.copy_to(3, &mut two), Err(Error::BUFFER_TOO_SMALL));
        assert_eq!(input.copy_to(usize::MAX, &mut two), Err(Error::BUFFER_TOO_SMALL));
        assert_eq!(input.to_vec().unwrap(), vec![1, 2, 3, 4]);
        // SAFETY: of the array.
        let mut output = unsafe { Output::new(memory.as_mut_ptr(), 4) };
        output.write_at(1, &[9, 9]).unwrap();
        assert_eq!(output.write_at(3, &[7, 7]), Err(Error::BUFFER_TOO_SMALL));
        output.part(2, 2).unwrap().fill(1, 1, 8).unwrap();
        assert_eq!(output.part(2, 2).unwrap().fill(1, 2, 7), Err(Error::BUFFER_TOO_SMALL));
        assert_eq!(output.part(3, usize::MAX).err(), Some(Error::BUFFER_TOO_SMALL));
        assert_eq!(memory, [1, 9, 9, 8]);
        // SAFETY: of the array.
        let input = unsafe { Input::new(memory.as_ptr(), 4) };
        assert_eq!(input.part(1, 2).unwrap().to_vec().unwrap(), vec![9, 9]);
        assert_eq!(input.part(1, 4).err(), Some(Error::BUFFER_TOO_SMALL));
        assert_eq!((input.get(3), input.get(4)), (Some(8), None));
    }
}
