//! A ring of lines, and the device that gives them out.

use core::sync::atomic::{AtomicU32, Ordering};

use windows_kernel_rs::exec::Dpc;
use windows_kernel_rs::io::{Device, DeviceOptions, File, Open, Operations, Queue, Read, Request};
use windows_kernel_rs::irql::Irql;
use windows_kernel_rs::mem::{Arc, Ring};
use windows_kernel_rs::sync::HighLock;
use windows_kernel_rs::time::Instant;
use windows_kernel_rs::{Driver, Error, Result};

/// Bytes that lines are kept in while nobody reads: some thousand lines.
const KEPT: usize = 1 << 20;
/// The most text of one print; Windows sends no more.
const TEXT: usize = 512;
/// Bytes of a record before its text.
const HEAD: usize = 34;
/// Bytes of them that are made when it is read: its size and how many were lost before.
const MADE: usize = 8;
/// The IRQL of a record where it is not known.
const UNKNOWN: u8 = 0xff;

/// One print.
pub struct Line<'a> {
    pub text: &'a [u8],
    pub component: u32,
    pub level: u32,
    pub irql: Option<Irql>,
    /// Prints that were lost before it.
    pub missed: u32,
}

struct Shared {
    ring: HighLock<Ring>,
    /// Prints that did not get into the ring.
    missed: AtomicU32,
    readers: Queue<Read>,
}

/// Where lines are put, from any IRQL. Clones are of the same place.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Shared>,
    wake: Arc<Dpc>,
}

impl Lines {
    /// Puts a line in, and has whoever waits for one be answered. IRQL: any.
    pub fn add(&self, line: &Line<'_>) {
        let text = &line.text[..line.text.len().min(TEXT)];
        // Above 31 it is a mask: its lowest bit.
        let level = if line.level < 32 { line.level } else { line.level.trailing_zeros() };
        let component = u16::try_from(line.component).unwrap_or(u16::MAX);
        let mut head = [0; HEAD - MADE];
        head[..8].copy_from_slice(&Instant::now().as_raw().to_le_bytes());
        // Who printed, and in which thread, is not to be had at this IRQL: 8..20 are 0.
        head[20..22].copy_from_slice(&component.to_le_bytes());
        head[22] = level as u8;
        head[23] = line.irql.map_or(UNKNOWN, Irql::as_raw);
        head[24..].copy_from_slice(&(text.len() as u16).to_le_bytes());
        let Some(mut ring) = self.shared.ring.try_lock() else {
            // A nonmaskable interrupt prints while this processor has the lock.
            self.shared.missed.fetch_add(1 + line.missed, Ordering::Relaxed);
            return;
        };
        let missed = self.shared.missed.swap(0, Ordering::Relaxed);
        ring.push(&[&head, text], missed + line.missed);
        drop(ring);
        if !self.shared.readers.is_empty() {
            self.wake.queue();
        }
    }
}

impl Shared {
    /// Answers requests as long as there are lines. IRQL <= DISPATCH.
    fn serve(&self) {
        while self.ring.try_lock().is_some_and(|ring| !ring.is_empty()) {
            let Some(mut request) = self.readers.pop() else { return };
            match self.fill(&mut request) {
                // Somebody else was faster: it waits on, and what came meanwhile is looked for.
                Ok(0) => self.readers.push(request),
                result => request.complete(result),
            }
        }
    }

    /// Writes the records that fit; how many bytes.
    fn fill(&self, request: &mut Request<Read>) -> Result<usize> {
        let mut output = request.output()?;
        let mut record = [0; HEAD + TEXT + MADE];
        let mut at = 0;
        loop {
            let Some(mut ring) = self.ring.try_lock() else { break };
            let Some(len) = ring.next_len() else { break };
            let size = (MADE + len).next_multiple_of(8);
            if size > output.len() - at {
                return if at == 0 { Err(Error::BUFFER_TOO_SMALL) } else { Ok(at) };
            }
            record.fill(0);
            let Some(found) = ring.pop(&mut record[MADE..]) else { break };
            drop(ring);
            record[..4].copy_from_slice(&(size as u32).to_le_bytes());
            record[4..8].copy_from_slice(&found.lost.to_le_bytes());
            output.write_at(at, &record[..size])?;
            at += size;
        }
        Ok(at)
    }
}

/// The device: a read gives the lines that are there, or waits for the next.
struct Reader(Arc<Shared>);

impl Operations for Reader {
    type Handle = ();

    fn create(&self, _: &Open<'_>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: &(), request: Request<Read>) {
        self.0.readers.push(request);
        self.0.serve();
    }

    fn cleanup(&self, _: &(), file: File) {
        self.0.readers.cancel(file);
    }
}

/// All of it.
pub struct Tap {
    lines: Lines,
    // For administrators, and one of them at a time: a line is given out once.
    _device: Device<Reader>,
}

impl Tap {
    /// IRQL: PASSIVE.
    pub fn try_new(driver: &Driver, name: &str) -> Result<Self> {
        let ring = HighLock::new(Ring::try_new(KEPT)?);
        let shared =
            Arc::try_new(Shared { ring, missed: AtomicU32::new(0), readers: Queue::try_new()? })?;
        let served = shared.clone();
        let wake = Arc::try_new(Dpc::try_new(move |_| served.serve())?)?;
        let options = DeviceOptions::named(name).administrators().exclusive();
        let device = Device::try_new(driver, &options, Reader(shared.clone()))?;
        Ok(Tap { lines: Lines { shared, wake }, _device: device })
    }

    /// Where lines are to be put.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Ends the reads that wait: the driver goes. IRQL <= DISPATCH.
    pub fn end(&self) {
        while let Some(request) = self.lines.shared.readers.pop() {
            request.complete(Err(Error::CANCELLED));
        }
    }
}
