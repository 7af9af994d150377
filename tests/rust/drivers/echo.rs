#![forbid(unsafe_code)]
use core::sync::atomic::{AtomicUsize, Ordering};
use windows_kernel_rs::io::{
    Access, Device, DeviceOptions, File, Ioctl, IoctlCode, Open, Operations, Queue, Read, Request,
    Write,
};
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};

const COUNT: IoctlCode<(), u64> = IoctlCode::buffered(0x22, 0x800, Access::Any);
const RELEASE: IoctlCode = IoctlCode::buffered(0x22, 0x801, Access::Any);
const DROP: IoctlCode = IoctlCode::buffered(0x22, 0x802, Access::Any);

struct Echo {
    waiting: Queue<Read>,
    opens: AtomicUsize,
}

struct Handle {
    number: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        println!("handle {} dropped", self.number);
    }
}

impl Operations for Echo {
    type Handle = Handle;

    fn create(&self, open: &Open<'_>) -> Result<Handle> {
        if open.name().any(|c| c == '?') {
            return Err(Error::OBJECT_NAME_INVALID);
        }
        let number = self.opens.fetch_add(1, Ordering::Relaxed) + 1;
        println!("open {number}");
        Ok(Handle { number })
    }

    fn read(&self, handle: &Handle, request: Request<Read>) {
        println!("read {} bytes by {}", request.len(), handle.number);
        if request.offset() == 1 {
            self.waiting.push(request);
        } else {
            request.complete_with(b"0123456789");
        }
    }

    fn write(&self, _: &Handle, request: Request<Write>) {
        request.complete_by(|request| {
            let data = request.input()?.to_vec()?;
            println!("wrote {data:?}");
            Ok(data.len())
        });
    }

    fn ioctl(&self, _: &Handle, request: Request<Ioctl>) {
        request
            .route()
            .take(COUNT, |request| {
                let count = self.opens.load(Ordering::Relaxed) as u64;
                request.complete_with(&count.to_le_bytes());
            })
            .take(RELEASE, |request| {
                while let Some(waiting) = self.waiting.pop() {
                    waiting.complete_with(b"released");
                }
                request.complete(Ok(0));
            })
            .take(DROP, drop)
            .end();
    }

    fn cleanup(&self, handle: &Handle, file: File) {
        println!("cleanup {}", handle.number);
        self.waiting.cancel(file);
    }

    fn close(&self, handle: &Handle) {
        println!("close {}", handle.number);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        println!("echo dropped");
    }
}

struct Module {
    _device: Device<Echo>,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        let echo = Echo { waiting: Queue::try_new()?, opens: AtomicUsize::new(0) };
        Ok(Module { _device: Device::try_new(&driver, &DeviceOptions::named("Echo"), echo)? })
    }

    fn cleanup(&mut self, _: Driver) {
        println!("bye");
    }
}

kernel_module!(Module);
