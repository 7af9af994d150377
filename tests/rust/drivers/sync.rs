//! Every type of `sync`, used by several threads; each scenario prints what it found.
extern crate alloc;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::sync::*;
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Plain threads; not what is tested here.
mod threads {
    use core::ffi::c_void;
    use core::ptr;
    use windows_kernel_rs::sys::*;

    type Body<'a> = dyn Fn(usize) + Sync + 'a;
    struct Start<'a>(&'a Body<'a>, usize);

    unsafe extern "system" fn start(context: *mut c_void) {
        let start = unsafe { &*context.cast::<Start<'_>>() };
        (start.0)(start.1);
        unsafe { PsTerminateSystemThread(0) };
    }

    /// Runs `body` on `count` threads and waits for all.
    pub fn run(count: usize, body: &Body<'_>) {
        let mut starts = alloc::vec::Vec::new();
        for number in 0..count {
            starts.push(Start(body, number));
        }
        let mut handles = alloc::vec::Vec::new();
        for each in &starts {
            let mut handle = ptr::null_mut();
            let status = unsafe {
                PsCreateSystemThread(
                    &raw mut handle, 0, ptr::null(), ptr::null_mut(), ptr::null_mut(),
                    Some(start), ptr::from_ref(each).cast_mut().cast(),
                )
            };
            assert_eq!(status, 0);
            handles.push(handle);
        }
        for handle in handles {
            unsafe {
                ZwWaitForSingleObject(handle, 0, ptr::null());
                ZwClose(handle);
            }
        }
    }
    use super::alloc;
}

fn spin_locks() {
    static PAIR: SpinLock<(u32, u32)> = SpinLock::new((0, 0));
    static TOTAL: QueuedSpinLock<u64> = QueuedSpinLock::new(0);
    threads::run(3, &|number| {
        for _ in 0..20 {
            {
                let mut pair = PAIR.lock();
                pair.0 += 1;
                assert_eq!(irql::current(), Irql::DISPATCH);
                TOTAL.with(|total, _| *total += number as u64);
                pair.1 += 1;
            }
            if let Some(mut pair) = PAIR.try_lock() {
                assert_eq!(pair.0, pair.1);
                pair.0 += 0;
            }
            assert_eq!(irql::current(), Irql::PASSIVE);
        }
    });
    let outer = PAIR.lock();
    let inner = SpinLock::new(*outer);
    let total = TOTAL.with(|total, proof| (*total, *inner.lock_at_dispatch(proof)));
    let again = *inner.lock_at_dispatch(SpinLockGuard::at_dispatch(&outer));
    let raised = irql::raise(Irql::DISPATCH);
    assert!(raised.at_dispatch().is_some());
    drop(raised);
    drop(outer);
    println!("spin {again:?} {total:?} {}", irql::current());
}

fn mutexes() -> Result<()> {
    static NAMES: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let fast = FastMutex::try_new((0, 0))?;
    threads::run(3, &|number| {
        for _ in 0..10 {
            let mut names = NAMES.lock();
            assert_eq!(irql::current(), Irql::PASSIVE);
            if names.try_reserve(1).is_ok() {
                names.push(number);
            }
            drop(names);
            {
                let mut pair = fast.lock();
                assert_eq!(irql::current(), Irql::APC);
                pair.0 += 1;
                pair.1 += 1;
            }
            if let Some(pair) = fast.try_lock() {
                assert_eq!(pair.0, pair.1);
            }
        }
    });
    // A static is not dropped: its memory is taken out.
    let names = core::mem::take(&mut *NAMES.lock());
    println!("mutex {} {:?}", names.len(), *fast.lock());
    Ok(())
}

fn readers() -> Result<()> {
    static LIMITS: RwLock<(u32, u32)> = RwLock::new((0, 0));
    let resource = Resource::try_new((0, 0))?;
    let reads = AtomicU32::new(0);
    threads::run(4, &|number| {
        for _ in 0..10 {
            if number % 2 == 0 {
                let mut limits = LIMITS.write();
                limits.0 += 1;
                limits.1 += 1;
                drop(limits);
                let mut pair = resource.write();
                pair.0 += 1;
                pair.1 += 1;
                let pair = pair.downgrade();
                assert_eq!(pair.0, pair.1);
            } else {
                let limits = LIMITS.read();
                assert_eq!(limits.0, limits.1);
                drop(limits);
                let pair = resource.read();
                assert_eq!(pair.0, pair.1);
                drop(pair);
                if let Some(pair) = resource.try_read() {
                    assert_eq!(pair.0, pair.1);
                }
                if let Some(pair) = resource.try_write() {
                    assert_eq!(pair.0, pair.1);
                }
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let first = resource.read();
    let second = resource.read();
    let refused = AtomicU32::new(0);
    threads::run(1, &|_| refused.store(resource.try_write().is_none().into(), Ordering::Relaxed));
    println!("readers {:?} {:?} {:?} {reads:?} {refused:?}", *LIMITS.read(), *first, *second);
    Ok(())
}

fn events() -> Result<()> {
    let turn = Event::try_new(EventKind::Synchronization, false)?;
    let done = Event::try_new(EventKind::Notification, false)?;
    assert_eq!(turn.wait_for(MILLISECOND), WaitResult::TimedOut);
    assert!(turn.wait_for(Duration::ZERO).is_timed_out());
    let order = AtomicU32::new(0);
    threads::run(3, &|number| match number {
        0 => {
            turn.wait();
            order.fetch_add(1, Ordering::Relaxed);
            assert!(!done.set());
        }
        1 => {
            done.wait();
            assert_eq!(order.load(Ordering::Relaxed), 1);
        }
        _ => {
            turn.set();
            assert!(done.wait_for(1000 * MILLISECOND).is_signaled());
        }
    });
    {
        // At DISPATCH an event is set and looked at, and waiting that does not wait is allowed.
        let _raised = irql::raise(Irql::DISPATCH);
        turn.set();
        assert!(turn.wait_for(Duration::ZERO).is_signaled());
    }
    println!("events {} {} {}", turn.is_signaled(), done.is_signaled(), done.reset());
    done.clear();
    // Several at a time.
    let work = Semaphore::try_new(0, 2)?;
    assert_eq!(wait_any_for([&turn, &done, &work], MILLISECOND), None);
    work.release(2)?;
    assert_eq!(work.release(1).map_err(|error| error.to_kernel_errno() as u32), Err(0xC000_0047));
    let first = wait_any([&turn, &done, &work]);
    turn.set();
    let second = wait_any([&turn, &done, &work]);
    done.set();
    wait_all([&done, &work]);
    assert_eq!(work.count(), 0);
    assert_eq!(wait_all_for([&done, &work], MILLISECOND), WaitResult::TimedOut);
    println!("any {first} {second}");
    Ok(())
}

fn semaphores() -> Result<()> {
    let slots = Semaphore::try_new(2, 2)?;
    assert_eq!(Semaphore::try_new(3, 2).err(), Some(Error::INVALID_PARAMETER));
    let inside = AtomicU32::new(0);
    let most = AtomicU32::new(0);
    threads::run(4, &|_| {
        for _ in 0..5 {
            let _slot = slots.acquire();
            let now = inside.fetch_add(1, Ordering::Relaxed) + 1;
            most.fetch_max(now, Ordering::Relaxed);
            inside.fetch_sub(1, Ordering::Relaxed);
        }
    });
    assert!(most.load(Ordering::Relaxed) <= 2);
    println!("semaphore {}", slots.count());
    Ok(())
}

fn once() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static SQUARES: LazyLock<[u32; 4]> = LazyLock::new(|| {
        MADE.fetch_add(1, Ordering::Relaxed);
        core::array::from_fn(|n| (n * n) as u32)
    });
    static LIMIT: OnceLock<usize> = OnceLock::new();
    static ONCE: Once = Once::new();
    let winners = AtomicU32::new(0);
    threads::run(4, &|number| {
        assert_eq!(SQUARES[3], 9);
        ONCE.call_once(|| {
            MADE.fetch_add(10, Ordering::Relaxed);
        });
        if LIMIT.set(number).is_ok() {
            winners.fetch_add(1, Ordering::Relaxed);
        }
        // Once it is made, it may be used at any IRQL.
        let _raised = irql::raise(Irql::DISPATCH);
        assert_eq!(SQUARES[2], 4);
    });
    let mut owned = OnceLock::new();
    assert_eq!(owned.get_or_try_init(|| Err(Error::NOT_FOUND)), Err(Error::NOT_FOUND));
    let _ = owned.set(Box::new(5));
    println!("once {MADE:?} {winners:?} {} {:?}", LIMIT.get().is_some(), owned.take());
}

fn rundown() {
    let mut gate = Rundown::new();
    let open = AtomicU32::new(1);
    threads::run(3, &|number| {
        if number == 0 {
            gate.wait();
            open.store(0, Ordering::SeqCst);
            gate.wait();
        } else {
            while let Some(_user) = gate.acquire() {
                assert_eq!(open.load(Ordering::SeqCst), 1);
            }
        }
    });
    let refused = gate.acquire().is_none();
    gate.restart();
    println!("rundown {refused} {}", gate.acquire().is_some());
}

fn more_without_sleeping() -> Result<()> {
    static PAIR: RwSpinLock<(u32, u32)> = RwSpinLock::new((0, 0));
    let stack = Stack::new();
    let popped = AtomicU32::new(0);
    threads::run(4, &|number| {
        for turn in 0..10 {
            if number % 2 == 0 {
                let mut pair = PAIR.write();
                pair.0 += 1;
                pair.1 += 1;
                assert_eq!(irql::current(), Irql::DISPATCH);
            } else {
                let pair = PAIR.read();
                assert_eq!(pair.0, pair.1);
                assert!(stack.push(Box::new((number, turn))).is_ok());
            }
            if turn % 2 == 0 && stack.pop().is_some() {
                popped.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut left = 0;
    while left < 5 && stack.pop().is_some() {
        left += 1;
    }
    // What is left is freed with the stack.
    let all = popped.load(Ordering::Relaxed) + left <= 20;
    let pair = *PAIR.read();
    println!("more {pair:?} {all} {}", irql::current());
    Ok(())
}

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> {
        spin_locks();
        mutexes()?;
        readers()?;
        events()?;
        semaphores()?;
        once();
        rundown();
        more_without_sleeping()?;
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
