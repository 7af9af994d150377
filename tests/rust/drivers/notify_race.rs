//! Registrations begin and end while what they watch goes on in other threads.
#![forbid(unsafe_code)]
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use windows_kernel_rs::exec::{self, thread};
use windows_kernel_rs::mem::arc::Arc;
use windows_kernel_rs::notify::{RegistryEvent, RegistryNotify, ThreadNotify};
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::registry::{Access, Key};
use windows_kernel_rs::u16str;

/// Owned by a closure: not there any more when the closure is not.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

impl Alive {
    fn check(&self) {
        assert!(self.0.load(SeqCst), "called after it was dropped");
    }
}

fn alive() -> Result<(Alive, Arc<AtomicBool>)> {
    let flag = Arc::try_new(AtomicBool::new(true))?;
    Ok((Alive(flag.clone()), flag))
}

struct Module;

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self, Error> {
        let (calls, stop) =
            (Arc::try_new(AtomicUsize::new(0))?, Arc::try_new(AtomicBool::new(false))?);
        let mut writers = Vec::new();
        for name in ["A", "B"] {
            let stop = stop.clone();
            writers.push(thread::try_spawn(move || -> Result<()> {
                let path = u16str!("\\Registry\\Machine\\SOFTWARE\\Race");
                let key = Key::create(path, Access::Write)?;
                let mut count = 0_u32;
                while !stop.load(SeqCst) {
                    key.set(name, &count)?;
                    count += 1;
                    thread::try_spawn(|| ())?.join()?;
                }
                Ok(())
            })?);
        }
        for _ in 0..12 {
            let ((mine, flag), counter) = (alive()?, calls.clone());
            let registry = RegistryNotify::try_new(&driver, u16str!("380011"), move |event| {
                mine.check();
                if let RegistryEvent::SetValue { key, .. } = event {
                    match key.path() {
                        Ok(path) => assert!(path.ends_with_ignore_case(u16str!("\\race"))),
                        // It is being registered, or unregistered.
                        Err(error) => assert_eq!(error, Error::DEVICE_NOT_READY),
                    }
                    counter.fetch_add(1, SeqCst);
                    exec::sleep(Duration::from_micros(30));
                }
                mine.check();
                Ok(())
            })?;
            let (mine, other) = alive()?;
            let counter = calls.clone();
            let threads = ThreadNotify::try_new(move |_| {
                mine.check();
                counter.fetch_add(1, SeqCst);
                mine.check();
            })?;
            exec::sleep(Duration::from_micros(200));
            drop(registry);
            assert!(!flag.load(SeqCst));
            drop(threads);
            assert!(!other.load(SeqCst));
        }
        stop.store(true, SeqCst);
        for writer in writers {
            writer.join()??;
        }
        println!("called {}", calls.load(SeqCst) > 0);
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
