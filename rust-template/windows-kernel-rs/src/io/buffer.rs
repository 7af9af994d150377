//! A request's data: bytes to read from, bytes to fill.

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::error::{Error, Result};
use crate::mem::copy::copy_shared;

/// What the caller sends. It may be the caller's own memory, which can change at any time: what
/// is checked has to be copied first.
#[derive(Clone, Copy)]
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
        let end = offset.checked_add(to.len()).ok_or(Error::BUFFER_TOO_SMALL)?;
        if end > self.len {
            return Err(Error::BUFFER_TOO_SMALL);
        }
        // SAFETY: inside of the buffer, as `new` was promised; `to` is Rust's own memory.
        unsafe { copy_shared(self.start.add(offset), to.as_mut_ptr(), to.len()) };
        Ok(())
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
        let end = offset.checked_add(data.len()).ok_or(Error::BUFFER_TOO_SMALL)?;
        if end > self.len {
            return Err(Error::BUFFER_TOO_SMALL);
        }
        // SAFETY: inside of the buffer, as `new` was promised; `data` is Rust's own memory.
        unsafe { copy_shared(data.as_ptr(), self.start.add(offset), data.len()) };
        Ok(())
    }
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
        assert_eq!(memory, [1, 9, 9, 4]);
    }
}
