/* A device of the capture driver's protocol: what is written to \\.\feed comes out of \\.\feed-tap as
   records, a line each. Text that begins with "!" says that one was lost before. In C, since Wine has
   no cancel-safe queues, and no KeGetCurrentIrql for the framework. */
#include <ntddk.h>

static KSPIN_LOCK lock;
static UCHAR kept[1 << 21];
static ULONG used;
static PIRP waiting;
static PDEVICE_OBJECT tap, feed;

static void complete(PIRP irp, NTSTATUS status, ULONG size) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = size;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

static void add(const UCHAR *text, USHORT length) {
    ULONG size = (34 + length + 7) & ~7;
    UCHAR *at = kept + used;
    if (used + size > sizeof kept) return;
    RtlZeroMemory(at, size);
    *(ULONG *)at = size;
    *(ULONG *)(at + 4) = text[0] == '!';
    *(ULONGLONG *)(at + 8) = *(volatile ULONGLONG *)0x7ffe0008; /* InterruptTime: a process's view */
    *(USHORT *)(at + 28) = 77;
    at[30] = 27;
    at[31] = 0xff;
    *(USHORT *)(at + 32) = length;
    RtlCopyMemory(at + 34, text, length);
    used += size;
}

/* Moves whole records into a read; how many bytes. */
static ULONG take(PIRP irp) {
    ULONG room = IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length, size = 0;
    while (size < used && size + *(ULONG *)(kept + size) <= room) size += *(ULONG *)(kept + size);
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, kept, size);
    used -= size;
    RtlMoveMemory(kept, kept + size, used);
    return size;
}

static void NTAPI cancel(PDEVICE_OBJECT device, PIRP irp) {
    KIRQL irql;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    KeAcquireSpinLock(&lock, &irql);
    if (waiting == irp) waiting = NULL;
    KeReleaseSpinLock(&lock, irql);
    complete(irp, STATUS_CANCELLED, 0);
}

static NTSTATUS read(PIRP irp) {
    KIRQL irql;
    ULONG size;
    KeAcquireSpinLock(&lock, &irql);
    if ((size = take(irp)) == 0) {
        IoMarkIrpPending(irp);
        waiting = irp;
        IoSetCancelRoutine(irp, cancel);
        if (irp->Cancel && IoSetCancelRoutine(irp, NULL)) {
            waiting = NULL;
            KeReleaseSpinLock(&lock, irql);
            complete(irp, STATUS_CANCELLED, 0);
            return STATUS_PENDING;
        }
        KeReleaseSpinLock(&lock, irql);
        return STATUS_PENDING;
    }
    KeReleaseSpinLock(&lock, irql);
    complete(irp, STATUS_SUCCESS, size);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp) {
    PIO_STACK_LOCATION at = IoGetCurrentIrpStackLocation(irp);
    if (at->MajorFunction == IRP_MJ_READ && device == tap) return read(irp);
    if (at->MajorFunction == IRP_MJ_WRITE) {
        const UCHAR *text = irp->AssociatedIrp.SystemBuffer;
        ULONG length = at->Parameters.Write.Length, start = 0, size = 0;
        PIRP reader = NULL;
        KIRQL irql;
        KeAcquireSpinLock(&lock, &irql);
        for (ULONG n = 0; n < length; n++)
            if (text[n] == '\n') add(text + start, n + 1 - start), start = n + 1;
        if (waiting && IoSetCancelRoutine(waiting, NULL)) {
            reader = waiting;
            waiting = NULL;
            size = take(reader);
        }
        KeReleaseSpinLock(&lock, irql);
        if (reader) complete(reader, STATUS_SUCCESS, size);
        complete(irp, STATUS_SUCCESS, length);
        return STATUS_SUCCESS;
    }
    complete(irp, STATUS_SUCCESS, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS make(PDRIVER_OBJECT driver, PCWSTR name, PCWSTR link, PDEVICE_OBJECT *device) {
    UNICODE_STRING named, linked;
    NTSTATUS status;
    RtlInitUnicodeString(&named, name);
    RtlInitUnicodeString(&linked, link);
    status = IoCreateDevice(driver, 0, &named, FILE_DEVICE_UNKNOWN, 0, FALSE, device);
    if (!NT_SUCCESS(status)) return status;
    (*device)->Flags |= DO_BUFFERED_IO;
    (*device)->Flags &= ~DO_DEVICE_INITIALIZING;
    return IoCreateSymbolicLink(&linked, &named);
}

static void NTAPI unload(PDRIVER_OBJECT driver) {
    UNICODE_STRING link;
    RtlInitUnicodeString(&link, L"\\??\\feed");
    IoDeleteSymbolicLink(&link);
    RtlInitUnicodeString(&link, L"\\??\\feed-tap");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(feed);
    IoDeleteDevice(tap);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path) {
    NTSTATUS status;
    KeInitializeSpinLock(&lock);
    for (int n = 0; n <= IRP_MJ_MAXIMUM_FUNCTION; n++) driver->MajorFunction[n] = dispatch;
    driver->DriverUnload = unload;
    add((const UCHAR *)"early\n", 6);
    status = make(driver, L"\\Device\\feed-tap", L"\\??\\feed-tap", &tap);
    return NT_SUCCESS(status) ? make(driver, L"\\Device\\feed", L"\\??\\feed", &feed) : status;
}
