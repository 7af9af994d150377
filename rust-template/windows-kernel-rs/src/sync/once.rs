//! [`Once`], [`OnceLock`], [`LazyLock`]: what is done or made once, at the first use.
//!
//! All can be in a `static`. The first use takes a [`Mutex`]: IRQL <= APC; later uses only look at
//! a flag: any IRQL. A `static` is not dropped when the driver is unloaded: keep what owns memory
//! or kernel objects in the module's value, or [`OnceLock::take`] it.

use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};

use super::push_lock::Mutex;
use crate::error::Result;

/// Something that is done once.
///
/// ```no_run
/// use windows_kernel_rs::{println, sync::Once};
///
/// static WARNED: Once = Once::new();
///
/// fn warn() {
///     WARNED.call_once(|| println!("this is slow"));
/// }
/// ```
#[derive(Default)]
pub struct Once {
    cell: OnceLock<()>,
}

impl Once {
    /// Not done yet. IRQL: any.
    #[must_use]
    pub const fn new() -> Self {
        Once { cell: OnceLock::new() }
    }

    /// Calls `body` unless that was done before; waits while another thread does it.
    ///
    /// IRQL <= APC; any once it is done. `body` must not call this again: it would wait for
    /// itself.
    #[track_caller]
    pub fn call_once(&self, body: impl FnOnce()) {
        self.cell.get_or_init(body);
    }

    /// Whether it is done. IRQL: any.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.cell.get().is_some()
    }
}

/// A value that is written once, and read by anybody.
///
/// ```no_run
/// use windows_kernel_rs::sync::OnceLock;
///
/// static LIMIT: OnceLock<usize> = OnceLock::new();
///
/// fn configure(limit: usize) {
///     // Only the first one counts.
///     let _ = LIMIT.set(limit);
/// }
/// fn limit() -> usize {
///     LIMIT.get().copied().unwrap_or(64)
/// }
/// ```
pub struct OnceLock<T> {
    full: AtomicBool,
    making: Mutex<()>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: any thread may read the value (`Sync`), and one writes it that another drops (`Send`).
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> OnceLock<T> {
    /// Without a value. IRQL: any.
    #[must_use]
    pub const fn new() -> Self {
        OnceLock {
            full: AtomicBool::new(false),
            making: Mutex::new(()),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, if there is one. IRQL: any.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: `full` says that the value was written, and it is not changed after.
        self.full.load(Ordering::Acquire).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Writes the value. IRQL <= APC.
    ///
    /// # Errors
    /// `value` itself when there is one already.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; made by `make` if there is none, while other threads wait.
    ///
    /// IRQL <= APC; any once there is a value. `make` must not use this cell: it would wait for
    /// itself.
    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, core::convert::Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_init`](Self::get_or_init), by something that can fail.
    ///
    /// # Errors
    /// That of `make`; the next call tries again.
    #[track_caller]
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let _making = self.making.lock();
        if self.get().is_none() {
            let value = make()?;
            // SAFETY: there is no value, so no reference to it, and the lock is held.
            unsafe { (*self.value.get()).write(value) };
            self.full.store(true, Ordering::Release);
        }
        // SAFETY: the value was written, by us or by another thread before it gave up the lock.
        Ok(unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Takes the value out. IRQL: any.
    pub fn take(&mut self) -> Option<T> {
        core::mem::take(self.full.get_mut()).then(|| {
            // SAFETY: there was a value, and it is not read again.
            unsafe { self.value.get_mut().assume_init_read() }
        })
    }

    /// The value, if there is one.
    #[must_use]
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A value that is made at its first use.
///
/// IRQL of the first use <= APC; of later ones any. The function must not use the value: it would
/// wait for itself.
///
/// ```no_run
/// use windows_kernel_rs::sync::{LazyLock, Mutex};
///
/// static SQUARES: LazyLock<[u32; 16]> = LazyLock::new(|| core::array::from_fn(|n| (n * n) as u32));
///
/// fn square(n: usize) -> Option<u32> {
///     SQUARES.get(n).copied()
/// }
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    cell: OnceLock<T>,
    make: Cell<Option<F>>,
}

// SAFETY: the function is only taken by the one thread that makes the value, with the cell's lock
// held; the value is as in `OnceLock`.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `make` will make. IRQL: any.
    #[must_use]
    pub const fn new(make: F) -> Self {
        LazyLock { cell: OnceLock::new(), make: Cell::new(Some(make)) }
    }

    /// The value, made now if it was not. IRQL <= APC; any once it is made.
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.cell.get_or_init(|| match this.make.take() {
            Some(make) => make(),
            None => unreachable!("the function panicked"),
        })
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{LazyLock, Once, OnceLock};
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::rc::Rc;
    use std::string::{String, ToString};
    use std::thread::scope;

    #[test]
    fn made_once_by_one_of_many() {
        static MADE: AtomicU32 = AtomicU32::new(0);
        static NAME: LazyLock<String> = LazyLock::new(|| {
            MADE.fetch_add(1, Ordering::Relaxed);
            "name".to_string()
        });
        static ONCE: Once = Once::new();
        scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    assert_eq!(NAME.len(), 4);
                    ONCE.call_once(|| _ = MADE.fetch_add(10, Ordering::Relaxed));
                    assert!(ONCE.is_completed());
                });
            }
        });
        assert_eq!(MADE.load(Ordering::Relaxed), 11);
    }

    #[test]
    fn a_failure_is_tried_again() {
        let cell = OnceLock::new();
        assert_eq!(cell.get_or_try_init(|| Err(5)), Err(5));
        assert_eq!(cell.get(), None);
        assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>(7)), Ok(&7));
        assert_eq!(cell.set(8), Err(8));
        assert_eq!(cell.into_inner(), Some(7));
    }

    #[test]
    fn the_value_is_dropped_once() {
        let value = Rc::new(());
        let mut cell = OnceLock::new();
        assert!(cell.take().is_none());
        cell.set(value.clone()).unwrap();
        drop(cell);
        assert_eq!(Rc::strong_count(&value), 1);
        let mut cell = OnceLock::new();
        cell.set(value.clone()).unwrap();
        drop(cell.take());
        assert!(cell.get().is_none());
        drop(cell);
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
