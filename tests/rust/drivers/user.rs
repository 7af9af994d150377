//! User memory without `unsafe`, but for the step into another process at the end.
use core::mem::MaybeUninit;
use windows_kernel_rs::io::{
    Access, Device, DeviceOptions, Ioctl, IoctlCode, Method, Open, Operations, Read, Request,
    Transfer, Write,
};
use windows_kernel_rs::mem::user::UserReader;
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println, sys};
use zerocopy::FromBytes;

#[derive(FromBytes)]
#[repr(C)]
struct Range {
    address: u64,
    len: u64,
}

const ECHO: IoctlCode = IoctlCode::new(0x8000, 0x800, Method::Neither, Access::Any);
const TWICE: IoctlCode = IoctlCode::new(0x8000, 0x801, Method::Neither, Access::Any);
const PEEK: IoctlCode<Range> = IoctlCode::buffered(0x8000, 0x802, Access::Any);
const POKE: IoctlCode<Range> = IoctlCode::buffered(0x8000, 0x803, Access::Any);
const ADD: IoctlCode<[u32; 2], u32> = IoctlCode::new(0x8000, 0x804, Method::Neither, Access::Any);
const WHERE: IoctlCode = IoctlCode::new(0x8000, 0x805, Method::Neither, Access::Any);
const ELSEWHERE: IoctlCode = IoctlCode::new(0x8000, 0x806, Method::Neither, Access::Any);
const PAST_END: IoctlCode = IoctlCode::new(0x8000, 0x807, Method::Neither, Access::Any);

struct User;

fn echo(request: &mut Request<Ioctl>) -> Result<usize> {
    let (input, mut output) = request.user_buffers()?;
    let data = input.read_all()?;
    output.write(&data)?;
    Ok(data.len())
}

fn twice(request: &mut Request<Ioctl>) -> Result<usize> {
    request.user_input()?.read_all()?;
    request.user_input()?.read_all()?;
    Ok(0)
}

/// Reads a range piece by piece; how many bytes there were.
fn peek(request: &Request<Ioctl>, range: &Range) -> Result<usize> {
    let len = usize::try_from(range.len)?;
    let mut from = request.user_slice(range.address, len)?.reader();
    let mut sum = 0;
    let mut piece = [0; 4];
    while from.remaining() > 0 {
        let piece = &mut piece[..from.remaining().min(4)];
        from.read(piece).inspect_err(|_| println!("{} were there", len - from.remaining()))?;
        sum += piece.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    }
    println!("sum {sum}");
    Ok(0)
}

fn poke(request: &Request<Ioctl>, range: &Range) -> Result<usize> {
    let to = request.user_slice(range.address, usize::try_from(range.len)?)?;
    let (mut from, mut to) = to.reader_writer();
    let mut old = [0];
    from.read(&mut old)?;
    to.write(b"poke")?;
    println!("was {}", old[0]);
    Ok(0)
}

fn read_elsewhere(mut from: UserReader<'_>) -> Result<usize> {
    let mut state = MaybeUninit::<sys::KAPC_STATE>::zeroed();
    // SAFETY: the system process stays, and is detached from before the state goes.
    unsafe { sys::KeStackAttachProcess(sys::PsInitialSystemProcess, state.as_mut_ptr()) };
    let read = from.read(&mut [0; 4]);
    // SAFETY: the state is that of the attachment.
    unsafe { sys::KeUnstackDetachProcess(state.as_mut_ptr()) };
    println!("attached: {read:?}");
    from.read(&mut [0; 4]).map(|()| 0)
}

impl Operations for User {
    type Handle = ();
    const TRANSFER: Transfer = Transfer::Neither;

    fn create(&self, _: &Open<'_>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: &(), mut request: Request<Read>) {
        let mapped = request.output().map(|output| output.len());
        println!("mapped {mapped:?}");
        let written = request.user_output().and_then(|mut to| {
            to.skip(1)?;
            to.write(b"bcd")
        });
        request.complete(written.map(|()| 4));
    }

    fn write(&self, _: &(), mut request: Request<Write>) {
        let data = request.user_input().and_then(|from| from.read_all());
        let again = request.user_input().err();
        println!("{data:?} {again:?}");
        request.complete(data.map(|data| data.len()));
    }

    fn ioctl(&self, _: &(), request: Request<Ioctl>) {
        fn done(mut request: Request<Ioctl>, f: impl FnOnce(&mut Request<Ioctl>) -> Result<usize>) {
            let result = f(&mut request);
            request.complete(result);
        }
        request
            .route()
            .take(ECHO, |request| done(request, echo))
            .take(TWICE, |request| done(request, twice))
            .take(PEEK, |request| {
                done(request, |request| peek(request, &request.input_as()?));
            })
            .take(POKE, |request| {
                done(request, |request| poke(request, &request.input_as()?));
            })
            .answer(ADD, |[a, b]| a.checked_add(b).ok_or(Error::INTEGER_OVERFLOW))
            .take(WHERE, |request| {
                done(request, |request| {
                    let mut to = request.user_output()?;
                    let address = to.address();
                    to.write_value(&address)?;
                    Ok(8)
                });
            })
            .take(ELSEWHERE, |request| {
                done(request, |request| read_elsewhere(request.user_input()?));
            })
            .take(PAST_END, |request| {
                done(request, |request| {
                    let address = request.user_output()?.address() as u64;
                    let mut whole = [9; 64];
                    let read = request.user_slice(address, 64)?.reader().read(&mut whole);
                    println!("{read:?}, copied {}", whole.iter().filter(|&&byte| byte != 9).count());
                    peek(request, &Range { address, len: 64 })
                });
            })
            .end();
    }
}

struct Module {
    _device: Device<User>,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        Ok(Module { _device: Device::try_new(&driver, &DeviceOptions::named("User"), User)? })
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
