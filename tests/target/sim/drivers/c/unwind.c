/* The routines that walk and unwind stacks, called by hand. */
#include <ntddk.h>

#define say(...) DbgPrint(__VA_ARGS__)

#define UNW_FLAG_EHANDLER 1
typedef struct { ULONG BeginAddress, EndAddress, UnwindData; } RUNTIME_FUNCTION, *PRUNTIME_FUNCTION;

NTSYSAPI VOID NTAPI RtlCaptureContext(PCONTEXT);
NTSYSAPI PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64, PULONG64, PVOID);
NTSYSAPI PVOID NTAPI RtlVirtualUnwind(ULONG, ULONG64, ULONG64, PRUNTIME_FUNCTION, PCONTEXT, PVOID *,
                                      PULONG64, PVOID);
NTSYSAPI PVOID NTAPI RtlPcToFileHeader(PVOID, PVOID *);
NTSYSAPI USHORT NTAPI RtlCaptureStackBackTrace(ULONG, ULONG, PVOID *, PULONG);
NTSYSAPI VOID NTAPI RtlUnwind(PVOID, PVOID, PEXCEPTION_RECORD, PVOID);
NTSYSAPI VOID NTAPI RtlUnwindEx(PVOID, PVOID, PEXCEPTION_RECORD, PVOID, PCONTEXT, PVOID);
NTSYSAPI VOID NTAPI _local_unwind(PVOID, PVOID);

static PDRIVER_OBJECT driver;
static volatile int kind;
static ULONG_PTR frames[3], place;

__declspec(noinline) static void walk(void)
{
    CONTEXT context;
    RtlCaptureContext(&context);
    for (int i = 0; i < 3; i++) {
        ULONG64 base = 0, establisher = 0;
        PVOID data = NULL, header = NULL;
        PRUNTIME_FUNCTION entry = RtlLookupFunctionEntry(context.Rip, &base, NULL);
        int own = base == (ULONG64)driver->DriverStart;
        int inside = entry && context.Rip - base >= entry->BeginAddress
                     && context.Rip - base < entry->EndAddress;
        PVOID handler = RtlVirtualUnwind(UNW_FLAG_EHANDLER, base, context.Rip, entry, &context,
                                         &data, &establisher, NULL);
        RtlPcToFileHeader((PVOID)entry, &header);
        say("frame %d own %d inside %d handler %d header %d\n", i, own, inside, handler != NULL,
            header == driver->DriverStart);
        frames[i] = establisher;
        if (i == 1)
            place = context.Rip;
    }
}

__declspec(noinline) static void guarded(void)
{
    __try {
        walk();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("not reached\n");
    }
    say("walked\n");
}

__declspec(noinline) static void trace(void)
{
    PVOID addresses[8];
    PVOID base = NULL;
    ULONG hash = 0, sum = 0;
    USHORT count = RtlCaptureStackBackTrace(0, 2, addresses, &hash);
    for (int i = 0; i < count; i++) {
        sum += (ULONG)(ULONG_PTR)addresses[i];
        say("%d own %d\n", i, RtlPcToFileHeader(addresses[i], &base) == driver->DriverStart);
    }
    say("%d frames, hash %d\n", count, hash == sum);
    say("skipped %d\n", RtlCaptureStackBackTrace(1, 1, addresses + 4, NULL) == 1
                            && addresses[4] == addresses[1]);
    say("nowhere %p\n", RtlPcToFileHeader((PVOID)8, &base));
}

/* Leaves two frames by hand: to the caller of its caller, where it goes on behind the call. */
__declspec(noinline) static void leave(void)
{
    CONTEXT context;
    EXCEPTION_RECORD record = {0};
    ULONG64 base, establisher;
    PVOID data;
    record.ExceptionCode = 0xE0000002;
    RtlCaptureContext(&context);
    for (int i = 0; i < 2; i++)
        RtlVirtualUnwind(0, 0, context.Rip, RtlLookupFunctionEntry(context.Rip, &base, NULL),
                         &context, &data, &establisher, NULL);
    PVOID target = (PVOID)context.Rip;
    RtlVirtualUnwind(0, 0, context.Rip, RtlLookupFunctionEntry(context.Rip, &base, NULL), &context,
                     &data, &establisher, NULL);
    if (kind == 0)
        RtlUnwind((PVOID)establisher, target, NULL, (PVOID)123);
    else if (kind == 1)
        RtlUnwindEx((PVOID)establisher, target, &record, (PVOID)456, &context, NULL);
    else if (kind == 2)
        _local_unwind((PVOID)establisher, target);
    else
        RtlUnwind((PVOID)(establisher + 8), target, NULL, NULL);
    say("not reached\n");
}

__declspec(noinline) static int between(void)
{
    __try {
        leave();
        say("not reached\n");
    } __finally {
        say("finally, abnormal %d\n", AbnormalTermination());
    }
    return kind + 1;
}

__declspec(noinline) static void leave_from(int how)
{
    kind = how;
    say("went on with %d\n", between());
}

static VOID NTAPI unload(PDRIVER_OBJECT object) { }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    driver = object;
    object->DriverUnload = unload;
    guarded();
    trace();
    leave_from(0);
    leave_from(1);
    kind = 2;
    between();
    say("left\n");
    kind = 3;
    __try {
        between();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        say("no such frame: %08x\n", GetExceptionCode());
    }
    return STATUS_SUCCESS;
}
