/* Generic tables and splay links against a plain array that knows which keys are in. */
#include <ntddk.h>

#define KEYS 48
#define say(...) DbgPrint(__VA_ARGS__)

typedef struct { ULONG key, order; } ITEM;

static BOOLEAN in[KEYS];
static ULONG added, live, compares;
static ULONG seed = 1;

static ULONG chance(ULONG below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

static RTL_GENERIC_COMPARE_RESULTS by_key(PVOID a, PVOID b)
{
    ULONG x = ((ITEM *)a)->key, y = ((ITEM *)b)->key;
    compares++;
    return x < y ? GenericLessThan : x > y ? GenericGreaterThan : GenericEqual;
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI compare(PRTL_GENERIC_TABLE t, PVOID a, PVOID b)
{
    return by_key(a, b);
}

static PVOID NTAPI allocate(PRTL_GENERIC_TABLE t, CLONG size)
{
    if (t->TableContext && *(ULONG *)t->TableContext)
        return NULL;
    live++;
    return ExAllocatePoolWithTag(NonPagedPoolNx, size, 'lbaT');
}

static VOID NTAPI release(PRTL_GENERIC_TABLE t, PVOID node)
{
    live--;
    ExFreePoolWithTag(node, 'lbaT');
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI compare_avl(PRTL_AVL_TABLE t, PVOID a, PVOID b)
{
    return by_key(a, b);
}

static PVOID NTAPI allocate_avl(PRTL_AVL_TABLE t, CLONG size)
{
    live++;
    return ExAllocatePoolWithTag(NonPagedPoolNx, size, 'lbaT');
}

static VOID NTAPI release_avl(PRTL_AVL_TABLE t, PVOID node)
{
    live--;
    ExFreePoolWithTag(node, 'lbaT');
}

#define CHECK(what) do { if (!(what)) { say("line %d: %s\n", __LINE__, #what); return; } } while (0)

static ULONG expected(void)
{
    ULONG count = 0;
    for (ULONG i = 0; i < KEYS; i++)
        count += in[i];
    return count;
}

static RTL_GENERIC_TABLE table;

static void check_splay(void)
{
    ULONG next = 0, count = 0;
    PVOID key = NULL;
    for (ITEM *p = RtlEnumerateGenericTableWithoutSplaying(&table, &key); p;
         p = RtlEnumerateGenericTableWithoutSplaying(&table, &key)) {
        while (next < KEYS && !in[next])
            next++;
        CHECK(p->key == next);
        next++;
        count++;
    }
    CHECK(count == expected());
    next = 0;
    for (ITEM *p = RtlEnumerateGenericTable(&table, TRUE); p;
         p = RtlEnumerateGenericTable(&table, FALSE)) {
        while (!in[next])
            next++;
        CHECK(p->key == next++);
    }
    ULONG last = 0;
    for (ULONG i = 0; i < count; i++) {
        ITEM *p = RtlGetElementGenericTable(&table, i);
        CHECK(p && in[p->key] && p->order > last);
        last = p->order;
    }
    CHECK(RtlGetElementGenericTable(&table, count) == NULL);
    CHECK(RtlNumberGenericTableElements(&table) == count && live == count);
    CHECK(RtlIsGenericTableEmpty(&table) == (count == 0));
}

static void splay(void)
{
    ULONG full = 0;
    RtlInitializeGenericTable(&table, compare, allocate, release, &full);
    CHECK(RtlIsGenericTableEmpty(&table));
    for (int round = 0; round < 150; round++) {
        ITEM item = { chance(KEYS), ++added };
        BOOLEAN fresh = 77;
        if (chance(3)) {
            ITEM *p;
            if (chance(2)) {
                p = RtlInsertElementGenericTable(&table, &item, sizeof item, &fresh);
            } else {
                PVOID node;
                TABLE_SEARCH_RESULT result;
                RtlLookupElementGenericTableFull(&table, &item, &node, &result);
                CHECK((result == TableFoundNode) == in[item.key]);
                ULONG before = compares;
                p = RtlInsertElementGenericTableFull(&table, &item, sizeof item, &fresh, node,
                                                     result);
                CHECK(compares == before);
            }
            CHECK(p && p->key == item.key && fresh == !in[item.key]);
            CHECK((PUCHAR)p - sizeof(RTL_SPLAY_LINKS) - sizeof(LIST_ENTRY)
                  == (PUCHAR)table.TableRoot);
            in[item.key] = TRUE;
        } else {
            CHECK(RtlDeleteElementGenericTable(&table, &item) == in[item.key]);
            in[item.key] = FALSE;
        }
        item.key = chance(KEYS);
        ITEM *p = RtlLookupElementGenericTable(&table, &item);
        CHECK((p != NULL) == in[item.key]);
        if (round % 10 == 0)
            check_splay();
    }
    full = 1;
    for (ULONG i = 0; i < KEYS; i++) {
        ITEM item = { i, 0 };
        BOOLEAN fresh = 77;
        if (!in[i]) {
            CHECK(RtlInsertElementGenericTable(&table, &item, sizeof item, &fresh) == NULL);
            CHECK(fresh == FALSE);
        }
        CHECK(RtlDeleteElementGenericTable(&table, &item) == in[i]);
        in[i] = FALSE;
    }
    check_splay();
    say("splay %d\n", live);
}

static RTL_AVL_TABLE tree;

static ULONG depth(PRTL_BALANCED_LINKS node, PRTL_BALANCED_LINKS parent, BOOLEAN *good)
{
    if (!node)
        return 0;
    ULONG left = depth(node->LeftChild, node, good), right = depth(node->RightChild, node, good);
    if (node->Parent != parent || (int)(right - left) != node->Balance || node->Balance > 1
        || node->Balance < -1)
        *good = FALSE;
    return 1 + (left > right ? left : right);
}

static void check_avl(void)
{
    BOOLEAN good = TRUE;
    ULONG next = 0, count = 0, levels = depth(tree.BalancedRoot.RightChild, &tree.BalancedRoot, &good);
    CHECK(good && levels == tree.DepthOfTree);
    for (ITEM *p = RtlEnumerateGenericTableAvl(&tree, TRUE); p;
         p = RtlEnumerateGenericTableAvl(&tree, FALSE)) {
        while (next < KEYS && !in[next])
            next++;
        CHECK(p->key == next);
        CHECK(RtlGetElementGenericTableAvl(&tree, count) == p);
        next++;
        count++;
    }
    CHECK(count == expected() && RtlNumberGenericTableElementsAvl(&tree) == count && live == count);
    CHECK(RtlGetElementGenericTableAvl(&tree, count) == NULL);
    CHECK(RtlIsGenericTableEmptyAvl(&tree) == (count == 0));
}

static void avl(void)
{
    RtlInitializeGenericTableAvl(&tree, compare_avl, allocate_avl, release_avl, NULL);
    for (int round = 0; round < 150; round++) {
        ITEM item = { chance(KEYS), 0 };
        BOOLEAN fresh = 77;
        if (chance(3)) {
            PVOID node;
            TABLE_SEARCH_RESULT result;
            RtlLookupElementGenericTableFullAvl(&tree, &item, &node, &result);
            ITEM *p = chance(2)
                ? RtlInsertElementGenericTableAvl(&tree, &item, sizeof item, &fresh)
                : RtlInsertElementGenericTableFullAvl(&tree, &item, sizeof item, &fresh, node, result);
            CHECK(p && p->key == item.key && fresh == !in[item.key]);
            in[item.key] = TRUE;
        } else {
            CHECK(RtlDeleteElementGenericTableAvl(&tree, &item) == in[item.key]);
            in[item.key] = FALSE;
        }
        item.key = chance(KEYS);
        CHECK((RtlLookupElementGenericTableAvl(&tree, &item) != NULL) == in[item.key]);
        if (round % 10 == 0)
            check_avl();
    }
    check_avl();
    /* From one on, and deleting what was just given. */
    ITEM item = { 20, 0 };
    PVOID key = NULL;
    RtlInsertElementGenericTableAvl(&tree, &item, sizeof item, NULL);
    in[20] = TRUE;
    ITEM *first = RtlLookupFirstMatchingElementGenericTableAvl(&tree, &item, &key);
    CHECK(first && first->key == 20);
    ITEM *second = RtlEnumerateGenericTableWithoutSplayingAvl(&tree, &key);
    CHECK(second && second->key > 20);
    while ((first = RtlEnumerateGenericTableAvl(&tree, TRUE))) {
        item.key = first->key;
        CHECK(RtlDeleteElementGenericTableAvl(&tree, &item));
        in[item.key] = FALSE;
    }
    check_avl();
    say("avl %d\n", live);
}

static void links(void)
{
    /*      2
           / \
          0   4
           \  / \
            1 3  5     */
    RTL_SPLAY_LINKS n[6];
    for (int i = 0; i < 6; i++)
        RtlInitializeSplayLinks(&n[i]);
    RtlInsertAsLeftChild(&n[2], &n[0]);
    RtlInsertAsRightChild(&n[2], &n[4]);
    RtlInsertAsRightChild(&n[0], &n[1]);
    RtlInsertAsLeftChild(&n[4], &n[3]);
    RtlInsertAsRightChild(&n[4], &n[5]);
    CHECK(RtlSubtreeSuccessor(&n[2]) == &n[3] && RtlSubtreePredecessor(&n[2]) == &n[1]);
    CHECK(RtlSubtreeSuccessor(&n[1]) == NULL && RtlRealSuccessor(&n[1]) == &n[2]);
    CHECK(RtlSubtreePredecessor(&n[3]) == NULL && RtlRealPredecessor(&n[3]) == &n[2]);
    CHECK(RtlRealSuccessor(&n[5]) == NULL && RtlRealPredecessor(&n[0]) == NULL);
    CHECK(RtlSplay(&n[5]) == &n[5] && n[5].Parent == &n[5]);
    for (int i = 0; i < 5; i++)
        CHECK(RtlRealSuccessor(&n[i]) == &n[i + 1] && RtlRealPredecessor(&n[i + 1]) == &n[i]);
    PRTL_SPLAY_LINKS root = RtlDelete(&n[3]);
    CHECK(root->Parent == root && RtlRealSuccessor(&n[2]) == &n[4]);
    RtlDeleteNoSplay(&n[4], &root);
    CHECK(root->Parent == root && RtlRealSuccessor(&n[2]) == &n[5]);
    RtlDeleteNoSplay(&n[5], &root);
    RtlDeleteNoSplay(&n[0], &root);
    CHECK(RtlRealSuccessor(&n[1]) == &n[2]);
    root = RtlDelete(&n[1]);
    CHECK(root == &n[2] && RtlDelete(root) == NULL);
    say("links\n");
}

static VOID NTAPI unload(PDRIVER_OBJECT driver) { }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    driver->DriverUnload = unload;
    splay();
    avl();
    links();
    return STATUS_SUCCESS;
}
