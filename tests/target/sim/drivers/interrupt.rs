//! Service routines of two interrupts, one DPC. Each control code does one thing.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

static COUNT: AtomicU32 = AtomicU32::new(0);
static mut DEVICE: *mut DEVICE_OBJECT = null_mut();
static mut FIRST: PKINTERRUPT = 0;
static mut SECOND: PKINTERRUPT = 0;
static mut DPC: MaybeUninit<KDPC> = MaybeUninit::zeroed();

unsafe extern "system" fn service(interrupt: *mut isize, context: *mut c_void) -> BOOLEAN {
    COUNT.fetch_add(1, Ordering::SeqCst);
    unsafe {
        let irql = KeGetCurrentIrql();
        println!("service {} at {irql}, {}", context as usize, interrupt as isize == FIRST);
        KeInsertQueueDpc((&raw mut DPC).cast(), null(), null());
    }
    1
}

unsafe extern "system" fn not_mine(_: *mut isize, _: *mut c_void) -> BOOLEAN {
    println!("not mine");
    0
}

unsafe extern "system" fn deferred(
    _: *mut KDPC,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
) {
    println!("DPC at {}", unsafe { KeGetCurrentIrql() });
}

unsafe extern "system" fn together(context: *mut c_void) -> BOOLEAN {
    println!("synchronized at {}, {}", unsafe { KeGetCurrentIrql() }, context as usize);
    (context as usize == 3).into()
}

unsafe fn connect(
    at: *mut PKINTERRUPT,
    routine: unsafe extern "system" fn(*mut isize, *mut c_void) -> BOOLEAN,
    vector: u32,
    irql: u8,
    shared: u8,
) -> NTSTATUS {
    let context = 9 as *const c_void;
    unsafe {
        let run = Some(routine as _);
        IoConnectInterrupt(at, run, context, null(), vector, irql, irql, 0, shared, 3, 0)
    }
}

unsafe fn run(code: u32) -> u64 {
    unsafe {
        match code {
            0 => {
                let bad = connect(&raw mut FIRST, service, 0x51, 2, 0) as u32;
                let good = connect(&raw mut FIRST, service, 0x51, 5, 0);
                let taken = connect(&raw mut SECOND, service, 0x51, 5, 1) as u32;
                println!("{bad:x} {good:x} {taken:x}");
                0
            }
            1 => {
                let a = KeSynchronizeExecution(FIRST, Some(together), 3 as _);
                let b = KeSynchronizeExecution(FIRST, Some(together), 4 as _);
                let old = KeAcquireInterruptSpinLock(FIRST);
                let inside = KeGetCurrentIrql();
                KeReleaseInterruptSpinLock(FIRST, old);
                u64::from(a) << 12
                    | u64::from(b) << 8
                    | u64::from(inside) << 4
                    | u64::from(KeGetCurrentIrql())
            }
            2 => {
                IoDisconnectInterrupt(FIRST);
                0
            }
            3 => {
                // Waits for the interrupt in a loop, as a driver must not.
                let before = COUNT.load(Ordering::SeqCst);
                while COUNT.load(Ordering::SeqCst) == before {
                    core::hint::spin_loop();
                }
                println!("seen");
                0
            }
            4 => {
                // Held off while the processors are at or above its IRQL.
                let old = KfRaiseIrql(6);
                for _ in 0..50 {
                    KeStallExecutionProcessor(10);
                }
                println!("still at {}", KeGetCurrentIrql());
                KeLowerIrql(old);
                0
            }
            5 => {
                let mut parameters: IO_CONNECT_INTERRUPT_PARAMETERS = core::mem::zeroed();
                parameters.Version = CONNECT_FULLY_SPECIFIED;
                let full = &mut parameters.Anonymous.FullySpecified;
                full.PhysicalDeviceObject = DEVICE;
                full.InterruptObject = &raw mut FIRST;
                full.ServiceRoutine = Some(not_mine);
                full.SynchronizeIrql = 4;
                full.ShareVector = 1;
                full.Vector = 0x41;
                full.Irql = 4;
                full.ProcessorEnableMask = 1;
                let first = IoConnectInterruptEx(&mut parameters);
                let second = connect(&raw mut SECOND, service, 0x41, 4, 1);
                parameters.Version = CONNECT_MESSAGE_BASED;
                let none = IoConnectInterruptEx(&mut parameters) as u32;
                println!("{first:x} {second:x} {none:x}");
                0
            }
            6 => {
                let mut parameters: IO_DISCONNECT_INTERRUPT_PARAMETERS = core::mem::zeroed();
                parameters.Version = CONNECT_FULLY_SPECIFIED;
                for object in [FIRST, SECOND] {
                    parameters.ConnectionContext.InterruptObject = object;
                    IoDisconnectInterruptEx(&parameters);
                }
                0
            }
            _ => u64::MAX,
        }
    }
}

unsafe extern "system" fn dispatch(_: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = &*(*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation;
        (*irp).IoStatus.Information = 0;
        if u32::from(here.MajorFunction) == IRP_MJ_DEVICE_CONTROL {
            let code = here.Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF;
            let answer = run(code - 0x800);
            (*irp).AssociatedIrp.SystemBuffer.cast::<u64>().write_unaligned(answer);
            (*irp).IoStatus.Information = 8;
        }
        (*irp).IoStatus.Anonymous.Status = 0;
        IofCompleteRequest(irp, 0);
    }
    0
}

fn name(units: &mut [u16], text: &str) -> UNICODE_STRING {
    for (unit, byte) in units.iter_mut().zip(text.bytes()) {
        *unit = byte.into();
    }
    let size = (text.len() * 2) as u16;
    UNICODE_STRING { Length: size, MaximumLength: size, Buffer: units.as_mut_ptr() }
}

unsafe extern "system" fn unload(_: *mut DRIVER_OBJECT) {
    let mut link = [0; 32];
    unsafe {
        IoDeleteSymbolicLink(&name(&mut link, "\\DosDevices\\Interrupt"));
        IoDeleteDevice(DEVICE);
    }
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    _: *const UNICODE_STRING,
) -> NTSTATUS {
    let (mut device, mut link) = ([0; 32], [0; 32]);
    unsafe {
        (*driver).DriverUnload = Some(unload);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL] {
            (*driver).MajorFunction[major as usize] = Some(dispatch);
        }
        let device = name(&mut device, "\\Device\\Interrupt");
        IoCreateDevice(driver, 0, &device, FILE_DEVICE_UNKNOWN, 0, 0, &raw mut DEVICE);
        IoCreateSymbolicLink(&name(&mut link, "\\DosDevices\\Interrupt"), &device);
        KeInitializeDpc((&raw mut DPC).cast(), Some(deferred), null());
    }
    0
}
