#![forbid(unsafe_code)]
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use windows_kernel_rs::exec::thread::{self, Priority};
use windows_kernel_rs::exec::{
    self, Dpc, Importance, Processor, StopSource, Timer, WorkItem, Worker,
};
use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::mem::arc::Arc;
use windows_kernel_rs::process::ThreadId;
use windows_kernel_rs::sync::{SpinLock, Waitable, wait_any};
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};

const MS: Duration = Duration::from_millis(1);

fn counter() -> Result<(Arc<AtomicUsize>, Arc<AtomicUsize>)> {
    let counter = Arc::try_new(AtomicUsize::new(0))?;
    Ok((counter.clone(), counter))
}

/// Says when it is dropped.
struct Said(&'static str);

impl Drop for Said {
    fn drop(&mut self) {
        println!("{} dropped at {}", self.0, irql::current());
    }
}

fn threads() -> Result<()> {
    let numbers = [1, 2, 3];
    let sum = thread::try_spawn(move || numbers.iter().sum::<u32>())?;
    println!("sum {}", sum.join()?);

    let here = ThreadId::current();
    let other = thread::try_spawn(ThreadId::current)?;
    let id = other.id();
    println!("id {}", other.join()? == id && id != here);

    let (seen, count) = counter()?;
    let said = Said("thread's closure");
    let slow = thread::try_spawn(move || {
        exec::sleep(5 * MS);
        drop(said);
        count.fetch_add(1, SeqCst);
        Said("thread's value")
    })?;
    println!("running {} {}", !slow.is_finished(), slow.wait_for(MS).is_signaled());
    drop(slow);
    println!("joined by drop {}", seen.load(SeqCst));

    let before = thread::set_current_priority(Priority::LOW_REALTIME);
    println!("priority {} {}", before.get(), thread::current_priority().get());
    thread::set_current_priority(before);
    let urgent = thread::try_spawn(|| {
        exec::sleep(MS);
        thread::current_priority()
    })?;
    let old = urgent.set_priority(Priority::HIGHEST);
    println!("priority {} {} {}", old.get(), urgent.priority().get(), urgent.join()?.get());
    Ok(())
}

fn stops() -> Result<()> {
    let source = StopSource::try_new()?;
    let token = source.token();
    println!("token {} {}", token.is_stopped(), token.sleep(MS));
    let waits = token.clone();
    let waiting = thread::try_spawn(move || waits.wait())?;
    println!("waits {}", waiting.wait_for(5 * MS).is_timed_out());
    {
        let _raised = irql::raise(Irql::DISPATCH);
        source.stop();
    }
    waiting.join()?;
    println!("token {} {}", token.is_stopped(), token.sleep(Duration::MAX));

    let worker = Worker::try_spawn(|stop| {
        let mut rounds = 0;
        while !stop.sleep(10 * MS) {
            rounds += 1;
        }
        rounds
    })?;
    exec::sleep(35 * MS);
    println!("worker {} {}", worker.is_finished(), worker.stop()?);
    let timer = Timer::try_plain()?;
    timer.start_periodic(10 * MS, 10 * MS)?;
    let ticking = Worker::try_spawn(move |stop| {
        let mut ticks = 0;
        while wait_any([stop, &timer]) != 0 {
            ticks += 1;
        }
        ticks
    })?;
    exec::sleep(25 * MS);
    println!("ticking {}", ticking.stop()?);
    drop(Worker::try_spawn(|stop| stop.wait())?);
    println!("worker dropped");
    Ok(())
}

fn dpcs() -> Result<()> {
    let (seen, count) = counter()?;
    let said = Said("dpc's closure");
    let mut dpc = Dpc::try_new(move |_| {
        assert!(irql::current() == Irql::DISPATCH);
        let _owned = &said;
        count.fetch_add(1, SeqCst);
    })?;
    {
        let _raised = irql::raise(Irql::DISPATCH);
        println!("queued {} {}", dpc.queue(), dpc.queue());
        println!("ran {}", seen.load(SeqCst));
    }
    println!("ran {}", seen.load(SeqCst));
    {
        let _raised = irql::raise(Irql::DISPATCH);
        dpc.queue();
        println!("cancelled {} {}", dpc.cancel(), dpc.cancel());
    }
    dpc.set_importance(Importance::High);
    let last = Processor::all().last().unwrap_or(Processor::current());
    dpc.set_target(last)?;
    dpc.queue();
    drop(dpc);
    println!("ran {}", seen.load(SeqCst));

    let shared = Arc::try_new(SpinLock::new(0))?;
    let locked = shared.clone();
    let adds = Dpc::try_new(move |proof| *locked.lock_at_dispatch(proof) += 1)?;
    adds.queue();
    drop(adds);
    println!("under a lock {}", *shared.lock() <= 1);

    for processor in Processor::all() {
        let (seen, index) = counter()?;
        let mut dpc = Dpc::try_new(move |_| {
            index.store(Processor::current().index() as usize + 1, SeqCst);
        })?;
        dpc.set_target(processor)?;
        dpc.queue();
        drop(dpc);
        assert!([0, processor.index() as usize + 1].contains(&seen.load(SeqCst)));
    }
    Ok(())
}

fn timers() -> Result<()> {
    let (seen, count) = counter()?;
    let said = Said("timer's closure");
    let timer = Timer::try_new(move |_| {
        assert!(irql::current() == Irql::DISPATCH);
        let _owned = &said;
        count.fetch_add(1, SeqCst);
    })?;
    println!("set {} {}", timer.start(10 * MS), timer.start(10 * MS));
    println!("expired {} {}", timer.has_expired(), timer.wait_for(5 * MS).is_signaled());
    timer.wait();
    exec::sleep(MS);
    println!("ticks {} {} {}", seen.load(SeqCst), timer.has_expired(), timer.cancel());

    println!("periodic {:?}", timer.start_periodic(MS, Duration::from_micros(1)).err());
    timer.start_periodic(MS, 10 * MS)?;
    for _ in 0..3 {
        timer.wait();
    }
    println!("cancelled {} {}", timer.cancel(), timer.cancel());
    println!("ticks {}", seen.load(SeqCst));
    timer.start_periodic(MS, MS)?;
    exec::sleep(5 * MS);
    drop(timer);

    let plain = Timer::try_plain()?;
    plain.start_periodic(MS, MS)?;
    plain.wait();
    plain.wait();
    plain.start(Duration::from_secs(3600));
    drop(plain);
    println!("plain dropped");
    Ok(())
}

fn work() -> Result<()> {
    let (seen, count) = counter()?;
    let said = Said("work item's closure");
    let mut runs = 0;
    let item = WorkItem::try_new(move || {
        let _owned = &said;
        runs += 1;
        exec::sleep(5 * MS);
        count.store(runs, SeqCst);
    })?;
    {
        let _raised = irql::raise(Irql::DISPATCH);
        println!("queued {} {}", item.queue(), item.queue());
    }
    exec::sleep(2 * MS);
    println!("again {} {}", item.queue(), item.queue());
    exec::sleep(10 * MS);
    println!("runs {}", seen.load(SeqCst));
    item.queue();
    drop(item);
    println!("runs {}", seen.load(SeqCst));

    let (seen, count) = counter()?;
    let item = WorkItem::try_new(move || {
        count.fetch_add(1, SeqCst);
    })?;
    let dpc = Dpc::try_new(move |_| {
        item.queue();
    })?;
    dpc.queue();
    exec::sleep(5 * MS);
    println!("from a dpc {}", seen.load(SeqCst));
    Ok(())
}

fn processors() -> Result<()> {
    println!("processors {}", Processor::count());
    for processor in Processor::all() {
        let _here = processor.pin();
        exec::yield_now();
        assert!(Processor::current() == processor);
        {
            let first = Processor::from_index(0).ok_or(Error::NOT_FOUND)?;
            assert!(first.run(|| Processor::current()) == first);
        }
        assert!(Processor::current() == processor);
    }
    println!("none {}", Processor::from_index(999).is_none());
    println!("stall {:?}", exec::stall(Duration::from_micros(51)).err());
    exec::stall(Duration::from_nanos(10_500))?;
    Ok(())
}

struct Module {
    beats: Arc<AtomicUsize>,
    // Ended in this order.
    _timer: Timer,
    _worker: Worker,
    _work: Arc<WorkItem>,
    _said: Said,
}

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> {
        threads()?;
        stops()?;
        dpcs()?;
        timers()?;
        work()?;
        processors()?;

        let (beats, count) = counter()?;
        let work = Arc::try_new(WorkItem::try_new(move || {
            count.fetch_add(1, SeqCst);
        })?)?;
        let queued = work.clone();
        let timer = Timer::try_new(move |_| {
            queued.queue();
        })?;
        timer.start_periodic(MS, MS)?;
        let first = AtomicBool::new(true);
        let beaten = beats.clone();
        let worker = Worker::try_spawn(move |stop| {
            while !stop.sleep(3 * MS) {
                if beaten.load(SeqCst) > 0 && first.swap(false, SeqCst) {
                    println!("beats");
                }
            }
        })?;
        Ok(Module { beats, _timer: timer, _worker: worker, _work: work, _said: Said("module") })
    }

    fn cleanup(&mut self, _: Driver) {
        exec::sleep(20 * MS);
        println!("bye {}", self.beats.load(SeqCst) > 5);
    }
}

kernel_module!(Module);
