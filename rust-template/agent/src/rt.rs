//! What `std` would bring: memory, locks, threads, text for Windows.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::fmt::Write;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicUsize;

use crate::win;

struct Heap;

// SAFETY: the process heap gives blocks aligned to 16, and nothing here asks for more.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        debug_assert!(layout.align() <= 16);
        // SAFETY: a heap of this process.
        unsafe { win::HeapAlloc(win::GetProcessHeap(), 0, layout.size()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller gives a block of this heap.
        unsafe { win::HeapFree(win::GetProcessHeap(), 0, block) };
    }

    unsafe fn realloc(&self, block: *mut u8, _: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller gives a block of this heap.
        unsafe { win::HeapReAlloc(win::GetProcessHeap(), 0, block, size) }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut text = String::new();
    let _ = writeln!(text, "the agent failed inside: {info}");
    say(&text);
    // SAFETY: ends this process.
    unsafe { win::ExitProcess(101) }
}

/// Write to standard error.
pub fn say(text: &str) {
    let mut put = 0;
    // SAFETY: the text is valid for its length.
    unsafe {
        let out = win::GetStdHandle(-12i32 as u32);
        win::WriteFile(out, text.as_ptr(), text.len() as u32, &raw mut put, core::ptr::null_mut());
    }
}

/// A lock around a value, by Windows' slim lock.
pub struct Mutex<T> {
    lock: UnsafeCell<usize>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time.
unsafe impl<T: Send> Sync for Mutex<T> {}

/// The value while its lock is held.
pub struct Guard<'a, T>(&'a Mutex<T>);

impl<T> Mutex<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// Wait for the lock.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: the lock lives as long as this.
        unsafe { win::AcquireSRWLockExclusive(self.lock.get()) };
        Guard(self)
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this guard holds the lock.
        unsafe { win::ReleaseSRWLockExclusive(self.0.lock.get()) };
    }
}

/// What threads wait on until something that a [`Mutex`] guards has changed.
pub struct Condition(AtomicUsize);

impl Condition {
    /// One that nobody waits on.
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Give the lock back, wait at most `ms` milliseconds, take it again; false after the time.
    pub fn wait<T>(&self, guard: &mut Guard<'_, T>, ms: u32) -> bool {
        // SAFETY: the guard holds the lock, and holds it again afterwards.
        unsafe { win::SleepConditionVariableSRW(self.0.as_ptr(), guard.0.lock.get(), ms, 0) != 0 }
    }

    /// Wake all that wait.
    pub fn wake_all(&self) {
        // SAFETY: the variable lives as long as this.
        unsafe { win::WakeAllConditionVariable(self.0.as_ptr()) };
    }

    /// Wake one that waits.
    pub fn wake(&self) {
        // SAFETY: the variable lives as long as this.
        unsafe { win::WakeConditionVariable(self.0.as_ptr()) };
    }
}

/// Run `work` on a thread of its own; false where there can be none.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> bool {
    type Work = Box<dyn FnOnce() + Send>;
    unsafe extern "system" fn run(argument: *mut c_void) -> u32 {
        // SAFETY: the pointer comes from `Box::into_raw` below, once.
        let work = unsafe { Box::from_raw(argument.cast::<Work>()) };
        work();
        0
    }
    let argument = Box::into_raw(Box::new(Box::new(work) as Work));
    // SAFETY: the thread owns the box from here on.
    unsafe {
        let made = win::CreateThread(
            core::ptr::null(),
            1 << 18,
            run,
            argument.cast(),
            0,
            core::ptr::null_mut(),
        );
        if made == 0 {
            drop(Box::from_raw(argument));
            return false;
        }
        win::CloseHandle(made);
    }
    true
}

/// `text` as UTF-16 with a NUL at its end.
pub fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The text before a NUL in UTF-16.
pub fn narrow(text: &[u16]) -> String {
    let end = text.iter().position(|&c| c == 0).unwrap_or(text.len());
    String::from_utf16_lossy(&text[..end])
}

/// Bytes as text: UTF-8 where they are, `\xNN` where they are not.
pub fn printed(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Time in 100 ns of a clock that only goes forward.
pub fn ticks() -> u64 {
    let (mut now, mut per_second) = (0i64, 1i64);
    // SAFETY: writes two numbers.
    unsafe {
        win::QueryPerformanceCounter(&raw mut now);
        win::QueryPerformanceFrequency(&raw mut per_second);
    }
    (now as i128 * 10_000_000 / i128::from(per_second.max(1))) as u64
}

/// Seconds as milliseconds for Windows' waits.
pub fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1000.0).clamp(0.0, 4e9) as u32
}
