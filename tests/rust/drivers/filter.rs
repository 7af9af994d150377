#![forbid(unsafe_code)]
use core::sync::atomic::{AtomicUsize, Ordering};
use windows_kernel_rs::io::{
    Below, Filter, FilterDevice, Flush, Ioctl, Open, Queue, Read, Request, Write,
};
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};

struct Watch {
    held: Queue<Write>,
    reads: AtomicUsize,
}

impl Filter for Watch {
    fn create(&self, open: &Open<'_>) -> Result<()> {
        println!("create");
        if open.name().any(|c| c == '!') { Err(Error::ACCESS_DENIED) } else { Ok(()) }
    }

    fn read(&self, request: Request<Read>, below: &Below) {
        match self.reads.fetch_add(1, Ordering::Relaxed) {
            // Changed on its way back, in the thread of the caller.
            0 => {
                let (mut request, result) = below.call(request);
                println!("back with {result:?}");
                if let Ok(size) = result {
                    let mut data = [0; 16];
                    let size = size.min(data.len());
                    let read = request.data().and_then(|d| d.copy_to(0, &mut data[..size]));
                    data[..size].reverse();
                    let wrote = request.output().and_then(|mut o| o.write_at(0, &data[..size]));
                    request.complete(read.and(wrote).and(Ok(size)));
                } else {
                    request.complete(result);
                }
            }
            _ => below.forward_then(request, |request, result| {
                println!("returned {result:?}");
                request.complete(result);
            }),
        }
    }

    fn write(&self, request: Request<Write>, below: &Below) {
        if request.offset() == 7 {
            self.held.push(request);
        } else {
            println!("write of {}", request.len());
            below.forward(request);
        }
    }

    fn flush(&self, request: Request<Flush>, below: &Below) {
        for held in core::iter::from_fn(|| self.held.pop()) {
            println!("held no more");
            below.forward(held);
        }
        request.complete(Ok(0));
    }

    fn ioctl(&self, request: Request<Ioctl>, below: &Below) {
        if request.code() == 0x222010 {
            request.complete(Err(Error::NOT_SUPPORTED));
        } else {
            below.forward(request);
        }
    }
}

struct Module {
    _filter: FilterDevice,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        let missing = FilterDevice::attach(&driver, r"\Device\Nobody", watch()?);
        println!("{:?}", missing.err());
        Ok(Module { _filter: FilterDevice::attach(&driver, r"\Device\Echo", watch()?)? })
    }

    fn cleanup(&mut self, _: Driver) {
        println!("filter leaves");
    }
}

fn watch() -> Result<Watch> {
    Ok(Watch { held: Queue::try_new()?, reads: AtomicUsize::new(0) })
}

kernel_module!(Module);
