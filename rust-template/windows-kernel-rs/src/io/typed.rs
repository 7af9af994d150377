//! Input and output as types, by the `zerocopy` crate: what can be read from any bytes, and what
//! has no padding that would show what was in memory before.

use zerocopy::{Immutable, IntoBytes, TryFromBytes};

use super::buffer::{Input, Output};
use super::ioctl::{IoctlCode, Method, Route};
use super::request::{Ioctl, Read, Request, Write};
use crate::error::{Error, Result};
use crate::mem::captured;

impl Input<'_> {
    /// The `T` in the bytes from `offset` on: copied first, and looked at then.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer bytes, [`Error::INVALID_PARAMETER`] when
    /// these are no `T` (a `bool` that is 2, say).
    pub fn read_at<T: TryFromBytes>(&self, offset: usize) -> Result<T> {
        captured(|bytes| self.copy_to(offset, bytes))
    }

    /// All bytes as a `T`.
    ///
    /// # Errors
    /// [`Error::INFO_LENGTH_MISMATCH`] when there are more or fewer bytes than a `T` has,
    /// [`Error::INVALID_PARAMETER`] when they are no `T`.
    pub fn read_as<T: TryFromBytes>(&self) -> Result<T> {
        if self.len() != size_of::<T>() {
            return Err(Error::INFO_LENGTH_MISMATCH);
        }
        self.read_at(0)
    }
}

impl Output<'_> {
    /// Writes the bytes of `value` at `offset`.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when it does not fit; nothing is written then.
    pub fn write_value_at<T>(&mut self, offset: usize, value: &T) -> Result<()>
    where
        T: IntoBytes + Immutable + ?Sized,
    {
        self.write_at(offset, value.as_bytes())
    }
}

impl Request<Ioctl> {
    /// The input as a `T`, which the caller cannot change any more.
    ///
    /// IRQL <= DISPATCH. For METHOD_NEITHER see [`user_input`](Self::user_input).
    ///
    /// # Errors
    /// [`Error::INFO_LENGTH_MISMATCH`] when there are more or fewer bytes than a `T` has,
    /// [`Error::INVALID_PARAMETER`] when they are no `T` (a `bool` that is 2, say).
    ///
    /// ```no_run
    /// use windows_kernel_rs::io::{Ioctl, Request};
    /// use zerocopy::{FromBytes, IntoBytes, Immutable};
    ///
    /// #[derive(FromBytes)]
    /// #[repr(C)]
    /// struct Range { from: u32, to: u32 }
    ///
    /// fn length(request: Request<Ioctl>) {
    ///     match request.input_as::<Range>() {
    ///         Ok(range) => request.reply(&range.to.saturating_sub(range.from)),
    ///         Err(error) => request.complete(Err(error)),
    ///     }
    /// }
    /// ```
    pub fn input_as<T: TryFromBytes>(&self) -> Result<T> {
        self.input()?.read_as()
    }

    /// Completes with the bytes of `value` (also of a slice or a string); with
    /// [`Error::BUFFER_TOO_SMALL`] when the caller has no room for them. IRQL <= DISPATCH.
    ///
    /// A type with padding is refused by the compiler: its bytes would show what was in the
    /// kernel's memory before.
    pub fn reply<T: IntoBytes + Immutable + ?Sized>(self, value: &T) {
        self.complete_with(value.as_bytes());
    }
}

impl Request<Write> {
    /// What the caller sends as a `T`. Errors as for [`Input::read_as`]. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// As [`Input::read_as`] and [`Request::input`].
    pub fn input_as<T: TryFromBytes>(&self) -> Result<T> {
        self.input()?.read_as()
    }
}

impl Request<Read> {
    /// Completes with the bytes of `value`; with [`Error::BUFFER_TOO_SMALL`] when the caller wants
    /// fewer. IRQL <= DISPATCH.
    pub fn reply<T: IntoBytes + Immutable + ?Sized>(self, value: &T) {
        if self.len() < size_of_val(value) {
            return self.complete(Err(Error::BUFFER_TOO_SMALL));
        }
        self.complete_with(value.as_bytes());
    }
}

impl Route {
    /// Answers requests with `code` by `f`, which takes the code's input and gives its output.
    ///
    /// `f` is not called where the sizes are wrong: the request fails with
    /// [`Error::INFO_LENGTH_MISMATCH`] when the input has not exactly the length of an `I`, with
    /// [`Error::BUFFER_TOO_SMALL`] when the caller has no room for an `O`, and with
    /// [`Error::INVALID_PARAMETER`] when its bytes are no `I`. With METHOD_NEITHER it fails with
    /// [`Error::ACCESS_VIOLATION`] when the caller's memory is not there.
    ///
    /// ```no_run
    /// use windows_kernel_rs::Error;
    /// use windows_kernel_rs::io::{Access, Ioctl, IoctlCode, Request};
    ///
    /// const ADD: IoctlCode<[u32; 2], u32> = IoctlCode::buffered(0x8000, 0x800, Access::Any);
    /// const RESET: IoctlCode = IoctlCode::buffered(0x8000, 0x801, Access::Any);
    ///
    /// fn ioctl(request: Request<Ioctl>) {
    ///     request
    ///         .route()
    ///         .answer(ADD, |[a, b]| a.checked_add(b).ok_or(Error::INTEGER_OVERFLOW))
    ///         .answer(RESET, |()| Ok(()))
    ///         .end();
    /// }
    /// ```
    pub fn answer<I, O>(self, code: IoctlCode<I, O>, f: impl FnOnce(I) -> Result<O>) -> Self
    where
        I: TryFromBytes,
        O: IntoBytes + Immutable,
    {
        self.take(code, |request| {
            if code.method() == Method::Neither { neither(request, f) } else { mapped(request, f) }
        })
    }
}

fn mapped<I, O>(request: Request<Ioctl>, f: impl FnOnce(I) -> Result<O>)
where
    I: TryFromBytes,
    O: IntoBytes + Immutable,
{
    let input = request.input_as::<I>().and_then(|input| {
        let room = request.output_len() >= size_of::<O>();
        if room { Ok(input) } else { Err(Error::BUFFER_TOO_SMALL) }
    });
    match input.and_then(f) {
        Ok(output) => request.reply(&output),
        Err(error) => request.complete(Err(error)),
    }
}

fn neither<I, O>(mut request: Request<Ioctl>, f: impl FnOnce(I) -> Result<O>)
where
    I: TryFromBytes,
    O: IntoBytes + Immutable,
{
    let answered = request.user_buffers().and_then(|(mut input, mut output)| {
        if input.remaining() != size_of::<I>() {
            return Err(Error::INFO_LENGTH_MISMATCH);
        }
        if output.remaining() < size_of::<O>() {
            return Err(Error::BUFFER_TOO_SMALL);
        }
        output.write_value(&f(input.read_as()?)?)
    });
    request.complete(answered.map(|()| size_of::<O>()));
}

#[cfg(test)]
mod tests {
    use super::{Input, Output};
    use crate::Error;

    fn input(bytes: &[u8]) -> Input<'_> {
        // SAFETY: of the slice, which lives longer.
        unsafe { Input::new(bytes.as_ptr(), bytes.len()) }
    }

    #[test]
    fn sizes_and_values_are_checked() {
        assert_eq!(input(&[1, 0, 0, 0]).read_as(), Ok(1u32));
        assert_eq!(input(&[1, 0, 0]).read_as::<u32>(), Err(Error::INFO_LENGTH_MISMATCH));
        assert_eq!(input(&[1, 0, 0, 0, 0]).read_as::<u32>(), Err(Error::INFO_LENGTH_MISMATCH));
        assert_eq!(input(&[]).read_as(), Ok(()));
        assert_eq!(input(&[1]).read_as(), Ok(true));
        assert_eq!(input(&[2]).read_as::<bool>(), Err(Error::INVALID_PARAMETER));
        assert_eq!(input(&[9, 9, 2, 1]).read_at(2), Ok(0x102u16));
        assert_eq!(input(&[9, 9, 2]).read_at::<u16>(2), Err(Error::BUFFER_TOO_SMALL));
    }

    #[test]
    fn values_become_bytes() {
        let mut memory = [0u8; 6];
        // SAFETY: of the array.
        let mut output = unsafe { Output::new(memory.as_mut_ptr(), 6) };
        output.write_value_at(2, &0x0403_0201u32).unwrap();
        assert_eq!(output.write_value_at(3, &0u32), Err(Error::BUFFER_TOO_SMALL));
        output.write_value_at(0, "ab").unwrap();
        assert_eq!(memory, [97, 98, 1, 2, 3, 4]);
    }
}
