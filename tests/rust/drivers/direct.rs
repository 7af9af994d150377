#![forbid(unsafe_code)]
//! A disk in memory whose data goes straight between its buffer and the program's pages.
use windows_kernel_rs::io::{
    Access, Device, DeviceOptions, File, Ioctl, IoctlCode, Method, Open, Operations, Queue, Read,
    Request, Transfer, Write,
};
use windows_kernel_rs::mem::{NonPaged, PoolBox, Tag};
use windows_kernel_rs::sync::SpinLock;
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};

const SUM: IoctlCode = IoctlCode::new(0x8000, 0x800, Method::InDirect, Access::Any);
const FILL: IoctlCode = IoctlCode::new(0x8000, 0x801, Method::OutDirect, Access::Any);
const GO: IoctlCode = IoctlCode::buffered(0x8000, 0x802, Access::Any);

const SIZE: usize = 20_000;
/// Reads from here on wait for GO.
const LATER: i64 = 1 << 32;

struct Disk {
    data: SpinLock<PoolBox<[u8], NonPaged>>,
    waiting: Queue<Read>,
}

fn part(offset: i64, len: usize) -> Result<core::ops::Range<usize>> {
    let start = usize::try_from(offset)?;
    if start >= SIZE {
        return Err(Error::END_OF_FILE);
    }
    Ok(start..SIZE.min(start + len))
}

fn sum(request: &Request<Ioctl>) -> Result<usize> {
    let data = request.direct_input()?;
    let parts = data.part(0, data.len() / 2)?.to_vec()?;
    let first: u32 = parts.iter().map(|&byte| u32::from(byte)).sum();
    let rest: u32 = (parts.len()..data.len()).filter_map(|at| data.get(at)).map(u32::from).sum();
    println!("{} bytes, sum {}, input {:?}", data.len(), first + rest, request.input()?.to_vec()?);
    Ok(0)
}

fn fill(request: &mut Request<Ioctl>) -> Result<usize> {
    let value = request.input()?.get(0).ok_or(Error::INFO_LENGTH_MISMATCH)?;
    let mut output = request.output()?;
    let len = output.len();
    output.fill(0, len, value)?;
    output.part(1, 2)?.write_at(0, b"..")?;
    Ok(len)
}

impl Disk {
    fn send(&self, mut request: Request<Read>, offset: i64) {
        let result = part(offset, request.len()).and_then(|range| {
            let mut output = request.output()?;
            // At DISPATCH: the program's pages are locked.
            let data = self.data.lock();
            output.write_at(0, &data[range.clone()])?;
            Ok(range.len())
        });
        request.complete(result);
    }
}

impl Operations for Disk {
    type Handle = ();
    const TRANSFER: Transfer = Transfer::Direct;

    fn create(&self, _: &Open<'_>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: &(), request: Request<Read>) {
        match request.offset() {
            LATER.. => self.waiting.push(request),
            offset => self.send(request, offset),
        }
    }

    fn write(&self, _: &(), request: Request<Write>) {
        let result = part(request.offset(), request.len()).and_then(|range| {
            let input = request.input()?;
            input.copy_to(0, &mut self.data.lock()[range.clone()])?;
            Ok(range.len())
        });
        request.complete(result);
    }

    fn ioctl(&self, _: &(), request: Request<Ioctl>) {
        request
            .route()
            .take(SUM, |mut request| {
                println!("output {:?}", request.output().err());
                let result = sum(&request);
                request.complete(result);
            })
            .take(FILL, |mut request| {
                let result = fill(&mut request);
                request.complete(result);
            })
            .take(GO, |request| {
                while let Some(waiting) = self.waiting.pop() {
                    let offset = waiting.offset() - LATER;
                    self.send(waiting, offset);
                }
                request.complete(Ok(0));
            })
            .end();
    }

    fn cleanup(&self, (): &(), file: File) {
        self.waiting.cancel(file);
    }
}

struct Module {
    _device: Device<Disk>,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        let data = SpinLock::new(PoolBox::try_filled(SIZE, 0, Tag::new(b"Disk"))?);
        let disk = Disk { data, waiting: Queue::try_new()? };
        Ok(Module { _device: Device::try_new(&driver, &DeviceOptions::named("Disk"), disk)? })
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
