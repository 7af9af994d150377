/* Threads hand work over on a list under a spin lock; events and a timer's DPC wake them. */
#include <ntddk.h>

#define ITEMS 20

typedef struct { LIST_ENTRY entry; ULONG value; } ITEM;

static LIST_ENTRY list;
static KSPIN_LOCK lock;
static KSEMAPHORE ready;
static KEVENT done;
static KTIMER timer;
static KDPC dpc;
static volatile LONG sum, ticks, left = ITEMS;

static VOID NTAPI consume(PVOID context)
{
    for (;;) {
        KeWaitForSingleObject(&ready, Executive, KernelMode, FALSE, NULL);
        PLIST_ENTRY entry = ExInterlockedRemoveHeadList(&list, &lock);
        if (!entry)
            break;      /* woken without work: the end */
        ITEM *item = CONTAINING_RECORD(entry, ITEM, entry);
        InterlockedExchangeAdd(&sum, item->value);
        ExFreePoolWithTag(item, 'metI');
        if (InterlockedDecrement(&left) == 0)
            KeSetEvent(&done, IO_NO_INCREMENT, FALSE);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI tick(PKDPC object, PVOID context, PVOID a, PVOID b)
{
    InterlockedIncrement(&ticks);
}

static PVOID start(VOID)
{
    HANDLE handle;
    PVOID thread = NULL;
    if (NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, consume, NULL))) {
        ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
        ZwClose(handle);
    }
    return thread;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver) { }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    LARGE_INTEGER due = { .QuadPart = -10000 };
    PVOID threads[2];
    driver->DriverUnload = unload;
    InitializeListHead(&list);
    KeInitializeSpinLock(&lock);
    KeInitializeSemaphore(&ready, 0, MAXLONG);
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    KeInitializeDpc(&dpc, tick, NULL);
    for (int i = 0; i < 2; i++)
        threads[i] = start();
    for (ULONG i = 1; i <= ITEMS; i++) {
        ITEM *item = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *item, 'metI');
        item->value = i;
        ExInterlockedInsertTailList(&list, &item->entry, &lock);
        KeReleaseSemaphore(&ready, IO_NO_INCREMENT, 1, FALSE);
    }
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    KeReleaseSemaphore(&ready, IO_NO_INCREMENT, 2, FALSE);
    KeWaitForMultipleObjects(2, threads, WaitAll, Executive, KernelMode, FALSE, NULL, NULL);
    for (int i = 0; i < 2; i++)
        ObDereferenceObject(threads[i]);
    DbgPrint("sum %d, list empty %d\n", sum, IsListEmpty(&list));
    KeSetTimerEx(&timer, due, 1, &dpc);
    for (int i = 0; i < 3; i++)
        KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, NULL);
    KeCancelTimer(&timer);
    KeFlushQueuedDpcs();
    DbgPrint("ticks %d, waited %d\n", ticks >= 3, KeReadStateTimer(&timer) == 0);
    due.QuadPart = -1000;
    DbgPrint("timeout %d\n", KeWaitForSingleObject(&ready, Executive, KernelMode, FALSE, &due)
                                 == STATUS_TIMEOUT);
    return STATUS_SUCCESS;
}
