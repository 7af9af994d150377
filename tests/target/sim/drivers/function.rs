//! A WDM function driver: AddDevice, PnP, power, a device interface, PnP notifications. A few
//! words in the description of its device (IRP_MN_QUERY_DEVICE_TEXT) make it do things wrong.

#![allow(non_upper_case_globals)] // constants of the WDK in patterns

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

const TAG: u32 = u32::from_le_bytes(*b"Func");

struct Extension {
    pdo: *mut DEVICE_OBJECT,
    lower: *mut DEVICE_OBJECT,
    interface: UNICODE_STRING,
    alias: UNICODE_STRING,
    child: *mut DEVICE_OBJECT,
    children: bool,
    veto: bool,
    fail: bool,
    stay: bool,
    gone: bool,
    state: usize,
}

static mut DRIVER: *mut DRIVER_OBJECT = null_mut();
static mut ENTRY: *mut c_void = null_mut();
static mut TARGET: *mut c_void = null_mut();
static mut FILE: *mut FILE_OBJECT = null_mut();
static mut TARGET_DEVICE: *mut DEVICE_OBJECT = null_mut();

static CLASS: GUID = GUID {
    data1: 0x1234_5678,
    data2: 0x1111,
    data3: 0x2222,
    data4: [1, 2, 3, 4, 5, 6, 7, 8],
};
static ALIAS: GUID = GUID { data1: 0x8765_4321, data2: 0x1111, data3: 0x2222, data4: [0; 8] };
static EVENT: GUID = GUID { data1: 0xE, data2: 0x1111, data3: 0x2222, data4: [0; 8] };

unsafe fn extension(device: *mut DEVICE_OBJECT) -> &'static mut Extension {
    unsafe { &mut *(*device).DeviceExtension.cast::<Extension>() }
}

unsafe fn location(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    unsafe { (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation }
}

unsafe fn finish(irp: *mut IRP, status: NTSTATUS) -> NTSTATUS {
    unsafe {
        (*irp).IoStatus.Anonymous.Status = status;
        IofCompleteRequest(irp, 0);
    }
    status
}

unsafe fn skip(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        (*irp).CurrentLocation += 1;
        (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation = location(irp).add(1);
        IofCallDriver(extension(device).lower, irp)
    }
}

unsafe extern "system" fn wake(_: *mut DEVICE_OBJECT, _: *mut IRP, event: *mut c_void) -> NTSTATUS {
    unsafe { KeSetEvent(event.cast(), 0, 0) };
    STATUS_MORE_PROCESSING_REQUIRED
}

/// Send the IRP down and wait until the lower drivers are done with it.
unsafe fn forward(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let mut event = MaybeUninit::<KEVENT>::uninit();
        KeInitializeEvent(event.as_mut_ptr(), 0, 0);
        let here = location(irp);
        let next = here.sub(1);
        next.write(here.read());
        (*next).CompletionRoutine = Some(wake);
        (*next).Context = event.as_mut_ptr().cast();
        (*next).Control = (SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL) as u8;
        if IofCallDriver(extension(device).lower, irp) == STATUS_PENDING {
            KeWaitForSingleObject(event.as_mut_ptr().cast(), 0, 0, 0, null());
        }
        (*irp).IoStatus.Anonymous.Status
    }
}

/// What its device's description holds.
unsafe fn told(pdo: *mut DEVICE_OBJECT, word: &str) -> bool {
    unsafe {
        let mut text = [0_u16; 128];
        let mut size = 0;
        let kind = DevicePropertyDeviceDescription;
        let at = text.as_mut_ptr().cast();
        if IoGetDeviceProperty(pdo, kind, 256, at, &mut size) < 0 {
            return false;
        }
        let length = size as usize / 2;
        text[..length].windows(word.len()).any(|part| part.iter().copied().eq(word.encode_utf16()))
    }
}

unsafe extern "system" fn add_device(
    driver: *mut DRIVER_OBJECT,
    pdo: *mut DEVICE_OBJECT,
) -> NTSTATUS {
    unsafe {
        if told(pdo, "refuse") {
            return STATUS_UNSUCCESSFUL;
        }
        let mut device = null_mut();
        let size = size_of::<Extension>() as u32;
        let status = IoCreateDevice(driver, size, null(), FILE_DEVICE_UNKNOWN, 0, 0, &mut device);
        if status < 0 {
            return status;
        }
        let own = extension(device);
        own.pdo = pdo;
        own.children = told(pdo, "bus");
        own.veto = told(pdo, "veto");
        own.fail = told(pdo, "fail");
        own.stay = told(pdo, "stay");
        own.lower = IoAttachDeviceToDeviceStack(device, pdo);
        let registered = IoRegisterDeviceInterface(pdo, &CLASS, null(), &mut own.interface);
        let alias = IoRegisterDeviceInterface(pdo, &ALIAS, null(), &mut own.alias);
        println!("add {} {registered:x} {alias:x}", own.lower == pdo);
        if !told(pdo, "initializing") {
            (*device).Flags &= !DO_DEVICE_INITIALIZING;
        }
        (*device).Flags |= DO_BUFFERED_IO | DO_POWER_PAGABLE;
    }
    0
}

unsafe fn relations(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    unsafe {
        let own = extension(device);
        let list = ExAllocatePool2(POOL_FLAG_PAGED, 16, TAG).cast::<DEVICE_RELATIONS>();
        if own.gone {
            own.child = null_mut(); // deleted when it is removed
        } else {
            if own.child.is_null() {
                let size = size_of::<Extension>() as u32;
                let kind = FILE_DEVICE_UNKNOWN;
                IoCreateDevice(DRIVER, size, null(), kind, 0x80, 0, &raw mut own.child);
                (*own.child).Flags &= !DO_DEVICE_INITIALIZING;
            }
            ObfReferenceObject(own.child.cast());
            (*list).Count = 1;
            (*list).Objects[0] = own.child;
        }
        (*irp).IoStatus.Information = list as usize;
        (*irp).IoStatus.Anonymous.Status = 0;
    }
}

/// The PDO of the child that this driver reports as a bus.
unsafe fn child_pnp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = location(irp);
        let minor = u32::from((*here).MinorFunction);
        println!("child {minor:#x}");
        match minor {
            IRP_MN_QUERY_ID => {
                let text = match (*here).Parameters.QueryId.IdType {
                    BusQueryDeviceID => "FUNC\\CHILD\0",
                    BusQueryHardwareIDs => "FUNC\\CHILD1\0FUNC\\CHILD\0\0",
                    BusQueryInstanceID => "7\0",
                    _ => return finish(irp, (*irp).IoStatus.Anonymous.Status),
                };
                let room = ExAllocatePool2(POOL_FLAG_PAGED, 2 * text.len(), TAG).cast::<u16>();
                for (at, unit) in text.encode_utf16().enumerate() {
                    room.add(at).write(unit);
                }
                (*irp).IoStatus.Information = room as usize;
                finish(irp, 0)
            }
            IRP_MN_REMOVE_DEVICE => {
                let status = finish(irp, 0);
                IoDeleteDevice(device);
                status
            }
            _ => finish(irp, 0),
        }
    }
}

unsafe extern "system" fn pnp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let own = extension(device);
        if own.lower.is_null() {
            return child_pnp(device, irp);
        }
        let here = location(irp);
        let minor = u32::from((*here).MinorFunction);
        let initial = (*irp).IoStatus.Anonymous.Status;
        println!("pnp {minor:#x} {initial:x}");
        match minor {
            IRP_MN_START_DEVICE => {
                let list = (*here).Parameters.StartDevice.AllocatedResourcesTranslated;
                if !list.is_null() {
                    let part = &(*list).List[0].PartialResourceList;
                    let first = &part.PartialDescriptors[0];
                    let (kind, start) = (first.Type, first.u.Generic.Start);
                    println!("{} resources, the first is {kind} at {start:#x}", part.Count);
                }
                let status = forward(device, irp);
                if status < 0 || own.fail {
                    return finish(irp, STATUS_DEVICE_CONFIGURATION_ERROR);
                }
                let old = PoSetPowerState(device, DevicePowerState, POWER_STATE { DeviceState: 1 });
                let set = IoSetDeviceInterfaceState(&own.interface, 1);
                let twice = IoSetDeviceInterfaceState(&own.interface, 1);
                println!("started {} {set:x} {twice:x}", old.DeviceState);
                return finish(irp, 0);
            }
            IRP_MN_QUERY_REMOVE_DEVICE | IRP_MN_QUERY_STOP_DEVICE if own.veto => {
                return finish(irp, STATUS_UNSUCCESSFUL);
            }
            IRP_MN_STOP_DEVICE if told(own.pdo, "stubborn") => {
                return finish(irp, STATUS_UNSUCCESSFUL);
            }
            IRP_MN_QUERY_PNP_DEVICE_STATE => {
                (*irp).IoStatus.Information |= own.state;
            }
            IRP_MN_QUERY_DEVICE_RELATIONS
                if own.children && (*here).Parameters.QueryDeviceRelations.Type == 0 =>
            {
                relations(device, irp);
                return skip(device, irp);
            }
            IRP_MN_SURPRISE_REMOVAL => {
                IoSetDeviceInterfaceState(&own.interface, 0);
            }
            IRP_MN_REMOVE_DEVICE => {
                if !told(own.pdo, "forget") {
                    IoSetDeviceInterfaceState(&own.interface, 0);
                }
                RtlFreeUnicodeString(&mut own.interface);
                RtlFreeUnicodeString(&mut own.alias);
                (*irp).IoStatus.Anonymous.Status = 0;
                let (lower, stay) = (own.lower, own.stay);
                let status = skip(device, irp);
                if !stay {
                    IoDetachDevice(lower);
                    IoDeleteDevice(device);
                }
                return status;
            }
            IRP_MN_STOP_DEVICE | IRP_MN_CANCEL_REMOVE_DEVICE | IRP_MN_CANCEL_STOP_DEVICE => {}
            _ => return skip(device, irp),
        }
        (*irp).IoStatus.Anonymous.Status = 0;
        skip(device, irp)
    }
}

unsafe extern "system" fn powered(
    device: *mut DEVICE_OBJECT,
    minor: u8,
    state: POWER_STATE,
    context: *mut c_void,
    status: *mut IO_STATUS_BLOCK,
) {
    unsafe {
        let done = (*status).Anonymous.Status;
        println!("powered {minor} D{} {done:x}", state.DeviceState - 1);
        PoSetPowerState(device, DevicePowerState, state);
        // The system IRP that this was for goes on.
        let system = context.cast::<IRP>();
        PoStartNextPowerIrp(system);
        (*system).IoStatus.Anonymous.Status = 0;
        skip(device, system);
    }
}

unsafe extern "system" fn power(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let own = extension(device);
        let here = location(irp);
        let parameters = &(*here).Parameters.Power;
        let (minor, kind) = ((*here).MinorFunction, parameters.Type);
        println!("power {minor} {} {}", kind, parameters.State.DeviceState);
        if u32::from(minor) == IRP_MN_QUERY_POWER && own.veto {
            return finish(irp, STATUS_DEVICE_BUSY);
        }
        if u32::from(minor) == IRP_MN_SET_POWER && kind == SystemPowerState {
            let working = parameters.State.SystemState == 1;
            (*here).Control |= SL_PENDING_RETURNED as u8;
            let state = POWER_STATE { DeviceState: if working { 1 } else { 4 } };
            let bad = PoRequestPowerIrp(own.pdo, 9, state, None, null(), null_mut());
            let set = IRP_MN_SET_POWER as u8;
            let sent = PoRequestPowerIrp(device, set, state, Some(powered), irp.cast(), null_mut());
            println!("requested {bad:x} {sent:x}");
            return STATUS_PENDING;
        }
        PoStartNextPowerIrp(irp);
        (*irp).CurrentLocation += 1;
        (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation = here.add(1);
        PoCallDriver(own.lower, irp)
    }
}

unsafe extern "system" fn interface_changed(data: *mut c_void, context: *mut c_void) -> NTSTATUS {
    unsafe {
        let change = data.cast::<DEVICE_INTERFACE_CHANGE_NOTIFICATION>();
        let name = &*(*change).SymbolicLinkName;
        let arrived = (*change).Event.data1 & 1 == 0;
        let mine = (*change).InterfaceClassGuid.data1 == CLASS.data1;
        let units = name.Length / 2;
        println!("interface arrived={arrived} {mine} {units} {}", context as usize);
    }
    0
}

unsafe extern "system" fn target_changed(data: *mut c_void, _: *mut c_void) -> NTSTATUS {
    unsafe {
        let change = data.cast::<TARGET_DEVICE_CUSTOM_NOTIFICATION>();
        let event = (*change).Event.data1;
        println!("target {event:x} {}", (*change).FileObject == FILE);
        if event == EVENT.data1 {
            let custom = &raw const (*change).CustomDataBuffer;
            println!("custom {}", custom.cast::<u8>().read());
        }
    }
    0
}

unsafe extern "system" fn told_all(context: *mut c_void) {
    println!("all were told, {}", context as usize);
}

unsafe fn control(device: *mut DEVICE_OBJECT, code: u32, file: *mut FILE_OBJECT) -> u64 {
    unsafe {
        let own = extension(device);
        match code {
            0 => {
                let category = EventCategoryDeviceInterfaceChange;
                let data = (&raw const CLASS).cast();
                let call = Some(interface_changed as _);
                let at = &raw mut ENTRY;
                IoRegisterPlugPlayNotification(category, 1, data, DRIVER, call, 5 as _, at) as u64
            }
            1 => IoUnregisterPlugPlayNotificationEx(ENTRY) as u64,
            2 => {
                FILE = file;
                TARGET_DEVICE = device;
                let category = EventCategoryTargetDeviceChange;
                let call = Some(target_changed as _);
                let at = &raw mut TARGET;
                let data = file.cast::<c_void>().cast_const();
                IoRegisterPlugPlayNotification(category, 0, data, DRIVER, call, null_mut(), at)
                    as u64
            }
            3 | 4 => {
                let mut event: TARGET_DEVICE_CUSTOM_NOTIFICATION = core::mem::zeroed();
                event.Version = 1;
                event.Size = size_of::<TARGET_DEVICE_CUSTOM_NOTIFICATION>() as u16;
                event.Event = EVENT;
                event.NameBufferOffset = -1;
                event.CustomDataBuffer[0] = 99;
                let data = (&raw const event).cast();
                if code == 3 {
                    IoReportTargetDeviceChange(own.pdo, data) as u64
                } else {
                    let call = Some(told_all as _);
                    IoReportTargetDeviceChangeAsynchronous(own.pdo, data, call, 6 as _) as u64
                }
            }
            5 => IoUnregisterPlugPlayNotification(TARGET) as u64,
            6 => {
                let mut list: PWSTR = null_mut();
                let status = IoGetDeviceInterfaces(&CLASS, null(), 0, &mut list);
                let mut length = 0;
                while *list.add(length) != 0 {
                    length += 1;
                }
                let empty = *list.add(length + 1);
                let same = length == usize::from(own.interface.Length) / 2;
                ExFreePoolWithTag(list.cast(), 0);
                let mut other = UNICODE_STRING::default();
                let found = IoGetDeviceInterfaceAlias(&own.interface, &ALIAS, &mut other);
                let alias = other.Length == own.alias.Length;
                RtlFreeUnicodeString(&mut other);
                println!("{status:x} {same} {empty} {found:x} {alias}");
                let none = IoGetDeviceInterfaceAlias(&own.interface, &EVENT, &mut other);
                none as u64
            }
            7 => {
                own.gone = !own.gone;
                IoInvalidateDeviceRelations(own.pdo, BusRelations);
                0
            }
            8 => {
                own.state = PNP_DEVICE_FAILED as usize;
                IoInvalidateDeviceState(own.pdo);
                0
            }
            9 => {
                let key = DEVPROPKEY { fmtid: CLASS, pid: 4 };
                let (mut size, mut kind, mut value) = (0, 0, 0_u32);
                let pdo = own.pdo;
                let at = (&raw mut value).cast();
                let none = IoGetDevicePropertyData(pdo, &key, 0, 0, 4, at, &mut size, &mut kind);
                let tag = TAG;
                let data = (&raw const tag).cast();
                let set = IoSetDevicePropertyData(pdo, &key, 0, 0, 7, 4, data);
                let small = IoGetDevicePropertyData(pdo, &key, 0, 0, 2, at, &mut size, &mut kind);
                let got = IoGetDevicePropertyData(pdo, &key, 0, 0, 4, at, &mut size, &mut kind);
                println!("{none:x} {set:x} {small:x} {got:x} {size} {kind} {}", value == TAG);
                IoSetDevicePropertyData(pdo, &key, 0, 0, 7, 0, null()) as u64
            }
            10 => {
                let mut text = [0_u16; 64];
                let mut size = 0;
                let at = text.as_mut_ptr().cast::<c_void>();
                let kind = DevicePropertyHardwareID;
                let small = IoGetDeviceProperty(own.pdo, kind, 2, at, &mut size);
                let got = IoGetDeviceProperty(own.pdo, kind, 128, at, &mut size);
                let none = DevicePropertyFriendlyName;
                let missing = IoGetDeviceProperty(own.pdo, none, 128, at, &mut size);
                println!("{small:x} {got:x} {missing:x} {}", text[0] as u8 as char);
                0
            }
            11 => {
                IoRequestDeviceEject(own.pdo);
                0
            }
            12 => {
                let mut size = 0;
                IoGetDeviceProperty(device, 0, 0, null_mut(), &mut size) as u64
            }
            13 => keys(device),
            14 => dma(device),
            15 => IoWMIRegistrationControl(device, WMIREG_ACTION_REGISTER) as u64,
            16 => IoWMIRegistrationControl(device, WMIREG_ACTION_DEREGISTER) as u64,
            17 => wmi_event(POOL_FLAG_NON_PAGED),
            18 => wmi_event(POOL_FLAG_PAGED),
            _ => u64::MAX,
        }
    }
}

unsafe extern "system" fn dispatch(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = location(irp);
        (*irp).IoStatus.Information = 0;
        if (*here).MajorFunction == IRP_MJ_DEVICE_CONTROL as u8 {
            let code = (*here).Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF;
            let answer = control(device, code - 0x800, (*here).FileObject);
            (*irp).AssociatedIrp.SystemBuffer.cast::<u64>().write_unaligned(answer);
            (*irp).IoStatus.Information = 8;
        }
        finish(irp, 0)
    }
}

/// A 32-bit field of a WMI structure.
unsafe fn put(at: *mut u8, offset: usize, value: u32) {
    unsafe { at.add(offset).cast::<u32>().write_unaligned(value) };
}

unsafe extern "system" fn system_control(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let own = extension(device);
        let here = location(irp);
        let wmi = &(*here).Parameters.WMI;
        let buffer = wmi.Buffer.cast::<u8>();
        if wmi.ProviderId != device as usize {
            return skip(device, irp);
        }
        println!("wmi {:#x}", (*here).MinorFunction);
        match u32::from((*here).MinorFunction) {
            IRP_MN_REGINFO_EX => {
                // WMIREGINFOW with one WMIREGGUIDW.
                if own.state == 0 {
                    own.state = 1;
                    put(buffer, 0, 5000);
                    return finish(irp, STATUS_BUFFER_TOO_SMALL);
                }
                own.state = 0;
                println!("room {}", wmi.BufferSize);
                put(buffer, 0, 56);
                put(buffer, 16, 1);
                buffer.add(24).cast::<GUID>().write_unaligned(CLASS);
                put(buffer, 44, 2);
                (*irp).IoStatus.Information = 56;
            }
            IRP_MN_QUERY_ALL_DATA => {
                // WNODE_ALL_DATA, two instances of four bytes.
                let same = wmi.DataPath.cast::<GUID>().read_unaligned().data1 == CLASS.data1;
                let flags = buffer.add(44).cast::<u32>().read();
                put(buffer, 44, flags | 0x10);
                put(buffer, 48, 64);
                put(buffer, 52, 2);
                put(buffer, 60, 4);
                put(buffer, 64, 0x11);
                put(buffer, 72, if same { 0x22 } else { 0 });
                (*irp).IoStatus.Information = 76;
            }
            IRP_MN_ENABLE_EVENTS | IRP_MN_DISABLE_EVENTS => {}
            _ => return skip(device, irp),
        }
        finish(irp, 0)
    }
}

unsafe fn wmi_event(pool: u64) -> u64 {
    unsafe {
        let event = ExAllocatePool2(pool, 52, TAG).cast::<u8>();
        put(event, 0, 52);
        event.add(24).cast::<GUID>().write_unaligned(CLASS);
        let bad = IoWMIWriteEvent(event.cast()) as u32;
        put(event, 44, 8); // WNODE_FLAG_EVENT_ITEM
        put(event, 48, 0xABCD);
        u64::from(bad) | IoWMIWriteEvent(event.cast()) as u64
    }
}

unsafe extern "system" fn gathered(
    _: *mut DEVICE_OBJECT,
    _: *mut IRP,
    list: *mut SCATTER_GATHER_LIST,
    context: *mut c_void,
) {
    unsafe {
        let first = &(*list).Elements[0];
        let irql = KeGetCurrentIrql();
        println!("{} pieces, offset {:#x}, IRQL {irql}", (*list).NumberOfElements, first.Address & 0xFFF);
        let total: u32 = (0..(*list).NumberOfElements as usize)
            .map(|n| (&raw const (*list).Elements).cast::<SCATTER_GATHER_ELEMENT>().add(n).read().Length)
            .sum();
        println!("{total} bytes");
        context.cast::<*mut SCATTER_GATHER_LIST>().write(list);
    }
}

unsafe extern "system" fn channel(
    _: *mut DEVICE_OBJECT,
    _: *mut IRP,
    registers: *mut c_void,
    context: *mut c_void,
) -> IO_ALLOCATION_ACTION {
    unsafe { context.cast::<*mut c_void>().write(registers) };
    DeallocateObjectKeepRegisters
}

unsafe fn dma(device: *mut DEVICE_OBJECT) -> u64 {
    unsafe {
        let mut described = DEVICE_DESCRIPTION::default();
        described.Version = 1;
        described.Master = 1;
        described.ScatterGather = 1;
        described.MaximumLength = 8192;
        let mut registers = 0;
        let pdo = extension(device).pdo;
        let adapter = IoGetDmaAdapter(pdo, &described, &mut registers);
        described.Master = 0;
        let mut none = 0;
        let slave = IoGetDmaAdapter(pdo, &described, &mut none);
        let operations = &*(*adapter).DmaOperations;
        let mut logical = 0;
        let buffer = operations.AllocateCommonBuffer.unwrap()(adapter, 100, &mut logical, 1);
        println!("{registers} {} {}", slave.is_null(), logical != 0 && logical & 0xFFF == 0);
        operations.FreeCommonBuffer.unwrap()(adapter, 100, logical, buffer, 1);
        let memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 6000, TAG);
        let mdl = IoAllocateMdl(memory, 6000, 0, 0, null_mut());
        MmBuildMdlForNonPagedPool(mdl);
        let mut list: *mut SCATTER_GATHER_LIST = null_mut();
        let context = (&raw mut list).cast();
        let mut size = 0;
        let calculate = operations.CalculateScatterGatherList.unwrap();
        calculate(adapter, mdl, memory, 6000, &mut size, null_mut());
        let irql = KeRaiseIrqlToDpcLevel();
        let get = operations.GetScatterGatherList.unwrap();
        get(adapter, device, mdl, memory, 6000, Some(gathered), context, 1);
        let first = (*list).Elements[0].Address;
        operations.PutScatterGatherList.unwrap()(adapter, list, 1);
        let own = ExAllocatePool2(POOL_FLAG_NON_PAGED, size as usize, TAG);
        let build = operations.BuildScatterGatherList.unwrap();
        build(adapter, device, mdl, memory, 6000, Some(gathered), context, 1, own, size);
        let small = build(adapter, device, mdl, memory, 6000, Some(gathered), context, 1, own, 20);
        let mut target = null_mut();
        operations.BuildMdlFromScatterGatherList.unwrap()(adapter, list, mdl, &mut target);
        let mut base: *mut c_void = null_mut();
        let allocate = operations.AllocateAdapterChannel.unwrap();
        allocate(adapter, device, 2, Some(channel), (&raw mut base).cast());
        let mut length = 6000;
        let map = operations.MapTransfer.unwrap();
        let at = map(adapter, mdl, base, memory, &mut length, 1);
        let flushed = operations.FlushAdapterBuffers.unwrap()(adapter, mdl, base, memory, 6000, 1);
        operations.FreeMapRegisters.unwrap()(adapter, base, 2);
        operations.FreeAdapterChannel.unwrap()(adapter);
        KeLowerIrql(irql);
        let alignment = operations.GetDmaAlignment.unwrap()(adapter);
        println!("{small:x} {} {} {flushed} {alignment}", target == mdl, at == first);
        println!("{}", length >= 6000 - 4096 && operations.ReadDmaCounter.is_none());
        ExFreePoolWithTag(own, TAG);
        IoFreeMdl(mdl);
        ExFreePoolWithTag(memory, TAG);
        operations.PutDmaAdapter.unwrap()(adapter);
        0
    }
}

unsafe fn keys(device: *mut DEVICE_OBJECT) -> u64 {
    unsafe {
        let own = extension(device);
        let mut key = null_mut();
        let mut name = *b"S\0e\0t\0";
        let name = UNICODE_STRING { Length: 6, MaximumLength: 6, Buffer: name.as_mut_ptr().cast() };
        let data = (&raw const CLASS).cast_mut().cast();
        for kind in [PLUGPLAY_REGKEY_DEVICE, PLUGPLAY_REGKEY_DRIVER] {
            let opened = IoOpenDeviceRegistryKey(own.pdo, kind, 0xF003F, &mut key);
            let set = ZwSetValueKey(key, &name, 0, 3, data, 4);
            println!("{opened:x} {set:x}");
            ZwClose(key);
        }
        let opened = IoOpenDeviceInterfaceRegistryKey(&own.interface, 0xF003F, &mut key);
        let set = ZwSetValueKey(key, &name, 0, 3, data, 4);
        println!("{opened:x} {set:x}");
        ZwClose(key);
        let none = IoOpenDeviceInterfaceRegistryKey(&name, 0xF003F, &mut key) as u32;
        let bad = IoOpenDeviceRegistryKey(device, PLUGPLAY_REGKEY_DEVICE, 1, &mut key) as u32;
        println!("{none:x} {bad:x}");
        0
    }
}

unsafe extern "system" fn unload(_: *mut DRIVER_OBJECT) {
    println!("unload");
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    _: *const UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        DRIVER = driver;
        (*driver).DriverUnload = Some(unload);
        (*(*driver).DriverExtension).AddDevice = Some(add_device);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL] {
            (*driver).MajorFunction[major as usize] = Some(dispatch);
        }
        (*driver).MajorFunction[IRP_MJ_PNP as usize] = Some(pnp);
        (*driver).MajorFunction[IRP_MJ_POWER as usize] = Some(power);
        (*driver).MajorFunction[IRP_MJ_SYSTEM_CONTROL as usize] = Some(system_control);
    }
    0
}
