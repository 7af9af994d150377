/* qsort and bsearch call the driver's routine back; an exception in it goes through them. */
#include <ntddk.h>

typedef struct { int key; short order; } ITEM;

void qsort(void *, size_t, size_t, int (*)(const void *, const void *));
void *bsearch(const void *, const void *, size_t, size_t, int (*)(const void *, const void *));

static int fault_at = -1, calls;

static int by_key(const void *a, const void *b)
{
    if (calls++ == fault_at)
        ExRaiseStatus(STATUS_DATA_ERROR);
    return ((const ITEM *)a)->key - ((const ITEM *)b)->key;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver) { }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    static ITEM items[100];
    int count = RTL_NUMBER_OF(items), sorted = 1, found = 0;
    ULONG seed = 7;
    driver->DriverUnload = unload;
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525 + 1013904223;
        items[i].key = (int)(seed >> 16) % 500 - 250;
        items[i].order = (short)i;
    }
    qsort(items, count, sizeof *items, by_key);
    for (int i = 1; i < count; i++)
        sorted &= items[i - 1].key <= items[i].key;
    for (int i = 0; i < count; i++) {
        ITEM *p = bsearch(&items[i], items, count, sizeof *items, by_key);
        found += p && p->key == items[i].key;
    }
    ITEM missing = { 1000, 0 };
    DbgPrint("sorted %d, found %d, missing %d\n", sorted, found,
             bsearch(&missing, items, count, sizeof *items, by_key) == NULL);
    fault_at = calls + 5;
    __try {
        qsort(items, count, sizeof *items, by_key);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        DbgPrint("left qsort by %08x\n", GetExceptionCode());
    }
    qsort(items, 0, sizeof *items, by_key);
    qsort(items, 1, sizeof *items, by_key);
    return STATUS_SUCCESS;
}
