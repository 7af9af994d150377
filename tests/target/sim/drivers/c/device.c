/* A device that keeps what is written to it, with buffered reads, writes and IOCTLs. */
#include <ntddk.h>

#define IOCTL_COUNT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_CRASH CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_PROBE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_NEITHER, FILE_ANY_ACCESS)

typedef struct {
    KSPIN_LOCK lock;
    ULONG length;
    CHAR data[64];
    LONG requests;
} EXTENSION;

static const UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\CDevice");
static const UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\CDevice");

static NTSTATUS finish(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI open_close(PDEVICE_OBJECT device, PIRP irp)
{
    return finish(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI write(PDEVICE_OBJECT device, PIRP irp)
{
    EXTENSION *self = device->DeviceExtension;
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Write.Length;
    KIRQL irql;
    if (length > sizeof self->data)
        return finish(irp, STATUS_INVALID_BUFFER_SIZE, 0);
    KeAcquireSpinLock(&self->lock, &irql);
    RtlCopyMemory(self->data, irp->AssociatedIrp.SystemBuffer, length);
    self->length = length;
    KeReleaseSpinLock(&self->lock, irql);
    InterlockedIncrement(&self->requests);
    return finish(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI read(PDEVICE_OBJECT device, PIRP irp)
{
    EXTENSION *self = device->DeviceExtension;
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length;
    KIRQL irql;
    KeAcquireSpinLock(&self->lock, &irql);
    length = min(length, self->length);
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, self->data, length);
    KeReleaseSpinLock(&self->lock, irql);
    InterlockedIncrement(&self->requests);
    return finish(irp, STATUS_SUCCESS, length);
}

static NTSTATUS probe(PIO_STACK_LOCATION place, PIRP irp)
{
    ULONG size = place->Parameters.DeviceIoControl.InputBufferLength;
    ULONG room = place->Parameters.DeviceIoControl.OutputBufferLength;
    PUCHAR in = place->Parameters.DeviceIoControl.Type3InputBuffer, out = irp->UserBuffer;
    NTSTATUS status = STATUS_SUCCESS;
    ULONG count = min(size, room);
    __try {
        ProbeForRead(in, size, 1);
        ProbeForWrite(out, room, 1);
        for (ULONG i = 0; i < count; i++)
            out[i] = in[count - 1 - i];
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
        count = 0;
    }
    return finish(irp, status, count);
}

static NTSTATUS NTAPI control(PDEVICE_OBJECT device, PIRP irp)
{
    EXTENSION *self = device->DeviceExtension;
    PIO_STACK_LOCATION place = IoGetCurrentIrpStackLocation(irp);
    switch (place->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_COUNT:
        if (place->Parameters.DeviceIoControl.OutputBufferLength < sizeof(LONG))
            return finish(irp, STATUS_BUFFER_TOO_SMALL, 0);
        *(LONG *)irp->AssociatedIrp.SystemBuffer = self->requests;
        return finish(irp, STATUS_SUCCESS, sizeof(LONG));
    case IOCTL_CRASH:
        *(volatile int *)(ULONG_PTR)self->length = 1;       /* @crash */
        break;
    case IOCTL_PROBE:
        return probe(place, irp);
    }
    return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    UNICODE_STRING gone = link;
    IoDeleteSymbolicLink(&gone);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    PDEVICE_OBJECT device;
    NTSTATUS status = IoCreateDevice(driver, sizeof(EXTENSION), (PUNICODE_STRING)&name,
                                     FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    KeInitializeSpinLock(&((EXTENSION *)device->DeviceExtension)->lock);
    device->Flags |= DO_BUFFERED_IO;
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLOSE] = open_close;
    driver->MajorFunction[IRP_MJ_READ] = read;
    driver->MajorFunction[IRP_MJ_WRITE] = write;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    status = IoCreateSymbolicLink((PUNICODE_STRING)&link, (PUNICODE_STRING)&name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device);
    return status;
}
