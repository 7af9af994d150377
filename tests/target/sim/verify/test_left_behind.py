"""What drivers leave behind at unload: handles, references, devices, threads, timers, callbacks."""

from __future__ import annotations

from tests.target.sim.rules import Check

_EVENT = """let mut a: OBJECT_ATTRIBUTES = core::mem::zeroed();
a.Length = size_of::<OBJECT_ATTRIBUTES>() as u32; a.Attributes = OBJ_KERNEL_HANDLE as u32;
let mut h = null_mut();
"""


def test_leak_handle(breaks: Check) -> None:
    """WDK: "ZwClose function (wdm.h)"."""
    found = breaks(
        _EVENT + "ZwCreateEvent(&mut h, 0x1F0003, &a, 0, 0); // @bad\nif !bad() { ZwClose(h); }"
    )
    assert found.only.rule == "leak-handle" and found.shows()
    assert "to the event was not closed" in found.only.message


def test_leak_reference(breaks: Check) -> None:
    """WDK: "ObfReferenceObject function (wdm.h)"."""
    found = breaks(
        "let p = KeGetCurrentThread() as *mut c_void;\nObfReferenceObject(p as _); // @bad\n"
        "if !bad() { ObfDereferenceObject(p as _); }"
    )
    assert found.only.rule == "leak-reference" and found.shows()
    assert "a reference to the thread" in found.only.message


def test_bad_handle(breaks: Check) -> None:
    """ "Bug Check 0xC4", 0xF6."""
    found = breaks(
        _EVENT + "ZwCreateEvent(&mut h, 0x1F0003, &a, 0, 0); ZwClose(h);\n"
        "if bad() { ZwClose(h); } // @bad"
    )
    assert found.only.rule == "bad-handle" and found.shows()


def test_leak_device_and_link(breaks: Check) -> None:
    """WDK: "DRIVER_UNLOAD callback function (wdm.h)"."""
    found = breaks(
        "let mut device = null_mut();"
        "IoCreateDevice(driver, 0, &name(&DEVICE), FILE_DEVICE_UNKNOWN, 0, 0, &mut device);"
        "IoCreateSymbolicLink(&name(&LINK), &name(&DEVICE));",
        "if !bad() { IoDeleteSymbolicLink(&name(&LINK)); IoDeleteDevice((*driver).DeviceObject); }",
    )
    assert [v.rule for v in found.violations] == ["leak-device", "leak-symlink"]
    assert "\\Device\\Rule" in found.violations[0].message


_SLEEPER = """unsafe extern "system" fn worker(_: *mut c_void) { unsafe {
    KeWaitForSingleObject(event().cast(), 0, 0, 0, SOME); println!("awake"); // @later
} }"""


def test_thread_left_running(breaks: Check) -> None:
    """ "Bug Check 0xCE": it wakes up when its code is gone; the rule has named it before."""
    found = breaks(
        "KeInitializeEvent(event(), 0, 0);\nKEEP.store(spawn(worker), Ordering::Relaxed); // @bad",
        "if bad() { ObfDereferenceObject(KEEP.load(Ordering::Relaxed)); } else {"
        "KeSetEvent(event(), 0, 0); join(KEEP.load(Ordering::Relaxed)); }",
        extra=_SLEEPER.replace("SOME", "&-5_000_i64 as *const _ as _"),
    )
    assert found.only.rule == "leak-thread" and found.shows()
    event = found.target.bugcheck
    assert event is not None and event.code == "0xCE", found.error
    assert event.driver == "bad" and "bad was unloaded" in event.message
    address, access, instruction, _ = (int(p, 16) for p in event.parameters)
    assert (address, access) == (instruction, 0)
    # Its symbols are still known: the line that it would have gone on at.
    assert found.line("later") in [f.line for f in event.frames]


_TICK = """
unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {}
"""


def test_timer_left_set(breaks: Check) -> None:
    """ "Bug Check 0xC7: TIMER_OR_DPC_INVALID", 0: the timer is in the image."""
    found = breaks(
        "KeInitializeDpc(dpc(), Some(routine), null_mut()); KeInitializeTimer(timer());"
        'KeSetTimer(timer(), -1_000_000_000, dpc()); println!("{:x}", timer() as usize);',
        "if !bad() { KeCancelTimer(timer()); }",
        extra=_TICK,
    )
    event = found.target.bugcheck
    assert event is not None and event.name == "TIMER_OR_DPC_INVALID"
    kind, address, start, end = (int(p, 16) for p in event.parameters)
    log = found.target.drivers["bad"].log
    assert kind == 0 and address == int(log.lines[-1], 16) and start <= address < end


def test_timer_of_pool_with_a_dpc_of_the_image(breaks: Check) -> None:
    """ "Bug Check 0xC7: TIMER_OR_DPC_INVALID": the memory of both is the driver's pool."""
    found = breaks(
        "let p = pool(size_of::<KTIMER>() + size_of::<KDPC>()); KEEP.store(p.cast(),"
        "Ordering::Relaxed); let t = p.cast::<KTIMER>(); let d = t.add(1).cast::<KDPC>();"
        "KeInitializeDpc(d, Some(routine), null_mut()); KeInitializeTimer(t);"
        "KeSetTimer(t, -1_000_000_000, d);",
        "if !bad() { let p = KEEP.load(Ordering::Relaxed); KeCancelTimer(p.cast());"
        "ExFreePoolWithTag(p, TAG); }",
        extra=_TICK,
    )
    event = found.target.bugcheck
    assert event is not None and event.name == "TIMER_OR_DPC_INVALID"


def test_code_called_at_a_raised_irql_after_unload(breaks: Check) -> None:
    """ "Bug Check 0xD4": a thread that runs at DISPATCH_LEVEL while its code goes away."""
    found = breaks(
        "KEEP.store(spawn(worker), Ordering::Relaxed);",
        "if !bad() { COUNT.store(1, Ordering::Relaxed); join(KEEP.load(Ordering::Relaxed)); }"
        "else { ObfDereferenceObject(KEEP.load(Ordering::Relaxed)); }",
        extra="""static COUNT: AtomicU32 = AtomicU32::new(0);
        unsafe extern "system" fn worker(_: *mut c_void) { unsafe {
            let old = KfRaiseIrql(if bad() { 2 } else { 0 });
            while COUNT.load(Ordering::Relaxed) == 0 { core::hint::spin_loop(); }
            KeLowerIrql(old);
        } }""",
    )
    event = found.target.bugcheck
    assert event is not None and event.code == "0xD4", found.error
    _, irql, access, _ = (int(p, 16) for p in event.parameters)
    assert (irql, access) == (2, 0)


def test_leak_callback(breaks: Check) -> None:
    """ "Bug Check 0xCE" is what Windows would come to; WDK: "ExUnregisterCallback function"."""
    found = breaks(
        """let mut a: OBJECT_ATTRIBUTES = core::mem::zeroed();
        a.Length = size_of::<OBJECT_ATTRIBUTES>() as u32;
        a.Attributes = OBJ_CASE_INSENSITIVE as u32;
        let mut object: PCALLBACK_OBJECT = core::mem::zeroed();
        let text = name(&PLACE); a.ObjectName = &text as *const _ as _;
        ExCreateCallback(&mut object, &a, 1, 1);
        KEEP.store(ExRegisterCallback(object, Some(called), null()), Ordering::Relaxed); // @bad
        ObfDereferenceObject(object as _);""",
        "if !bad() { ExUnregisterCallback(KEEP.load(Ordering::Relaxed)); }",
        extra='unsafe extern "system" fn called() {}'
        'static PLACE: [u16; 14] = wide(b"\\\\Callback\\\\Rule");',
    )
    assert found.only.rule == "leak-callback" and found.shows()


def test_unregistered_twice(breaks: Check) -> None:
    """WDK: "ExUnregisterCallback function (wdm.h)"."""
    found = breaks("if bad() { ExUnregisterCallback(lock(0).cast()); } // @bad")
    assert found.only.rule == "bad-argument" and found.shows()


_MDL = """let p = pool(4096); let mdl = IoAllocateMdl(p.cast(), 4096, 0, 0, null_mut()); // @mdl
MmProbeAndLockPages(mdl, 0, 1 as _); // @locked
"""


def test_leak_mdl(breaks: Check) -> None:
    """Windows drivers: "Using MDLs": locked pages, and the MDL."""
    found = breaks(
        _MDL + "if !bad() { MmUnlockPages(mdl); IoFreeMdl(mdl); ExFreePoolWithTag(p.cast(), TAG); }"
    )
    assert [v.rule for v in found.violations if v.rule != "leak-pool"] == ["leak-mdl", "leak-mdl"]
    lines = {f.line for v in found.violations for f in v.frames}
    assert {found.line("mdl"), found.line("locked")} <= lines


def test_mdl_freed_locked(breaks: Check) -> None:
    """WDK: "IoFreeMdl function (wdm.h)"."""
    found = breaks(
        _MDL + "if !bad() { MmUnlockPages(mdl); }\nIoFreeMdl(mdl); // @bad\n"
        "ExFreePoolWithTag(p.cast(), TAG);"
    )
    assert found.only.rule == "mdl-freed-locked" and found.shows()


def test_leak_contiguous_memory(breaks: Check) -> None:
    """WDK: "MmFreeContiguousMemory function (wdm.h)"."""
    found = breaks(
        "let p = MmAllocateContiguousMemory(9000, -1); // @bad\n"
        "if !bad() { MmFreeContiguousMemory(p); }"
    )
    assert found.only.rule == "leak-memory" and found.shows()
    assert "3 pages of contiguous memory" in found.only.message


def test_leak_view(breaks: Check) -> None:
    """WDK: "MmMapViewInSystemSpace function (ntifs.h)"."""
    found = breaks(
        _EVENT + "let mut size: i64 = 8192;\n"
        "ZwCreateSection(&mut h, 0xF001F, &a, &mut size as *mut i64 as _, 4, 0x8000000, null_mut()"
        ");let mut object = null_mut();"
        "ObReferenceObjectByHandle(h, 0xF001F, 0 as _, 0, &mut object, null_mut()); ZwClose(h);"
        "let mut base = null_mut(); let mut length = 0usize;\n"
        "MmMapViewInSystemSpace(object, &mut base, &mut length); // @bad\n"
        "ObfDereferenceObject(object as _); if !bad() { MmUnmapViewInSystemSpace(base); }"
    )
    assert found.only.rule == "leak-memory" and found.shows()


def test_pool_freed_in_use(breaks: Check) -> None:
    """ "Bug Check 0xC4", 0x15: the pool holds an active timer."""
    found = breaks(
        "let p = pool(size_of::<KTIMER>()); let t = p.cast::<KTIMER>();\n"
        "KeInitializeTimer(t); KeSetTimer(t, -1_000_000_000, null_mut()); // @set\n"
        "if !bad() { KeCancelTimer(t); }\nExFreePoolWithTag(p.cast(), TAG); // @bad"
    )
    violation = found.violations[0]
    assert violation.rule == "freed-in-use"
    assert "holds a timer that is set, at offset 0" in violation.message
    assert found.line() in [f.line for f in violation.frames]
    assert found.line("set") in [f.line for s in violation.related for f in s.frames]


def test_leak_resource(breaks: Check) -> None:
    """WDK: "ExDeleteResourceLite function (wdm.h)"."""
    found = breaks(
        "ExInitializeResourceLite(resource());",
        "if !bad() { ExDeleteResourceLite(resource()); }",
        extra="static mut RESOURCE: MaybeUninit<ERESOURCE> = MaybeUninit::zeroed();"
        "fn resource() -> *mut ERESOURCE { (&raw mut RESOURCE).cast() }",
    )
    assert found.only.rule == "leak-resource"


def test_leak_timer(breaks: Check) -> None:
    """WDK: "ExDeleteTimer function (wdm.h)"."""
    found = breaks(
        "let t = ExAllocateTimer(None, null_mut(), 0); // @bad\n"
        "KEEP.store(t as *mut c_void, Ordering::Relaxed);",
        "if !bad() { ExDeleteTimer(KEEP.load(Ordering::Relaxed) as _, 1, 1, null()); }",
    )
    assert found.only.rule == "leak-timer" and found.shows()


def test_leak_work_item(breaks: Check) -> None:
    """WDK: "IoFreeWorkItem function (wdm.h)"."""
    found = breaks(
        "let item = IoAllocateWorkItem((*driver).DeviceObject); // @bad\n"
        "if !bad() { IoFreeWorkItem(item); }",
        io="complete(irp, 0, 0)",
    )
    assert "leak-work-item" in [v.rule for v in found.violations]
    (violation,) = (v for v in found.violations if v.rule == "leak-work-item")
    assert found.line() in [f.line for f in violation.frames]
