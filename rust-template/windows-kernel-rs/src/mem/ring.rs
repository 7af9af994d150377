//! [`Ring`]: records of bytes in memory that was allocated before; the oldest give way.

use alloc::vec::Vec;

use crate::error::{Error, Result};

/// Bytes before each record: its length, and how many were lost before it.
const HEAD: usize = 8;

/// Records of any length, first in, first out, in memory that is allocated once.
///
/// What has no room takes the place of the oldest; how many were lost that way, each record says
/// that comes after them. Nothing in it waits or allocates, so that with a
/// [`HighLock`](crate::sync::HighLock) around it it is for any IRQL.
///
/// ```no_run
/// use windows_kernel_rs::mem::Ring;
/// use windows_kernel_rs::sync::HighLock;
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let lines = HighLock::new(Ring::try_new(1 << 16)?);
/// if let Some(mut lines) = lines.try_lock() {
///     lines.push(&[b"from ", b"any IRQL"], 0);
///     let mut line = [0; 64];
///     assert_eq!(lines.pop(&mut line).map(|found| found.len), Some(13));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Ring {
    bytes: Vec<u8>,
    /// Where the oldest record starts.
    start: usize,
    /// Bytes that records take.
    used: usize,
    /// Records that were lost before the oldest.
    lost: u32,
    /// Records that were lost after the newest.
    missed: u32,
}

/// A record that was taken out; see [`Ring::pop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Popped {
    /// Its length.
    pub len: usize,
    /// How many records were lost between the one before and this.
    pub lost: u32,
}

impl Ring {
    /// An empty one with memory for `size` bytes; each record takes 8 more than it has.
    /// IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    pub fn try_new(size: usize) -> Result<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(Error::from)?;
        bytes.resize(size, 0);
        Ok(Ring { bytes, start: 0, used: 0, lost: 0, missed: 0 })
    }

    /// Puts a record at the end, the bytes of `parts` one behind the other; `missed` more were
    /// lost before it got here. One that is larger than the whole ring is lost itself.
    pub fn push(&mut self, parts: &[&[u8]], missed: u32) {
        self.missed = self.missed.saturating_add(missed);
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let need = HEAD.saturating_add(len);
        if need > self.bytes.len() || u32::try_from(len).is_err() {
            self.missed = self.missed.saturating_add(1);
            return;
        }
        while self.bytes.len() - self.used < need {
            let (len, lost) = self.head();
            self.lost = self.lost.saturating_add(lost).saturating_add(1);
            self.skip(HEAD + len);
        }
        let lost = core::mem::take(&mut self.missed);
        self.append(&(len as u32).to_ne_bytes());
        self.append(&lost.to_ne_bytes());
        parts.iter().for_each(|part| self.append(part));
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The length of the oldest record.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        (self.used != 0).then(|| self.head().0)
    }

    /// Takes the oldest record out, into `to`. `None` where there is none, or it does not fit:
    /// then it stays.
    pub fn pop(&mut self, to: &mut [u8]) -> Option<Popped> {
        let len = self.next_len()?;
        let place = to.get_mut(..len)?;
        let lost = core::mem::take(&mut self.lost).saturating_add(self.head().1);
        self.copy_to(HEAD, place);
        self.skip(HEAD + len);
        Some(Popped { len, lost })
    }

    fn head(&self) -> (usize, u32) {
        let (mut len, mut lost) = ([0; 4], [0; 4]);
        self.copy_to(0, &mut len);
        self.copy_to(4, &mut lost);
        (u32::from_ne_bytes(len) as usize, u32::from_ne_bytes(lost))
    }

    fn skip(&mut self, count: usize) {
        self.start = self.place(count);
        self.used = self.used.saturating_sub(count);
    }

    /// Where the byte is that lies `offset` behind the start of the oldest record.
    fn place(&self, offset: usize) -> usize {
        let at = self.start + offset;
        if at < self.bytes.len() { at } else { at - self.bytes.len() }
    }

    fn copy_to(&self, offset: usize, to: &mut [u8]) {
        let at = self.place(offset);
        let straight = to.len().min(self.bytes.len() - at);
        let (first, second) = to.split_at_mut(straight);
        first.copy_from_slice(&self.bytes[at..at + straight]);
        second.copy_from_slice(&self.bytes[..second.len()]);
    }

    fn append(&mut self, data: &[u8]) {
        let at = self.place(self.used);
        let straight = data.len().min(self.bytes.len() - at);
        let (first, second) = data.split_at(straight);
        self.bytes[at..at + straight].copy_from_slice(first);
        self.bytes[..second.len()].copy_from_slice(second);
        self.used += data.len();
    }
}

#[cfg(test)]
mod tests {
    use super::{Popped, Ring};
    use std::collections::VecDeque;
    use std::vec::Vec;

    fn take(ring: &mut Ring) -> Option<(Vec<u8>, u32)> {
        let mut place = [0; 64];
        ring.pop(&mut place).map(|found| (place[..found.len].to_vec(), found.lost))
    }

    #[test]
    fn in_order_and_in_parts() {
        let mut ring = Ring::try_new(100).expect("memory");
        assert!(ring.is_empty() && ring.next_len().is_none() && take(&mut ring).is_none());
        ring.push(&[b"one ", b"record"], 0);
        ring.push(&[], 0);
        assert_eq!(ring.next_len(), Some(10));
        assert_eq!(ring.pop(&mut [0; 9]), None, "it does not fit, and stays");
        assert_eq!(take(&mut ring), Some((b"one record".to_vec(), 0)));
        assert_eq!(ring.pop(&mut []), Some(Popped { len: 0, lost: 0 }));
        assert!(ring.is_empty());
    }

    #[test]
    fn each_loss_is_said_by_the_next_that_is_there() {
        let mut ring = Ring::try_new(30).expect("memory");
        ring.push(&[&[7; 23]], 0);
        assert!(ring.is_empty(), "larger than the ring");
        ring.push(&[b"a"], 2);
        ring.push(&[b"b"], 0);
        ring.push(&[b"c"], 4);
        assert_eq!(take(&mut ring), Some((b"a".to_vec(), 3)));
        ring.push(&[b"d"], 0);
        ring.push(&[b"e"], 0);
        assert_eq!(take(&mut ring), Some((b"c".to_vec(), 1 + 4)));
        assert_eq!(take(&mut ring), Some((b"d".to_vec(), 0)));
    }

    #[test]
    fn against_a_simple_one() {
        let mut ring = Ring::try_new(61).expect("memory");
        let mut model: VecDeque<(Vec<u8>, u32)> = VecDeque::new();
        let (mut state, mut lost) = (12345u32, 0);
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (len, missed) = ((state >> 16) as usize % 25, (state >> 8) & 1);
            if state >> 30 == 0 {
                let wanted =
                    model.pop_front().map(|(data, n)| (data, n + core::mem::take(&mut lost)));
                assert_eq!(take(&mut ring), wanted);
                continue;
            }
            let data: Vec<u8> = (0..len).map(|n| (state >> (n % 24)) as u8).collect();
            ring.push(&[&data[..len / 2], &data[len / 2..]], missed);
            let used = |model: &VecDeque<(Vec<u8>, u32)>| -> usize {
                model.iter().map(|(data, _)| data.len() + 8).sum()
            };
            while used(&model) + len + 8 > 61 {
                lost += model.pop_front().map_or(0, |(_, n)| n + 1);
            }
            model.push_back((data, missed));
        }
    }
}
