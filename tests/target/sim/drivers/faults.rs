//! Goes wrong in the way that it is told: by a control code whose input is the fault's name,
//! or in DriverEntry where the service is called `entry_` and that name.
//!
//! `// @name` marks the line that a call stack has to show for it.

use core::arch::asm;
use core::ptr::{addr_of_mut, null_mut};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

const TAG: u32 = u32::from_le_bytes(*b"Test");
const OTHER_TAG: u32 = u32::from_le_bytes(*b"Else");
/// Where nothing ever is.
const NOWHERE: u64 = 0xFFFF_C123_4567_8000;

static CONSTANT: [u64; 2] = [1, 2];
static mut VARIABLE: [u8; 16] = [0xC3; 16];

fn name(text: &'static [u16]) -> UNICODE_STRING {
    let size = (text.len() * 2) as u16;
    UNICODE_STRING { Length: size, MaximumLength: size, Buffer: text.as_ptr().cast_mut() }
}

static DEVICE: [u16; 14] = wide(b"\\Device\\Faults");
static LINK: [u16; 10] = wide(b"\\??\\Faults");

const fn wide<const N: usize>(text: &[u8; N]) -> [u16; N] {
    let mut out = [0; N];
    let mut at = 0;
    while at < N {
        out[at] = text[at] as u16;
        at += 1;
    }
    out
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        let path = core::slice::from_raw_parts((*path).Buffer, (*path).Length as usize / 2);
        let service = path.rsplit(|unit| *unit == b'\\' as u16).next().unwrap_or(path);
        let mut fault = [0_u8; 64];
        for (byte, unit) in fault.iter_mut().zip(service) {
            *byte = *unit as u8;
        }
        if let Some(rest) = fault[..service.len().min(64)].strip_prefix(b"entry_") {
            go_wrong(rest);
        }
        (*driver).DriverUnload = Some(unload);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL] {
            (*driver).MajorFunction[major as usize] = Some(dispatch);
        }
        let mut device = null_mut();
        let (name, link) = (name(&DEVICE), name(&LINK));
        let status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, 0, &mut device);
        if status < 0 {
            return status;
        }
        (*device).Flags |= DO_BUFFERED_IO;
        IoCreateSymbolicLink(&link, &name)
    }
}

unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        let _ = IoDeleteSymbolicLink(&name(&LINK));
        IoDeleteDevice((*driver).DeviceObject);
    }
}

unsafe extern "system" fn dispatch(_: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = IoGetCurrentIrpStackLocation(irp);
        if (*here).MajorFunction == IRP_MJ_DEVICE_CONTROL as u8 {
            let size = (*here).Parameters.DeviceIoControl.InputBufferLength as usize;
            let data = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
            go_wrong(if size == 0 { b"" } else { core::slice::from_raw_parts(data, size) });
        }
        (*irp).IoStatus.Information = 0;
        (*irp).IoStatus.Anonymous.Status = STATUS_SUCCESS;
        IoCompleteRequest(irp, 0);
    }
    STATUS_SUCCESS
}

/// Keeps the call before it from becoming a jump, which would leave no frame behind.
#[inline(always)]
fn stay() {
    unsafe { asm!("") }
}

#[allow(unconditional_recursion)]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 16]); // @stack_overflow
    recurse(depth + 1) + room[3]
}

#[inline(never)]
unsafe fn read(at: u64) {
    unsafe { asm!("mov {0}, [{0}]", inout(reg) at => _) } // @read
}

#[inline(never)]
unsafe fn write(at: u64) {
    unsafe { asm!("mov byte ptr [{0}], 5", in(reg) at) } // @write
}

#[inline(never)]
unsafe fn jump(to: u64) {
    unsafe { asm!("call {0}", in(reg) to, clobber_abi("system")) } // @jump
}

#[inline(never)]
unsafe fn divide(by: u32) {
    unsafe { asm!("xor edx, edx", "div {0:e}", in(reg) by, inout("eax") 1 => _, out("edx") _) } // @divide
}

#[inline(never)]
unsafe fn breakpoint() {
    unsafe { asm!("int3") } // @breakpoint
    stay();
}

#[inline(never)]
unsafe fn invalid_opcode() {
    unsafe { asm!("ud2") } // @invalid_opcode
}

#[inline(never)]
unsafe fn fast_fail(code: u32) {
    unsafe { asm!("int 0x29", in("ecx") code) } // @fast_fail
}

#[inline(never)]
unsafe fn kernel_reads(at: u64) {
    let mut text = UNICODE_STRING::default();
    unsafe { RtlInitUnicodeString(&mut text, at as *const u16) } // @kernel_reads
    stay();
}

#[inline(never)]
unsafe fn bug_check() {
    unsafe { KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, usize::MAX) } // @bug_check
    stay();
}

#[inline(never)]
unsafe fn spin() {
    loop {
        unsafe { asm!("pause") } // @spin
    }
}

#[inline(never)]
unsafe fn print_for_ever() {
    loop {
        println!("round and round"); // @print_for_ever
    }
}

#[inline(never)]
unsafe fn halt() {
    unsafe { asm!("hlt") } // @halt
}

#[inline(never)]
unsafe fn allocate(size: usize) -> u64 {
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size, TAG) } as u64; // @allocate
    println!("{block:#x}");
    block
}

#[inline(never)]
unsafe fn free(at: u64, tag: u32) {
    unsafe { ExFreePoolWithTag(at as *mut _, tag) } // @free
    stay();
}

unsafe fn raise() {
    let _ = unsafe { KeRaiseIrql(DISPATCH_LEVEL as u8) };
}

unsafe fn go_wrong(fault: &[u8]) {
    unsafe {
        match fault {
            b"null_read" => read(0),
            b"null_write" => write(0),
            b"null_jump" => jump(0),
            b"user_read" => read(0x1234_5000),
            b"wild_read" => read(NOWHERE),
            b"wild_write" => write(NOWHERE),
            b"wild_jump" => jump(NOWHERE),
            b"non_canonical" => read(0x8000_0000_0000_0000),
            b"write_rdata" => {
                println!("{:#x}", CONSTANT.as_ptr() as u64);
                write(CONSTANT.as_ptr() as u64);
            }
            b"execute_data" => {
                println!("{:#x}", addr_of_mut!(VARIABLE) as u64);
                jump(addr_of_mut!(VARIABLE) as u64);
            }
            b"execute_pool" => jump(allocate(16)),
            b"stack_overflow" => println!("{}", recurse(0)),
            b"divide_by_zero" => divide(0),
            b"breakpoint" => breakpoint(),
            b"invalid_opcode" => invalid_opcode(),
            b"fast_fail" => fast_fail(3),
            b"raised_read" => {
                raise();
                read(0x48);
            }
            b"raised_write" => {
                raise();
                write(NOWHERE);
            }
            b"raised_jump" => {
                raise();
                jump(0);
            }
            b"raised_in_kernel" => {
                raise();
                kernel_reads(NOWHERE);
            }
            b"wild_in_kernel" => kernel_reads(NOWHERE),
            b"overrun_read" => read(allocate(32) + 32),
            b"overrun_write" => write(allocate(32) + 32),
            b"overrun_slack" => {
                let block = allocate(30);
                write(block + 30);
                free(block, TAG);
            }
            b"read_after_free" => {
                let block = allocate(64);
                free(block, TAG);
                read(block + 8);
            }
            b"write_after_free" => {
                let block = allocate(64);
                free(block, TAG);
                write(block + 8);
            }
            b"double_free" => {
                let block = allocate(64);
                free(block, TAG);
                free(block, TAG);
            }
            b"wrong_tag" => free(allocate(64), OTHER_TAG),
            b"wild_free" => free(NOWHERE, TAG),
            b"inner_free" => free(allocate(64) + 16, TAG),
            b"bug_check" => bug_check(),
            b"spin" => spin(),
            b"spin_at_dispatch" => {
                raise();
                spin();
            }
            b"print_for_ever" => print_for_ever(),
            b"halt" => halt(),
            b"work" => {
                for step in 0..60_000_000_u64 {
                    core::hint::black_box(step);
                }
            }
            b"leak" => println!("{}", allocate(100)),
            _ => println!("nothing to do"),
        }
        stay();
    }
}
