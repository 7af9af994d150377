//! A program's memory: ranges that are copied from and to, and never referred to.
//!
//! A program can hand any number as a pointer, free the memory behind it, or write it from another
//! thread while the driver reads. So nothing here gives a Rust reference to it: data is copied, each
//! byte once as a [`UserReader`] goes forward, and what was checked is the copy. An address
//! of the kernel's is refused, one that is not there is [`Error::ACCESS_VIOLATION`]; neither is a
//! bug check.
//!
//! A range comes from a request (`Request::user_input`, `user_output`, `user_slice`), lives no longer,
//! and stays on the thread; it works while the request's own process is the current one, as it is
//! in the functions of [`Operations`](crate::io::Operations) that get the request.
//!
//! WDK: "Using Neither Buffered Nor Direct I/O", "Errors in Referencing User-Space Addresses",
//! "ProbeForRead function (wdm.h)".

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::mem::guarded::copy_guarded;

/// A range of a program's memory, which may not be there.
#[derive(Debug)]
pub struct UserSlice<'r> {
    start: usize,
    len: usize,
    process: isize,
    /// Of the request, and of this thread: another one may be another process's.
    request: PhantomData<(&'r (), *const ())>,
}

/// Reads a range from its beginning to its end, each byte once.
#[derive(Debug)]
pub struct UserReader<'r>(UserSlice<'r>);

/// Writes a range from its beginning to its end.
#[derive(Debug)]
pub struct UserWriter<'r>(UserSlice<'r>);

impl<'r> UserSlice<'r> {
    /// A range of the memory of `process`, below `limit` (`MmUserProbeAddress`).
    ///
    /// # Errors
    /// [`Error::ACCESS_VIOLATION`] when part of it is not in the user half.
    pub(crate) fn new(start: usize, len: usize, process: isize, limit: usize) -> Result<Self> {
        let end = start.checked_add(len).ok_or(Error::ACCESS_VIOLATION)?;
        if len > 0 && end > limit {
            return Err(Error::ACCESS_VIOLATION);
        }
        Ok(UserSlice { start, len, process, request: PhantomData })
    }

    /// How many bytes there are, if it is all there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins: a number to show, or to compare.
    #[must_use]
    pub fn address(&self) -> usize {
        self.start
    }

    /// To read from. The range is given up: what was read cannot be read again, when it may have
    /// changed.
    #[must_use]
    pub fn reader(self) -> UserReader<'r> {
        UserReader(self)
    }

    /// To write to.
    #[must_use]
    pub fn writer(self) -> UserWriter<'r> {
        UserWriter(self)
    }

    /// To read first, and write the answer to the same place.
    #[must_use]
    pub fn reader_writer(self) -> (UserReader<'r>, UserWriter<'r>) {
        let UserSlice { start, len, process, request } = self;
        (UserReader(UserSlice { start, len, process, request }), UserWriter(self))
    }

    /// The first `size` bytes, as an address to copy from or to; they are this range's no more.
    #[track_caller]
    fn next(&mut self, size: usize, routine: &str) -> Result<usize> {
        irql::assert_at_most(Irql::APC, routine);
        if size > self.len {
            return Err(Error::BUFFER_TOO_SMALL);
        }
        if size > 0 && current_process() != self.process {
            return Err(Error::INVALID_DEVICE_STATE);
        }
        Ok(self.start)
    }

    fn advance(&mut self, size: usize) {
        self.start += size;
        self.len -= size;
    }
}

impl UserReader<'_> {
    /// Where the next byte is: a number to show, or to compare.
    #[must_use]
    pub fn address(&self) -> usize {
        self.0.start
    }

    /// How many bytes were not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.0.len
    }

    /// Copies the next bytes, as many as fill `to`.
    ///
    /// IRQL <= APC, with the request's process the current one.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer; [`Error::ACCESS_VIOLATION`] and its like when
    /// the memory is not there: some of `to` may have been written then, and the same bytes come
    /// next. [`Error::INVALID_DEVICE_STATE`] in another process.
    #[track_caller]
    pub fn read(&mut self, to: &mut [u8]) -> Result<()> {
        let start = self.0.next(to.len(), "UserReader::read")?;
        // SAFETY: `to` is Rust's own memory; the range is in the user half, as `new` saw to.
        unsafe { copy_guarded(start as *const u8, to.as_mut_ptr(), to.len())? };
        self.0.advance(to.len());
        Ok(())
    }

    /// Passes over `size` bytes.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer.
    pub fn skip(&mut self, size: usize) -> Result<()> {
        if size > self.0.len {
            return Err(Error::BUFFER_TOO_SMALL);
        }
        self.0.advance(size);
        Ok(())
    }

    /// Copies all that is left. IRQL <= APC. The caller says how much that is: compare
    /// [`remaining`](Self::remaining) with what is sensible first.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    #[track_caller]
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        out.try_reserve_exact(self.remaining()).map_err(Error::from)?;
        out.resize(self.remaining(), 0);
        self.read(&mut out)?;
        Ok(out)
    }

    /// Copies the next bytes as a `T`. IRQL <= APC.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::INVALID_PARAMETER`] when the bytes are no `T`.
    #[cfg(feature = "zerocopy")]
    #[track_caller]
    pub fn read_as<T: zerocopy::TryFromBytes>(&mut self) -> Result<T> {
        crate::mem::captured(|bytes| self.read(bytes))
    }
}

impl UserWriter<'_> {
    /// Where the next byte is: a number to show, or to compare.
    #[must_use]
    pub fn address(&self) -> usize {
        self.0.start
    }

    /// How many bytes there is room for.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.0.len
    }

    /// Writes `data` to the next bytes.
    ///
    /// IRQL <= APC, with the request's process the current one.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there is no room for all of it, and nothing is written;
    /// [`Error::ACCESS_VIOLATION`] and its like when the memory is not there or may not be written:
    /// part of it may have been written then. [`Error::INVALID_DEVICE_STATE`] in another process.
    #[track_caller]
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let start = self.0.next(data.len(), "UserWriter::write")?;
        // SAFETY: `data` is Rust's own memory; the range is in the user half, as `new` saw to, where
        // Rust has no objects.
        unsafe { copy_guarded(data.as_ptr(), start as *mut u8, data.len())? };
        self.0.advance(data.len());
        Ok(())
    }

    /// Writes the bytes of `value`, which has no padding. Errors as [`write`](Self::write).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[cfg(feature = "zerocopy")]
    #[track_caller]
    pub fn write_value<T>(&mut self, value: &T) -> Result<()>
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable + ?Sized,
    {
        self.write(value.as_bytes())
    }

    /// Leaves `size` bytes as they are.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer.
    pub fn skip(&mut self, size: usize) -> Result<()> {
        if size > self.0.len {
            return Err(Error::BUFFER_TOO_SMALL);
        }
        self.0.advance(size);
        Ok(())
    }
}

/// The process whose memory the user half shows now.
#[cfg(not(test))]
fn current_process() -> isize {
    // SAFETY: it has no precondition.
    unsafe { windows_kernel_sys::IoGetCurrentProcess() }
}

#[cfg(test)]
fn current_process() -> isize {
    1
}

#[cfg(test)]
mod tests {
    use super::UserSlice;
    use crate::Error;
    use std::vec;

    fn slice(bytes: &mut [u8]) -> UserSlice<'_> {
        UserSlice::new(bytes.as_mut_ptr().expose_provenance(), bytes.len(), 1, usize::MAX).unwrap()
    }

    #[test]
    fn each_byte_is_read_once() {
        let mut memory = [1u8, 2, 3, 4, 5, 6];
        let mut reader = slice(&mut memory).reader();
        let mut two = [0; 2];
        reader.read(&mut two).unwrap();
        assert_eq!(two, [1, 2]);
        reader.skip(1).unwrap();
        assert_eq!(reader.read(&mut [0; 4]), Err(Error::BUFFER_TOO_SMALL));
        assert_eq!(reader.skip(4), Err(Error::BUFFER_TOO_SMALL));
        assert_eq!(reader.remaining(), 3);
        assert_eq!(reader.read_all().unwrap(), vec![4, 5, 6]);
    }

    #[test]
    fn writing_goes_on() {
        let mut memory = [0u8; 5];
        let (mut reader, mut writer) = slice(&mut memory).reader_writer();
        reader.read(&mut [9; 2]).unwrap();
        writer.write(&[1, 2]).unwrap();
        writer.skip(1).unwrap();
        assert_eq!(writer.write(&[3, 4, 5]), Err(Error::BUFFER_TOO_SMALL));
        writer.write(&[3, 4]).unwrap();
        assert_eq!(writer.remaining(), 0);
        assert_eq!(memory, [1, 2, 0, 3, 4]);
    }

    #[test]
    fn the_kernels_half_is_refused() {
        let limit = 0x7FFF_FFFF_0000;
        for (start, len) in
            [(limit, 1), (limit - 1, 2), (usize::MAX, 1), (usize::MAX, 2), (1, usize::MAX)]
        {
            assert_eq!(UserSlice::new(start, len, 1, limit).err(), Some(Error::ACCESS_VIOLATION));
        }
        assert!(UserSlice::new(limit - 1, 1, 1, limit).is_ok());
        assert!(UserSlice::new(usize::MAX, 0, 1, limit).is_ok());
    }

    #[test]
    fn another_process_is_refused() {
        let mut memory = [0u8; 4];
        let start = memory.as_mut_ptr().expose_provenance();
        let mut reader = UserSlice::new(start, 4, 2, usize::MAX).unwrap().reader();
        assert_eq!(reader.read(&mut [0; 4]), Err(Error::INVALID_DEVICE_STATE));
        assert_eq!(reader.read(&mut []), Ok(()));
    }
}
