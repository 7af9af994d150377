#![forbid(unsafe_code)]
//! Several threads use the same values, and take their own down while they are in use.
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use windows_kernel_rs::exec::{self, Dpc, JoinHandle, Processor, Timer, WorkItem, Worker, thread};
use windows_kernel_rs::mem::arc::Arc;
use windows_kernel_rs::{Driver, KernelModule, Result, kernel_module, println};

const MS: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Counts {
    dpcs: AtomicUsize,
    works: AtomicUsize,
    inside: AtomicBool,
}

struct Shared {
    dpc: Dpc,
    work: WorkItem,
    counts: Arc<Counts>,
}

impl Shared {
    fn try_new() -> Result<Self> {
        let counts = Arc::try_new(Counts::default())?;
        let (one, two) = (counts.clone(), counts.clone());
        let mut runs = 0;
        Ok(Shared {
            dpc: Dpc::try_new(move |_| {
                one.dpcs.fetch_add(1, SeqCst);
            })?,
            work: WorkItem::try_new(move || {
                assert!(!two.inside.swap(true, SeqCst), "runs twice at a time");
                runs += 1;
                exec::yield_now();
                two.works.store(runs, SeqCst);
                two.inside.store(false, SeqCst);
            })?,
            counts,
        })
    }
}

/// What a thread has queued with success: DPCs, work items.
type Queued = (usize, usize);

fn queues(shared: Arc<Shared>, index: usize) -> Queued {
    let (mut dpcs, mut works) = (0, 0);
    let processors = Processor::count();
    for round in 0..10 {
        let _here = Processor::from_index((index + round) as u32 % processors).map(Processor::pin);
        dpcs += usize::from(shared.dpc.queue());
        works += usize::from(shared.work.queue());
        if round % 5 == 4 {
            dpcs -= usize::from(shared.dpc.cancel());
        }
        if (index + round) % 3 == 0 {
            exec::sleep(MS / 8);
        }
    }
    (dpcs, works)
}

/// Makes values and drops them while they are at work: nothing of theirs runs afterwards.
fn drops(index: usize) -> Result<usize> {
    let mut total = 0;
    for round in 0..2 {
        let count = Arc::try_new(AtomicUsize::new(0))?;
        let (a, b, c) = (count.clone(), count.clone(), count.clone());
        let work = WorkItem::try_new(move || {
            a.fetch_add(1, SeqCst);
        })?;
        let dpc = Dpc::try_new(move |_| {
            b.fetch_add(1, SeqCst);
            work.queue();
        })?;
        let timer = Timer::try_new(move |_| {
            dpc.queue();
        })?;
        let worker = Worker::try_spawn(move |stop| {
            while !stop.sleep(MS / 4) {
                c.fetch_add(1, SeqCst);
            }
        })?;
        timer.start_periodic(MS / 2, MS)?;
        exec::sleep(MS / 2 * (index + round) as u32);
        drop(timer);
        drop(worker);
        let after = count.load(SeqCst);
        exec::sleep(2 * MS);
        assert!(count.load(SeqCst) == after, "runs after it was dropped");
        total += after;
    }
    Ok(total)
}

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> {
        let shared = Arc::try_new(Shared::try_new()?)?;
        let counts = shared.counts.clone();
        let spawn = |index| {
            let shared = shared.clone();
            thread::try_spawn(move || queues(shared, index))
        };
        let queueing: [JoinHandle<Queued>; 3] = [spawn(0)?, spawn(1)?, spawn(2)?];
        let dropping = [thread::try_spawn(|| drops(1))?, thread::try_spawn(|| drops(2))?];
        let (mut dpcs, mut works) = (0, 0);
        for thread in queueing {
            let queued = thread.join()?;
            dpcs += queued.0;
            works += queued.1;
        }
        drop(shared);
        println!("dpcs {}", dpcs == counts.dpcs.load(SeqCst) && dpcs > 0);
        println!("works {}", works == counts.works.load(SeqCst) && works > 0);
        let mut total = 0;
        for thread in dropping {
            total += thread.join()??;
        }
        println!("dropped {}", total > 0);
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
