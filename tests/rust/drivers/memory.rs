#![forbid(unsafe_code)]
//! Collections, pools, lists of free blocks, page lists, contiguous memory.
extern crate alloc;
use core::sync::atomic::{AtomicUsize, Ordering};
use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::mem::{
    Contiguous, Lookaside, Mdl, NonPaged, PagedBox, PhysicalAddress, PoolBox, Tag,
};
use windows_kernel_rs::prelude::*;

const TAG: Tag = Tag::new(b"Lab1");
static DROPS: AtomicUsize = AtomicUsize::new(0);

struct Counted(u32);

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

fn collections() -> Result<()> {
    let _raised = irql::raise(Irql::DISPATCH);
    let mut numbers = Vec::try_from_slice(&[1u32, 2, 3])?;
    numbers.try_push(4)?;
    numbers.try_extend(5..8)?;
    numbers.try_insert(0, 0)?;
    let text = try_format!("{numbers:?} and {}", "more")?;
    println!("{text}");
    println!("{:?}", Vec::<u64>::try_with_room(1 << 50).err());
    let mut name = String::try_from_str("a")?;
    name.try_push('b')?;
    println!("{name} {:?}", numbers.try_resize(usize::MAX, 0).err());
    Ok(())
}

fn pools() -> Result<()> {
    let mut table = PagedBox::try_filled(5000, 7u32, TAG)?;
    table[4999] = 1;
    println!("{} {}", table.len(), table.iter().map(|&each| u64::from(each)).sum::<u64>());
    let counted = PagedBox::try_new(Counted(3), TAG)?;
    println!("{} dropped {}", counted.0, DROPS.load(Ordering::Relaxed));
    drop(counted);
    println!("dropped {}", DROPS.swap(0, Ordering::Relaxed));
    let nothing = PagedBox::try_filled(0, 1u8, TAG)?;
    let none = PagedBox::try_new((), TAG)?;
    println!("{} {:?} {:?}", nothing.len(), *none, none.tag() == TAG);
    let copy = PoolBox::<[u8], NonPaged>::try_from_slice(b"copied", Tag::RUST)?;
    let _raised = irql::raise(Irql::DISPATCH);
    println!("{:?}", core::str::from_utf8(&copy).ok());
    println!("{:?}", PoolBox::<_, NonPaged>::try_filled(1 << 60, 0u64, TAG).err());
    Ok(())
}

fn lists() -> Result<()> {
    let list = Lookaside::try_new(TAG)?;
    let _raised = irql::raise(Irql::DISPATCH);
    let first = list.alloc(Counted(1))?;
    let mut second = list.alloc(Counted(2))?;
    second.0 = 3;
    println!("{}", first.0 + second.0);
    let place = core::ptr::from_ref(&*first).addr();
    drop(first);
    let again = list.alloc(Counted(5))?;
    println!("the same block: {}", core::ptr::from_ref(&*again).addr() == place);
    let mut many = Vec::new();
    for number in 0..20 {
        many.try_push(list.alloc(Counted(number))?)?;
    }
    println!("{}", many.iter().map(|each| each.0).sum::<u32>());
    drop(many);
    drop((second, again));
    println!("dropped {}", DROPS.swap(0, Ordering::Relaxed));
    Ok(())
}

fn pages() -> Result<()> {
    let mut buffer = PoolBox::<_, NonPaged>::try_filled(10_000, 0u8, TAG)?;
    buffer[0] = 9;
    let first = PhysicalAddress::of(&buffer[0]);
    let mdl = Mdl::try_new(buffer)?;
    let page = mdl.pages().next().map(PhysicalAddress::as_u64);
    println!("{} bytes, {} pages", mdl.len(), mdl.pages().len());
    println!("{:?}", first.map(|first| Some(first.as_u64() & !0xFFF) == page));
    let buffer = mdl.into_buffer();
    println!("{} {}", buffer[0], buffer.len());
    drop(Mdl::try_new(buffer)?);
    let empty = PoolBox::<_, NonPaged>::try_filled(0, 0u8, TAG)?;
    println!("{:?}", Mdl::try_new(empty).err());
    Ok(())
}

fn contiguous() -> Result<()> {
    let mut ring = Contiguous::try_new(3 * 4096, PhysicalAddress::MAX_32)?;
    ring.write_at(4094, b"text")?;
    let mut back = [0; 6];
    ring.read_at(4093, &mut back)?;
    println!("{back:?} {}", ring.physical() < PhysicalAddress::MAX_32);
    println!("{:?} {:?}", ring.write_at(3 * 4096, b"x"), ring.read_at(usize::MAX, &mut back));
    println!("{:?}", Contiguous::try_new(0, PhysicalAddress::MAX).err());
    Ok(())
}

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> {
        collections()?;
        pools()?;
        lists()?;
        pages()?;
        contiguous()?;
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
