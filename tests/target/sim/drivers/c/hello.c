/* The smallest driver: it prints when it is loaded and unloaded. */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    DbgPrint("bye from %wZ\n", &driver->DriverName);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    driver->DriverUnload = unload;
    DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "hello from C, %d bits, %ls, %s\n",
               (int)sizeof(void *) * 8, L"wide", "narrow");
    DbgPrint("service key: %wZ\n", path);
    return STATUS_SUCCESS;
}
