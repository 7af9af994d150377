//! What the agent and the process that hosts drivers in Wine have in common: memory.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes of the ring of printed lines, a power of two.
pub const RING: usize = 1 << 20;
/// Most frames of a stack.
pub const FRAMES: usize = 48;
/// Most modules that are remembered.
pub const MODULES: usize = 64;
/// Longest module name, bytes.
pub const NAME: usize = 48;

/// What the host is asked for.
pub const LOAD: u32 = 1;
/// Unload a driver.
pub const UNLOAD: u32 = 2;

/// A stack, and what it is of.
#[repr(C)]
pub struct Stack {
    /// 0: nothing; 1: being written; 2: complete.
    pub state: AtomicU32,
    /// 1: an exception nobody handled; 2: a bug check; 3: where a driver is.
    pub kind: AtomicU32,
    /// The exception's or bug check's code.
    pub code: AtomicU32,
    /// How many of `frames` there are.
    pub count: AtomicU32,
    /// Of the bug check; of an exception its address and what it says itself.
    pub parameters: [AtomicU64; 4],
    /// As in CONTEXT, then rip.
    pub registers: [AtomicU64; 17],
    /// Addresses, innermost first.
    pub frames: [AtomicU64; FRAMES],
    /// A name that belongs to it: of what Wine does not have.
    pub text: [AtomicU8; 128],
}

/// A module in the host.
#[repr(C)]
pub struct Module {
    /// Where it starts; 0 where there is none (any more).
    pub base: AtomicU64,
    /// Its size, bytes.
    pub size: AtomicU64,
    /// Its file's name, ASCII, NUL behind it.
    pub name: [AtomicU8; NAME],
}

/// All of it. Zero is a good start for each part.
#[repr(C)]
pub struct Shared {
    /// 1 when the host is ready, 2 where it cannot be.
    pub ready: AtomicU32,
    /// The agent waits for lines.
    pub waiting: AtomicU32,
    /// Bytes that were written to, and read from, the ring, ever.
    pub written: AtomicU64,
    /// See `written`.
    pub read: AtomicU64,
    /// What the host is asked for, and its answer; the base and size of the driver.
    pub command: AtomicU32,
    /// The answer.
    pub status: AtomicU32,
    /// The driver's image.
    pub base: AtomicU64,
    /// The driver's image.
    pub size: AtomicU64,
    /// The driver's name, in UTF-16.
    pub name: [AtomicU32; 128],
    /// The crash.
    pub crash: Stack,
    /// Where a driver is.
    pub place: Stack,
    /// Modules that printed or are on a stack.
    pub modules: [Module; MODULES],
    /// Records of printed lines.
    pub ring: [AtomicU8; RING],
}

/// Bytes before a record's text.
pub const HEAD: usize = 34;

impl Shared {
    /// Copy bytes out of the ring.
    pub fn take(&self, at: u64, to: &mut [u8]) {
        for (n, byte) in to.iter_mut().enumerate() {
            *byte = self.ring[(at as usize + n) & (RING - 1)].load(Ordering::Relaxed);
        }
    }

    /// Copy bytes into the ring.
    pub fn give(&self, at: u64, from: &[u8]) {
        for (n, &byte) in from.iter().enumerate() {
            self.ring[(at as usize + n) & (RING - 1)].store(byte, Ordering::Relaxed);
        }
    }
}

/// The ASCII text in a field.
pub fn read_text(field: &[AtomicU8], to: &mut alloc::string::String) {
    for byte in field {
        match byte.load(Ordering::Relaxed) {
            0 => break,
            byte => to.push(char::from(byte)),
        }
    }
}

/// Put ASCII text, cut to the field, and a NUL.
pub fn write_text(field: &[AtomicU8], text: impl Iterator<Item = u8>) {
    let (last, most) = field.split_last().expect("a field has a size");
    last.store(0, Ordering::Relaxed);
    let mut text = text;
    for byte in most {
        byte.store(text.next().unwrap_or(0), Ordering::Relaxed);
    }
}
