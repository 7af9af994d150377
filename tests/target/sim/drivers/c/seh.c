/* Structured exceptions: each test of test_seh.py is one case here, chosen by an IOCTL's input. */
#include <ntddk.h>

#define RUN CTL_CODE(FILE_DEVICE_UNKNOWN, 0, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define NULL_VALUE ((volatile int *)nowhere)

static volatile ULONG_PTR nowhere;      /* not a constant to the compiler */
static volatile int zero;
static PDEVICE_OBJECT device;
static PIRP current;

NTSYSAPI VOID NTAPI RtlRaiseStatus(NTSTATUS Status);
NTSYSAPI VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord);

#define say(...) DbgPrint(__VA_ARGS__)

__declspec(noinline) static int read_null(void) { return *NULL_VALUE; }
__declspec(noinline) static void write_null(int value) { *NULL_VALUE = value; }
__declspec(noinline) static int divide(int by) { return 100 / by; }
/* Can return as far as clang knows: it drops the scopes around what it knows to raise. */
__declspec(noinline) static void raise(NTSTATUS status) { if (status != zero) ExRaiseStatus(status); }

static int report(const char *name, PEXCEPTION_POINTERS info, int answer)
{
    PEXCEPTION_RECORD r = info->ExceptionRecord;
    say("%s: %08x flags %x, %u parameters %Ix %Ix\n", name, r->ExceptionCode, r->ExceptionFlags,
        r->NumberParameters, r->ExceptionInformation[0], r->ExceptionInformation[1]);
    return answer;
}

static void test_read(void)
{
    __try {
        read_null();
        say("not reached\n");
    } __except (report("filter", GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
    say("after\n");
}

static void test_write(void)
{
    nowhere = 0x7fff0000;
    __try {
        write_null(1);
    } __except (report("filter", GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
    nowhere = 0;
}

static void test_divide(void)
{
    int result = -1;
    __try {
        result = divide(zero);
    } __except (GetExceptionCode() == STATUS_INTEGER_DIVIDE_BY_ZERO ? EXCEPTION_EXECUTE_HANDLER
                                                                     : EXCEPTION_CONTINUE_SEARCH) {
        say("caught %08x, result %d\n", GetExceptionCode(), result);
    }
}

static void test_finally(void)
{
    volatile int order = 0;
    __try {
        __try {
            __try {
                order = order * 10 + 1;
                raise(STATUS_DATA_ERROR);
            } __finally {
                order = order * 10 + 2;
                say("inner finally, abnormal %d\n", AbnormalTermination());
            }
        } __finally {
            order = order * 10 + 3;
            say("outer finally, abnormal %d\n", AbnormalTermination());
        }
    } __except (say("filter before any finally: %d\n", order), EXCEPTION_EXECUTE_HANDLER) {
        say("caught %08x, order %d\n", GetExceptionCode(), order);
    }
    __try {
        order = 0;
    } __finally {
        say("normal end, abnormal %d\n", AbnormalTermination());
    }
}

static void test_search(void)
{
    __try {
        __try {
            raise(STATUS_NOT_FOUND);
        } __except (report("inner", GetExceptionInformation(), EXCEPTION_CONTINUE_SEARCH)) {
            say("not reached\n");
        }
    } __except (report("outer", GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static int mend(PEXCEPTION_POINTERS info)
{
    /* The instruction is `mov eax, [rcx or rax]`: let it read something that is there. */
    static int good = 42;
    say("mending\n");
    nowhere = (ULONG_PTR)&good;
    info->ContextRecord->Rax = info->ContextRecord->Rcx = (ULONG_PTR)&good;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void test_continue(void)
{
    __try {
        say("read %d\n", read_null());
    } __except (mend(GetExceptionInformation())) {
        say("not reached\n");
    }
    nowhere = 0;
}

static void test_rethrow(void)
{
    __try {
        __try {
            raise(STATUS_CANCELLED);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            say("first %08x\n", GetExceptionCode());
            raise(STATUS_TIMEOUT | 0xC0000000);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("second %08x\n", GetExceptionCode());
    }
}

static int faulting_filter(void)
{
    __try {
        read_null();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("handled inside the filter\n");
    }
    return EXCEPTION_EXECUTE_HANDLER;
}

static void test_nested(void)
{
    __try {
        raise(STATUS_DATA_ERROR);
    } __except (faulting_filter()) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static void test_collided(void)
{
    /* The second exception comes from a __finally that runs for the first. */
    __try {
        __try {
            __try {
                raise(STATUS_DATA_ERROR);
            } __finally {
                say("finally raises\n");
                raise(STATUS_NOT_FOUND);
            }
        } __finally {
            say("next finally\n");
        }
    } __except (say("filter %08x\n", GetExceptionCode()), EXCEPTION_EXECUTE_HANDLER) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static int leaves_early(void)
{
    __try {
        if (!zero)
            return 7;
        say("not reached\n");
    } __finally {
        say("finally of a return, abnormal %d\n", AbnormalTermination() != 0);
    }
    return 8;
}

static void test_return(void) { say("returned %d\n", leaves_early()); }

static void test_loop(void)
{
    int caught = 0;
    for (int i = 0; i < 50; i++) {
        __try {
            if (i & 1)
                raise(STATUS_DATA_ERROR);
            else
                read_null();
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            caught++;
        }
    }
    say("caught %d\n", caught);
}

__declspec(noinline) static double scaled(double a, double b)
{
    double kept = a * b + zero;     /* kept in a register that calls preserve */
    __try {
        raise(STATUS_DATA_ERROR);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        zero = 0;
    }
    return kept;
}

static void test_float(void) { say("%d\n", (int)(scaled(1.5, 4.0) * 100)); }

static void test_breakpoint(void)
{
    __try {
        __debugbreak();
    } __except (report("filter", GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static void test_illegal(void)
{
    __try {
        __asm__ volatile("ud2");
    } __except (report("filter", GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static void test_export(void)
{
    /* The access is the kernel's own, in the driver's name. */
    char buffer[16];
    __try {
        RtlMoveMemory(buffer, (void *)(nowhere + 0x20000), sizeof buffer);
        say("not reached\n");
    } __except (report("filter", GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static void test_record(void)
{
    EXCEPTION_RECORD r = {0};
    r.ExceptionCode = 0xE0000001;
    r.NumberParameters = 2;
    r.ExceptionInformation[0] = 0xAB;
    r.ExceptionInformation[1] = 0xCD;
    __try {
        RtlRaiseException(&r);
        say("continued\n");
        r.ExceptionFlags = EXCEPTION_NONCONTINUABLE;
        __try {
            RtlRaiseException(&r);
        } __except (report("second", GetExceptionInformation(),
                           GetExceptionCode() == 0xE0000001 ? EXCEPTION_CONTINUE_EXECUTION
                                                            : EXCEPTION_CONTINUE_SEARCH)) {
        }
        say("not reached\n");
    } __except (report("filter", GetExceptionInformation(),
                       GetExceptionCode() == 0xE0000001 ? EXCEPTION_CONTINUE_EXECUTION
                                                        : EXCEPTION_EXECUTE_HANDLER)) {
        say("caught %08x\n", GetExceptionCode());
    }
}

static void test_raisers(void)
{
    __try { ExRaiseAccessViolation(); } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("%08x\n", GetExceptionCode());
    }
    __try { ExRaiseDatatypeMisalignment(); } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("%08x\n", GetExceptionCode());
    }
    __try { RtlRaiseStatus(STATUS_ACCESS_DENIED); } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("%08x\n", GetExceptionCode());
    }
}

#define CATCH(what) do { \
        __try { what; say(#what " returned\n"); } \
        __except (EXCEPTION_EXECUTE_HANDLER) { say("%08x\n", GetExceptionCode()); } } while (0)

static void test_probes(void)
{
    PMDL mdl = IoAllocateMdl((PVOID)0x20000, 64, FALSE, FALSE, NULL);
    CATCH(ProbeForRead((PVOID)0x20001, 4, 4));
    CATCH(ProbeForRead(&device, 4, 4));
    CATCH(ProbeForRead(&device, 0, 4));
    CATCH(ProbeForWrite((PVOID)0x20000, 4, 4));
    CATCH(MmProbeAndLockPages(mdl, UserMode, IoReadAccess));
    CATCH(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, 1ull << 40, 'tseT'));
    IoFreeMdl(mdl);
}

static NTSTATUS lower(PDEVICE_OBJECT object, PIRP irp)
{
    say("in the callee\n");
    __try {
        read_null();
    } __finally {
        say("finally of the callee\n");
    }
    return STATUS_SUCCESS;
}

static VOID NTAPI dpc_routine(PKDPC dpc, PVOID context, PVOID a, PVOID b)
{
    __try {
        say("divided %d\n", divide(zero));
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("dpc caught %08x at IRQL %d\n", GetExceptionCode(), KeGetCurrentIrql());
    }
    KeSetEvent(context, 0, FALSE);
}

static void test_dpc(void)
{
    static KDPC dpc;
    static KEVENT done;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeInitializeDpc(&dpc, dpc_routine, &done);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
}

static VOID NTAPI dpc_unhandled(PKDPC dpc, PVOID context, PVOID a, PVOID b)
{
    __try {
        say("divided %d\n", divide(zero));
    } __except (say("filter at IRQL %d\n", KeGetCurrentIrql()), EXCEPTION_CONTINUE_SEARCH) {
    }
}

static void test_dpc_unhandled(void)
{
    static KDPC dpc;
    KeInitializeDpc(&dpc, dpc_unhandled, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static VOID NTAPI thread_routine(PVOID context)
{
    __try {
        read_null();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("thread caught %08x\n", GetExceptionCode());
    }
    if (context)
        read_null();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void run_thread(PVOID context)
{
    HANDLE handle;
    PVOID thread;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, thread_routine, context);
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
    ZwClose(handle);
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
}

static void test_thread(void) { run_thread(NULL); }
static void test_thread_unhandled(void) { run_thread((PVOID)&zero); }

static int waits(void)
{
    LARGE_INTEGER due;
    due.QuadPart = -10000;
    KeDelayExecutionThread(KernelMode, FALSE, &due);
    say("the filter waited\n");
    return EXCEPTION_EXECUTE_HANDLER;
}

static void test_wait_in_filter(void)
{
    __try {
        raise(STATUS_DATA_ERROR);
    } __except (waits()) {
        say("caught\n");
    }
}

static void test_unhandled(void)
{
    __try {
        read_null();        /* @unhandled */
    } __except (report("filter", GetExceptionInformation(), EXCEPTION_CONTINUE_SEARCH)) {
        say("not reached\n");
    }
}

static void test_unhandled_status(void)
{
    __try {
        raise(STATUS_DATA_ERROR);
    } __finally {
        say("not reached: nothing unwinds\n");
    }
}

static void test_kernel_address(void)
{
    nowhere = 0xFFFFC12345678000;
    __try {
        read_null();
    } __except (say("not reached\n"), EXCEPTION_EXECUTE_HANDLER) {
    }
}

static void test_raised_irql(void)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    __try {
        read_null();
    } __except (say("not reached\n"), EXCEPTION_EXECUTE_HANDLER) {
    }
}

static void test_endless(void)
{
    /* A filter that always faults: NT calls it again for its own fault, until the stack ends. */
    __try {
        raise(STATUS_DATA_ERROR);
    } __except (read_null()) {
    }
}

static void test_call(void)
{
    /* IofCallDriver is between the __try and the fault. */
    PIO_STACK_LOCATION place = IoGetCurrentIrpStackLocation(current);
    place->MajorFunction = IRP_MJ_WRITE;
    IoSkipCurrentIrpStackLocation(current);
    __try {
        IoCallDriver(device, current);
        say("not reached\n");
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("caught %08x beyond IofCallDriver\n", GetExceptionCode());
    }
    place->MajorFunction = IRP_MJ_DEVICE_CONTROL;
}

static const struct { const char *name; void (*run)(void); } tests[] = {
#define T(name) { #name, test_##name }
    T(read), T(write), T(divide), T(finally), T(search), T(continue), T(rethrow), T(nested),
    T(collided), T(return), T(loop), T(float), T(breakpoint), T(illegal), T(export), T(record),
    T(raisers), T(probes), T(dpc), T(dpc_unhandled), T(thread), T(thread_unhandled), T(wait_in_filter), T(unhandled),
    T(unhandled_status), T(kernel_address), T(raised_irql), T(endless), T(call),
};

static NTSTATUS complete(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI create_close(PDEVICE_OBJECT object, PIRP irp)
{
    return complete(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI control(PDEVICE_OBJECT object, PIRP irp)
{
    const char *name = irp->AssociatedIrp.SystemBuffer;
    current = irp;
    for (ULONG i = 0; i < RTL_NUMBER_OF(tests); i++) {
        if (strcmp(name, tests[i].name) == 0) {
            tests[i].run();
            return complete(irp, STATUS_SUCCESS);
        }
    }
    return complete(irp, STATUS_INVALID_PARAMETER);
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\Seh");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Seh");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\Seh");
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLOSE] = create_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->MajorFunction[IRP_MJ_WRITE] = lower;
    driver->DriverUnload = unload;
    return IoCreateSymbolicLink(&link, &name);
}
