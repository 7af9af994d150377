//! `print!` and its kind: text to the kernel's debug output.
//!
//! WDK: "DbgPrintEx function (wdm.h)", "Reading and Filtering Debugging Messages". Text goes out
//! as component `IHVDRIVER` at level `ERROR`, which the default filter of Windows lets through.
//! One call carries 512 bytes; longer text is split between characters. Nothing is allocated:
//! the macros may be used at any IRQL at which `DbgPrintEx` may be called (<= DIRQL), as long as
//! the `Display` of what is printed may.

use core::fmt::{self, Write};

use windows_kernel_sys::{
    DPFLTR_ERROR_LEVEL, DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, DPFLTR_TRACE_LEVEL,
    DPFLTR_WARNING_LEVEL, DbgPrintEx,
};

/// The most that one `DbgPrintEx` transmits, in bytes.
pub const LIMIT: usize = 512;

/// What a NUL in the text is shown as: the kernel would end the text there.
const NUL: &str = "\u{2400}";

/// Collects text and passes it on in pieces of at most [`LIMIT`] bytes, whole characters each.
struct Pieces<F: FnMut(&[u8])> {
    buffer: [u8; LIMIT],
    used: usize,
    emit: F,
}

impl<F: FnMut(&[u8])> Pieces<F> {
    fn new(emit: F) -> Self {
        Pieces { buffer: [0; LIMIT], used: 0, emit }
    }

    fn flush(&mut self) {
        if self.used != 0 {
            (self.emit)(self.buffer.get(..self.used).unwrap_or_default());
            self.used = 0;
        }
    }

    /// Nothing here can panic, which keeps the code for panics about strings out of drivers
    /// that do not need it (7 KB).
    fn push(&mut self, mut text: &str) {
        while !text.is_empty() {
            let mut take = text.len().min(LIMIT - self.used.min(LIMIT));
            while !text.is_char_boundary(take) {
                take -= 1;
            }
            let free = self.buffer.get_mut(self.used..self.used + take);
            let (Some((now, later)), Some(free)) = (text.split_at_checked(take), free) else {
                return;
            };
            if take == 0 {
                self.flush();
                continue;
            }
            free.copy_from_slice(now.as_bytes());
            self.used += take;
            text = later;
        }
    }
}

impl<F: FnMut(&[u8])> Write for Pieces<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, part) in text.split('\0').enumerate() {
            if index != 0 {
                self.push(NUL);
            }
            self.push(part);
        }
        Ok(())
    }
}

fn pieces(text: fmt::Arguments<'_>, emit: impl FnMut(&[u8])) {
    let mut out = Pieces::new(emit);
    if out.write_fmt(text).is_err() {
        out.push("<a Display implementation failed>\n");
    }
    out.flush();
}

/// How important a message is: what a debugger or the registry filters by.
///
/// Windows shows [`Level::Error`] by default; the others only where the value `IHVDRIVER` of the
/// key `Debug Print Filter` asks for them. WDK: "Reading and Filtering Debugging Messages".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// `DPFLTR_ERROR_LEVEL`, the level of [`println!`](crate::println!).
    Error = DPFLTR_ERROR_LEVEL,
    /// `DPFLTR_WARNING_LEVEL`.
    Warning = DPFLTR_WARNING_LEVEL,
    /// `DPFLTR_TRACE_LEVEL`.
    Trace = DPFLTR_TRACE_LEVEL,
    /// `DPFLTR_INFO_LEVEL`.
    Info = DPFLTR_INFO_LEVEL,
}

/// Prints `text` at a level. Lines end where it says so.
///
/// IRQL <= DIRQL. WDK: "DbgPrintEx function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::print::{Level, print_at};
/// print_at(Level::Warning, format_args!("{} left\n", 3));
/// ```
#[inline(never)]
pub fn print_at(level: Level, text: fmt::Arguments<'_>) {
    pieces(text, |piece| {
        // SAFETY: the format takes a length and that many bytes, which `piece` has; the text
        // itself is never the format.
        unsafe {
            DbgPrintEx(
                DPFLTR_IHVDRIVER_ID,
                level as u32,
                c"%.*s".as_ptr().cast(),
                piece.len() as u32,
                piece.as_ptr(),
            );
        }
    });
}

/// Prints `text`. The macros call this.
///
/// IRQL <= DIRQL.
#[doc(hidden)]
pub fn print(text: fmt::Arguments<'_>) {
    print_at(Level::Error, text);
}

/// Prints to the kernel's debug output, as `std::print!` does to standard output. See [`mod@crate::print`].
///
/// IRQL <= DIRQL.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::__private::print($crate::__private::format_args!($($argument)*))
    };
}

/// Prints a line to the kernel's debug output: one message, if it has at most 512 bytes. See
/// [`mod@crate::print`].
///
/// IRQL <= DIRQL.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {
        $crate::__private::print($crate::__private::format_args!(
            "{}\n", $crate::__private::format_args!($($argument)*)
        ))
    };
}

/// As [`print!`](crate::print!): the kernel has one debug output.
#[macro_export]
macro_rules! eprint {
    ($($argument:tt)*) => { $crate::print!($($argument)*) };
}

/// As [`println!`](crate::println!): the kernel has one debug output.
#[macro_export]
macro_rules! eprintln {
    ($($argument:tt)*) => { $crate::println!($($argument)*) };
}

/// Prints an expression with its place and value, and gives the value back, as `std::dbg!` does.
///
/// IRQL <= DIRQL.
#[macro_export]
macro_rules! dbg {
    () => { $crate::println!("[{}:{}:{}]", file!(), line!(), column!()) };
    ($value:expr $(,)?) => {
        match $value {
            value => {
                $crate::println!(
                    "[{}:{}:{}] {} = {:#?}",
                    file!(), line!(), column!(), stringify!($value), &value
                );
                value
            }
        }
    };
    ($($value:expr),+ $(,)?) => { ($($crate::dbg!($value)),+,) };
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, pieces};
    use std::string::String;
    use std::vec::Vec;

    fn split(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        pieces(format_args!("{text}"), |piece| {
            out.push(String::from_utf8(piece.to_vec()).expect("whole characters"));
        });
        out
    }

    #[test]
    fn what_fits_is_one_piece() {
        for length in [1, LIMIT - 1, LIMIT] {
            assert_eq!(split(&"x".repeat(length)).len(), 1);
        }
        assert!(split("").is_empty());
    }

    #[test]
    fn longer_text_is_split_and_nothing_is_lost() {
        let text = "0123456789".repeat(200);
        let parts = split(&text);
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| part.len() <= LIMIT));
        assert_eq!(parts.len(), 4);
    }

    #[test]
    fn characters_stay_whole() {
        for shift in 0..4 {
            let text = "a".repeat(shift) + &"😀".repeat(400);
            let parts = split(&text);
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|part| part.len() <= LIMIT));
        }
    }

    #[test]
    fn arguments_join_before_splitting() {
        let mut out = Vec::new();
        pieces(format_args!("{} {}\n", "a", 7), |piece| out.push(piece.to_vec()));
        assert_eq!(out, [b"a 7\n"]);
    }

    #[test]
    fn nul_and_percent_are_text() {
        assert_eq!(split("a\0b%s%n").concat(), "a\u{2400}b%s%n");
        let nuls = split(&"\0".repeat(400));
        assert_eq!(nuls.concat(), "\u{2400}".repeat(400));
    }

    #[test]
    fn a_failing_display_is_told() {
        struct Bad;
        impl core::fmt::Display for Bad {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("half")?;
                Err(core::fmt::Error)
            }
        }
        let mut out = String::new();
        pieces(format_args!("{Bad}"), |piece| out.push_str(core::str::from_utf8(piece).unwrap()));
        assert!(out.starts_with("half<"));
    }
}
