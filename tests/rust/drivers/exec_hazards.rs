#![forbid(unsafe_code)]
//! Values that are dropped where they cannot simply wait, or never; `Case` says which.
use core::mem::forget;
use core::time::Duration;
use windows_kernel_rs::exec::{self, Dpc, JoinHandle, Timer, WorkItem, Worker, thread};
use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::mem::arc::Arc;
use windows_kernel_rs::registry::{Access, Key};
use windows_kernel_rs::sync::{Event, EventKind, SpinLock, Waitable};
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};

const MS: Duration = Duration::from_millis(1);

struct Said(&'static str);

impl Drop for Said {
    fn drop(&mut self) {
        println!("{} dropped at {}", self.0, irql::current());
    }
}

/// Where a closure finds the value that it belongs to.
type Place<T> = Arc<SpinLock<Option<T>>>;

fn place<T>() -> Result<(Place<T>, Place<T>)> {
    let place = Arc::try_new(SpinLock::new(None))?;
    Ok((place.clone(), place))
}

fn take<T>(place: &Place<T>) -> Option<T> {
    place.lock().take()
}

fn joins_itself() -> Result<()> {
    let (outer, inner) = place::<JoinHandle<()>>()?;
    let go = Arc::try_new(Event::try_new(EventKind::Notification, false)?)?;
    let (wait, said) = (go.clone(), Said("value"));
    *outer.lock() = Some(thread::try_spawn(move || {
        wait.wait();
        let _said = said;
        if let Some(me) = take(&inner) {
            println!("join {:?}", me.join().err());
        }
    })?);
    go.set();
    Ok(())
}

fn drops_its_own_handle() -> Result<()> {
    let (outer, inner) = place::<JoinHandle<Said>>()?;
    let go = Arc::try_new(Event::try_new(EventKind::Notification, false)?)?;
    let wait = go.clone();
    *outer.lock() = Some(thread::try_spawn(move || {
        wait.wait();
        drop(take(&inner));
        println!("goes on");
        Said("value")
    })?);
    go.set();
    Ok(())
}

fn work_drops_itself() -> Result<()> {
    let (outer, inner) = place::<WorkItem>()?;
    let said = Said("closure");
    let mut runs = 0;
    *outer.lock() = Some(WorkItem::try_new(move || {
        let _owned = &said;
        runs += 1;
        println!("run {runs}");
        let me = take(&inner);
        if let Some(me) = &me {
            println!("queued {}", me.queue());
        }
        drop(me);
        println!("goes on");
    })?);
    outer.lock().as_ref().ok_or(Error::NOT_FOUND)?.queue();
    exec::sleep(5 * MS);
    Ok(())
}

fn dpc_drops_itself() -> Result<()> {
    let (outer, inner) = place::<Dpc>()?;
    *outer.lock() = Some(Dpc::try_new(move |_| drop(take(&inner)))?);
    outer.lock().as_ref().ok_or(Error::NOT_FOUND)?.queue();
    exec::sleep(5 * MS);
    Ok(())
}

fn timer_drops_itself() -> Result<()> {
    let (outer, inner) = place::<Timer>()?;
    *outer.lock() = Some(Timer::try_new(move |_| drop(take(&inner)))?);
    outer.lock().as_ref().ok_or(Error::NOT_FOUND)?.start(MS);
    exec::sleep(5 * MS);
    Ok(())
}

fn at_dispatch<T>(value: T) -> Result<()> {
    let _raised = irql::raise(Irql::DISPATCH);
    drop(value);
    Ok(())
}

/// Each of these is still at work when the driver is unloaded.
fn forgets() -> Result<()> {
    forget(thread::try_spawn(|| {
        exec::sleep(50 * MS);
        println!("forgotten thread");
    })?);
    let work = WorkItem::try_new(|| {
        exec::sleep(20 * MS);
        println!("forgotten work item");
    })?;
    work.queue();
    forget(work);
    Ok(())
}

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, path: &str) -> Result<Self> {
        match Key::parameters(path, Access::Read)?.get::<u32>("Case")? {
            0 => joins_itself()?,
            1 => drops_its_own_handle()?,
            2 => work_drops_itself()?,
            3 => dpc_drops_itself()?,
            4 => timer_drops_itself()?,
            5 => at_dispatch(Dpc::try_new(|_| ())?)?,
            6 => at_dispatch(Timer::try_new(|_| ())?)?,
            7 => at_dispatch(WorkItem::try_new(|| ())?)?,
            8 => at_dispatch(Worker::try_spawn(|stop| stop.wait())?)?,
            9 => forgets()?,
            _ => {
                // What a failing DriverEntry has begun ends with it.
                let timer = Timer::try_new(|_| ())?;
                timer.start_periodic(MS, MS)?;
                let _worker = Worker::try_spawn(|stop| {
                    stop.wait();
                    println!("told to stop");
                })?;
                return Err(Error::DEVICE_NOT_READY);
            }
        }
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {
        println!("bye");
    }
}

kernel_module!(Module);
