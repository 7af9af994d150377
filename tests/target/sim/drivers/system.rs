//! What a driver leaves with the system: extensions, callbacks, log entries. Each control code
//! does one thing; the answer is a number.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use windows_kernel_rs::println;
use windows_kernel_sys::*;

static mut DRIVER: *mut DRIVER_OBJECT = null_mut();
static mut DEVICE: *mut DEVICE_OBJECT = null_mut();
static mut RECORD: MaybeUninit<KBUGCHECK_CALLBACK_RECORD> = MaybeUninit::zeroed();
static mut REASON: MaybeUninit<KBUGCHECK_REASON_CALLBACK_RECORD> = MaybeUninit::zeroed();
static mut BUFFER: [u8; 16] = [7; 16];
static mut SEEN: [u8; 64] = [0; 64];

fn name(units: &mut [u16]) -> UNICODE_STRING {
    let size = (units.len() * 2) as u16;
    UNICODE_STRING { Length: size, MaximumLength: size, Buffer: units.as_mut_ptr() }
}

fn wide<const N: usize>(text: &str) -> [u16; N] {
    let mut units = [0; N];
    for (unit, byte) in units.iter_mut().zip(text.bytes()) {
        *unit = byte.into();
    }
    units
}

unsafe extern "system" fn again(driver: *mut DRIVER_OBJECT, context: *mut c_void, count: u32) {
    println!("reinitialization {count}, context {}", context as usize);
    if count < 3 {
        unsafe { IoRegisterDriverReinitialization(driver, Some(again), context.wrapping_add(1)) };
    }
}

unsafe extern "system" fn on_bugcheck(buffer: *mut c_void, length: u32) {
    let first = unsafe { *buffer.cast::<u8>() };
    println!("bug check callback: {length} bytes, the first is {first}, IRQL {}", unsafe {
        KeGetCurrentIrql()
    });
}

unsafe extern "system" fn on_reason(
    reason: KBUGCHECK_CALLBACK_REASON,
    record: *mut KBUGCHECK_REASON_CALLBACK_RECORD,
    data: *mut c_void,
    size: u32,
) {
    unsafe {
        let data = data.cast::<KBUGCHECK_SECONDARY_DUMP_DATA>();
        println!(
            "reason {}, {} bytes, room {}",
            reason == KbCallbackSecondaryDumpData && record == (&raw mut REASON).cast(),
            size as usize == size_of::<KBUGCHECK_SECONDARY_DUMP_DATA>(),
            (*data).MaximumAllowed
        );
        (*data).OutBuffer = (*data).InBuffer;
        (*data).OutBufferLength = 4;
    }
}

unsafe extern "system" fn on_print(output: *mut STRING, component: u32, level: u32) {
    unsafe {
        let length = ((*output).Length as usize).min(60);
        let seen = (&raw mut SEEN).cast::<u8>();
        seen.write(KeGetCurrentIrql());
        seen.add(1).write(component as u8);
        seen.add(2).write(level as u8);
        seen.add(3).write(length as u8);
        seen.add(4).copy_from((*output).Buffer.cast(), length);
        // What a callback prints is not given to it again.
        DbgPrintEx(77, 0, c"(callback)\n".as_ptr().cast());
    }
}

unsafe fn log(entry: u32) -> u64 {
    unsafe {
        let size = size_of::<IO_ERROR_LOG_PACKET>() as u8 + 8 + 12;
        if entry == 9 {
            return IoAllocateErrorLogEntry(DEVICE.cast(), 255) as u64;
        }
        let packet = IoAllocateErrorLogEntry(DEVICE.cast(), size).cast::<IO_ERROR_LOG_PACKET>();
        (*packet).ErrorCode = 0xC004_0007_u32 as i32;
        (*packet).FinalStatus = STATUS_DEVICE_NOT_READY;
        (*packet).UniqueErrorValue = 42;
        (*packet).DumpDataSize = 8;
        (&raw mut (*packet).DumpData).cast::<u64>().write_unaligned(0x0102);
        (*packet).NumberOfStrings = 1;
        (*packet).StringOffset = size_of::<IO_ERROR_LOG_PACKET>() as u16 + 8;
        let text = packet.cast::<u8>().add((*packet).StringOffset.into());
        text.cast::<[u16; 6]>().write_unaligned(wide::<6>("hello"));
        match entry {
            0 => IoWriteErrorLogEntry(packet.cast()),
            1 => IoFreeErrorLogEntry(packet.cast()),
            2 => {
                IoFreeErrorLogEntry(packet.cast());
                IoWriteErrorLogEntry(packet.cast());
            }
            _ => {}
        }
        0
    }
}

unsafe fn run(code: u32) -> u64 {
    unsafe {
        match code {
            0..10 => log(code),
            10 => {
                let key = (&raw mut DRIVER).cast();
                let (mut a, mut b) = (null_mut(), null_mut());
                let first = IoAllocateDriverObjectExtension(DRIVER, key, 24, &mut a);
                let second = IoAllocateDriverObjectExtension(DRIVER, key, 24, &mut b);
                let other = IoAllocateDriverObjectExtension(DRIVER, key.add(1), 24, &mut b);
                let found = IoGetDriverObjectExtension(DRIVER, key);
                println!("{first:x} {second:x} {other:x}");
                println!("{} {}", found == a, a != b && a.cast::<[u64; 3]>().read() == [0; 3]);
                IoGetDriverObjectExtension(DRIVER, key.add(2)) as u64
            }
            11 => {
                let (record, buffer) = ((&raw mut RECORD).cast(), (&raw mut BUFFER).cast());
                let name = c"test".as_ptr().cast();
                let set = KeRegisterBugCheckCallback(record, Some(on_bugcheck), buffer, 16, name);
                let twice = KeRegisterBugCheckCallback(record, Some(on_bugcheck), buffer, 16, name);
                let reason = (&raw mut REASON).cast();
                let why = KbCallbackSecondaryDumpData;
                let more = KeRegisterBugCheckReasonCallback(reason, Some(on_reason), why, name);
                u64::from(set) << 8 | u64::from(twice) << 4 | u64::from(more)
            }
            12 => {
                let gone = KeDeregisterBugCheckCallback((&raw mut RECORD).cast());
                let twice = KeDeregisterBugCheckCallback((&raw mut RECORD).cast());
                let more = KeDeregisterBugCheckReasonCallback((&raw mut REASON).cast());
                u64::from(gone) << 8 | u64::from(twice) << 4 | u64::from(more)
            }
            13 => {
                let set = DbgSetDebugPrintCallback(Some(on_print), 1) as u64;
                DbgPrintEx(77, 3, c"seen %d\n".as_ptr().cast(), 5);
                let twice = DbgSetDebugPrintCallback(Some(on_print), 1) as u32;
                println!("at {}", KeGetCurrentIrql());
                let off = DbgSetDebugPrintCallback(Some(on_print), 0) as u64;
                let both = DbgSetDebugPrintCallback(Some(on_print), 0) as u64;
                let gone = DbgSetDebugPrintCallback(Some(on_print), 0) as u32;
                DbgPrintEx(77, 3, c"unseen\n".as_ptr().cast());
                let seen = (&raw const SEEN).read();
                println!("{} {} {} {:?}", seen[0], seen[1], seen[2], &seen[4..8]);
                u64::from(twice) << 32 | u64::from(gone) | set | off | both
            }
            14 => {
                KeBugCheckEx(0xE2, 1, 2, 3, 4);
                0
            }
            15 => {
                let (mut low, mut high) = (0, 0);
                IoGetStackLimits(&mut low, &mut high);
                let here = &raw const low as usize;
                let inside = low <= here && here < high;
                println!("{inside} {:#x} {}", high - low, IoGetInitialStack() as usize == high);
                println!("mode {} {}", ExGetPreviousMode(), KeGetRecommendedSharedDataAlignment());
                u64::from(IoWithinStackLimits(here, 8)) << 4
                    | u64::from(IoWithinStackLimits(high - 4, 8))
            }
            16 => {
                let mut irql = 0xFF;
                IoAcquireVpbSpinLock(&mut irql);
                let inside = KeGetCurrentIrql();
                IoReleaseVpbSpinLock(irql);
                u64::from(inside) << 8 | u64::from(irql) << 4 | u64::from(KeGetCurrentIrql())
            }
            17 => {
                let thread = KeGetCurrentThread();
                IoSetDeviceToVerify(thread, DEVICE);
                let found = IoGetDeviceToVerify(thread) == DEVICE;
                let mut irp: IRP = core::mem::zeroed();
                IoSetDeviceToVerify(thread, null_mut());
                irp.Tail.Overlay.Thread = thread;
                let cleared = IoGetDeviceToVerify(thread).is_null();
                IoSetHardErrorOrVerifyDevice(&irp, DEVICE);
                let again = IoGetDeviceToVerify(thread) == DEVICE;
                u64::from(found) << 8 | u64::from(cleared) << 4 | u64::from(again)
            }
            18 => {
                let mut text = wide::<4>("disk");
                let text = name(&mut text);
                let thread = KeGetCurrentThread();
                let why = STATUS_DISK_FULL;
                let was = IoSetThreadHardErrorMode(0);
                let quiet = IoRaiseInformationalHardError(why, &text, thread);
                IoSetThreadHardErrorMode(1);
                let loud = IoRaiseInformationalHardError(why, &text, thread);
                u64::from(was) << 8 | u64::from(quiet) << 4 | u64::from(loud)
            }
            19 => {
                let known = IoGetConfigurationInformation();
                (*known).DiskCount += 3;
                (*IoGetConfigurationInformation()).DiskCount.into()
            }
            20 => {
                let status = IoRegisterFsRegistrationChange(DRIVER, Some(on_file_system));
                IoRegisterFileSystem(DEVICE);
                println!("registered");
                IoUnregisterFileSystem(DEVICE);
                IoUnregisterFsRegistrationChange(DRIVER, Some(on_file_system));
                IoRegisterFileSystem(DEVICE);
                IoUnregisterFileSystem(DEVICE);
                status as u64
            }
            21 => {
                DbgSetDebugPrintCallback(Some(on_print), 1);
                KeRegisterBugCheckCallback(
                    (&raw mut RECORD).cast(),
                    Some(on_bugcheck),
                    null_mut(),
                    0,
                    c"x".as_ptr().cast(),
                );
                0
            }
            _ => u64::MAX,
        }
    }
}

unsafe extern "system" fn on_file_system(device: *mut DEVICE_OBJECT, active: BOOLEAN) {
    println!("file system {} {active}", device == unsafe { DEVICE });
}

unsafe extern "system" fn dispatch(_: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let location = (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation;
        (*irp).IoStatus.Information = 0;
        if (*location).MajorFunction == IRP_MJ_DEVICE_CONTROL as u8 {
            let code = (*location).Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF;
            let answer = run(code - 0x800);
            (*irp).AssociatedIrp.SystemBuffer.cast::<u64>().write_unaligned(answer);
            (*irp).IoStatus.Information = 8;
        }
        (*irp).IoStatus.Anonymous.Status = 0;
        IofCompleteRequest(irp, 0);
    }
    0
}

unsafe extern "system" fn unload(_: *mut DRIVER_OBJECT) {
    unsafe {
        let mut link = wide::<18>("\\DosDevices\\System");
        IoDeleteSymbolicLink(&name(&mut link));
        IoDeleteDevice(DEVICE);
    }
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    _: *const UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        DRIVER = driver;
        (*driver).DriverUnload = Some(unload);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL] {
            (*driver).MajorFunction[major as usize] = Some(dispatch);
        }
        let mut device = wide::<14>("\\Device\\System");
        let mut link = wide::<18>("\\DosDevices\\System");
        let device = name(&mut device);
        let status = IoCreateDevice(driver, 0, &device, 8, 0, 0, &raw mut DEVICE);
        if status < 0 {
            return status;
        }
        IoCreateSymbolicLink(&name(&mut link), &device);
        IoRegisterDriverReinitialization(driver, Some(again), 10 as *mut c_void);
        println!("entry");
    }
    0
}
