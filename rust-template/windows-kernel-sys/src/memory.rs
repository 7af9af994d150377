//! The memory routines that compiled code calls, for a driver that has no C library.
//!
//! Copying and filling are string instructions, of eight bytes at a time and of the rest: not each
//! machine has fast ones of single bytes. The loops read volatile, since the compiler makes calls
//! of these very routines of loops that it recognizes.

use core::arch::asm;

/// Copies `count` bytes between places that do not overlap.
///
/// # Safety
///
/// As for C's: `count` bytes can be written at `to` and read at `from`.
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller gives `count` bytes at both places; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsq", "mov rcx, {rest}", "rep movsb", rest = in(reg) count & 7,
            inout("rcx") count >> 3 => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// Copies `count` bytes between places that may overlap.
///
/// # Safety
///
/// As for C's: `count` bytes can be written at `to` and read at `from`.
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: as for this function; going forward never reads what it wrote.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: as for this function; here `count` is at least 1, and going backward is safe.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _,
            inout("rdi") to.add(count - 1) => _, inout("rsi") from.add(count - 1) => _,
            options(nostack));
    }
    to
}

/// Sets `count` bytes to the low byte of `value`.
///
/// # Safety
///
/// As for C's: `count` bytes can be written at `to`.
pub unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller gives `count` bytes; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosq", "mov rcx, {rest}", "rep stosb", rest = in(reg) count & 7,
            inout("rcx") count >> 3 => _, inout("rdi") to => _,
            in("rax") u64::from(value as u8) * 0x0101_0101_0101_0101,
            options(nostack, preserves_flags));
    }
    to
}

/// Compares `count` bytes: negative, 0 or positive, as the first that differ.
///
/// # Safety
///
/// As for C's: `count` bytes can be read at both places.
pub unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for index in 0..count {
        // SAFETY: the caller gives `count` bytes at both places.
        let (a, b) = unsafe { (left.add(index).read_volatile(), right.add(index).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// Counts the bytes before the first 0.
///
/// # Safety
///
/// As for C's: a 0 follows somewhere, and all bytes to it can be read.
pub unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller gives a string that ends in 0.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_overlap() {
        for (to, from) in [(0, 3), (3, 0), (2, 2), (0, 10), (10, 0), (9, 10)] {
            for count in 0..=30 {
                let mut bytes: [u8; 40] = core::array::from_fn(|index| index as u8);
                let mut expected = bytes;
                expected.copy_within(from..from + count, to);
                let start = bytes.as_mut_ptr();
                // SAFETY: both ranges are within the array.
                let answer = unsafe { memmove(start.add(to), start.add(from), count) };
                assert_eq!((bytes, answer), (expected, start.wrapping_add(to)));
            }
        }
    }

    #[test]
    fn copies_and_fills() {
        let (from, mut to) = ([1_u8, 2, 3, 4, 5], [0_u8; 7]);
        // SAFETY: the counts are within both arrays.
        unsafe {
            memset(to.as_mut_ptr(), 0x1FF, 7);
            memset(to.as_mut_ptr(), 7, 0);
            memcpy(to.as_mut_ptr().add(1), from.as_ptr(), 5);
            memcpy(to.as_mut_ptr(), from.as_ptr(), 0);
        }
        assert_eq!(to, [0xFF, 1, 2, 3, 4, 5, 0xFF]);
    }

    #[test]
    fn copies_and_fills_of_words_and_rests() {
        let from: [u8; 40] = core::array::from_fn(|index| index as u8 + 1);
        for count in 0..=38 {
            let (mut copy, mut fill) = ([0_u8; 40], [0_u8; 40]);
            // SAFETY: the counts are within the arrays.
            unsafe {
                memcpy(copy.as_mut_ptr().add(1), from.as_ptr().add(1), count);
                memset(fill.as_mut_ptr().add(1), 0x1AB, count);
            }
            for index in 0..40 {
                let inside = (1..=count).contains(&index);
                assert_eq!(copy[index], if inside { from[index] } else { 0 });
                assert_eq!(fill[index], if inside { 0xAB } else { 0 });
            }
        }
    }

    #[test]
    fn comparisons() {
        let order = |left: &[u8], right: &[u8], count| {
            // SAFETY: the counts below are within both slices.
            unsafe { memcmp(left.as_ptr(), right.as_ptr(), count) }.signum()
        };
        assert_eq!(order(b"abc", b"abd", 2), 0);
        assert_eq!(order(b"abc", b"abd", 3), -1);
        assert_eq!(order(b"\xFFb", b"\x01c", 2), 1);
        assert_eq!(order(b"a", b"b", 0), 0);
    }

    #[test]
    fn lengths() {
        // SAFETY: both end in 0.
        assert_eq!(unsafe { strlen(c"".as_ptr().cast()) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { strlen(c"seven b".as_ptr().cast()) }, 7);
    }
}
