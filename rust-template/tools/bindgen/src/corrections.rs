//! What the metadata gets wrong, in one place. Each line is checked against mingw-w64's headers
//! by `tests/ntdata/test_layouts.py`.

/// Fields that `wdm.h` and `ntifs.h` mark `POINTER_ALIGNMENT`: the metadata loses the mark, and
/// with it the offset. Struct, path to the nested struct, fields.
///
/// The generator puts a zero-sized `[usize; 0]` before each of these fields, which aligns it.
pub const POINTER_ALIGNED: &[(&str, &str, &[&str])] = &[
    (
        "CLS_SCAN_CONTEXT",
        "",
        &["cContainers", "cContainersReturned", "eScanMode", "pinfoContainer"],
    ),
    ("IO_STACK_LOCATION", "Parameters.Create", &["FileAttributes", "EaLength"]),
    ("IO_STACK_LOCATION", "Parameters.CreatePipe", &["Reserved"]),
    ("IO_STACK_LOCATION", "Parameters.CreateMailslot", &["Reserved"]),
    ("IO_STACK_LOCATION", "Parameters.Read", &["Key"]),
    ("IO_STACK_LOCATION", "Parameters.Write", &["Key"]),
    ("IO_STACK_LOCATION", "Parameters.QueryDirectory", &["FileIndex"]),
    ("IO_STACK_LOCATION", "Parameters.NotifyDirectory", &["CompletionFilter"]),
    (
        "IO_STACK_LOCATION",
        "Parameters.NotifyDirectoryEx",
        &["CompletionFilter", "DirectoryNotifyInformationClass"],
    ),
    ("IO_STACK_LOCATION", "Parameters.QueryFile", &["FileInformationClass"]),
    ("IO_STACK_LOCATION", "Parameters.SetFile", &["FileInformationClass"]),
    ("IO_STACK_LOCATION", "Parameters.QueryEa", &["EaIndex"]),
    ("IO_STACK_LOCATION", "Parameters.QueryVolume", &["FsInformationClass"]),
    ("IO_STACK_LOCATION", "Parameters.SetVolume", &["FsInformationClass"]),
    ("IO_STACK_LOCATION", "Parameters.FileSystemControl", &["InputBufferLength", "FsControlCode"]),
    ("IO_STACK_LOCATION", "Parameters.LockControl", &["Key"]),
    ("IO_STACK_LOCATION", "Parameters.DeviceIoControl", &["InputBufferLength", "IoControlCode"]),
    ("IO_STACK_LOCATION", "Parameters.QuerySecurity", &["Length"]),
    ("IO_STACK_LOCATION", "Parameters.ReadWriteConfig", &["Length"]),
    ("IO_STACK_LOCATION", "Parameters.QueryDeviceText", &["LocaleId"]),
    ("IO_STACK_LOCATION", "Parameters.UsageNotification", &["Type"]),
    ("IO_STACK_LOCATION", "Parameters.Power", &["Type", "State", "ShutdownType"]),
];

/// Structs of which the metadata has the 32-bit headers' version throughout.
pub const REPLACED: &[(&str, &str)] = &[(
    "XSTATE_SAVE",
    "pub struct XSTATE_SAVE {
        pub Prev: *mut XSTATE_SAVE,
        pub Thread: *mut isize,
        pub Level: u8,
        pub XStateContext: XSTATE_CONTEXT,
    }",
)];

/// Structs that the headers declare with a larger alignment than their fields have.
pub const ALIGNED: &[(&str, u32)] = &[
    ("CONTEXT", 16),
    ("DEVICE_OBJECT", 16),
    ("IRP", 16),
    ("M128A", 16),
    ("SLIST_ENTRY", 16),
    ("SLIST_HEADER", 16),
    ("XSAVE_FORMAT", 16),
];

/// Structs between `pshpack4.h` and `poppack.h`, whose mark the metadata has on inner ones only.
pub const PACKED_TO_4: &[&str] = &[
    "CM_PARTIAL_RESOURCE_DESCRIPTOR",
    "CM_PARTIAL_RESOURCE_DESCRIPTOR_0",
    "CM_PARTIAL_RESOURCE_LIST",
    "CM_FULL_RESOURCE_DESCRIPTOR",
    "CM_RESOURCE_LIST",
];

/// Fields under `#if !defined(_X86_)`, which the metadata leaves out: struct, the field that
/// follows, the missing fields.
pub const INSERTED: &[(&str, &str, Missing)] = &[
    ("ERESOURCE", "Anonymous2", &[("Reserved2", "*mut core::ffi::c_void")]),
    ("KTIMER", "Period", &[("Processor", "u16"), ("TimerType", "u16")]),
];

/// Name and type of fields.
type Missing = &'static [(&'static str, &'static str)];

/// Fields that only the 32-bit headers have.
pub const REMOVED: &[(&str, &str)] = &[
    ("KFLOATING_SAVE", "StatusWord"),
    ("KFLOATING_SAVE", "ErrorOffset"),
    ("KFLOATING_SAVE", "ErrorSelector"),
    ("KFLOATING_SAVE", "DataOffset"),
    ("KFLOATING_SAVE", "DataSelector"),
    ("KFLOATING_SAVE", "Spare0"),
    ("KFLOATING_SAVE", "Spare1"),
    ("XSTATE_CONTEXT", "Reserved2"),
    ("XSTATE_CONTEXT", "Reserved3"),
];

/// Constants that only the 32-bit headers have, or whose value for x86-64 is written by hand in
/// `inline/constants.rs`.
pub const DROPPED: &[&str] = &[
    "CLOCK1_LEVEL",
    "CLOCK2_LEVEL",
    "KI_USER_SHARED_DATA",
    "PDE_BASE",
    "PDE_TOP",
    "PTE_BASE",
    "PTE_TOP",
    "SharedInterruptTime",
    "SharedSystemTime",
    "SharedTickCount",
];

/// Constants whose value the metadata takes from the 32-bit headers, from an annotation meant
/// for static analysis (`__string_type` and the like in `DEVICE_REGISTRY_PROPERTY`), or without
/// the cast to `UCHAR`.
pub const VALUES: &[(&str, u64)] = &[
    ("CLOCK_LEVEL", 13),
    ("DevicePropertyBusTypeGuid", 0xC),
    ("DevicePropertyClassGuid", 0x6),
    ("DevicePropertyClassName", 0x5),
    ("DevicePropertyCompatibleIDs", 0x2),
    ("DevicePropertyContainerID", 0x16),
    ("DevicePropertyDeviceDescription", 0x0),
    ("DevicePropertyDriverKeyName", 0x7),
    ("DevicePropertyEnumeratorName", 0xF),
    ("DevicePropertyFriendlyName", 0x9),
    ("DevicePropertyHardwareID", 0x1),
    ("DevicePropertyLocationInformation", 0xA),
    ("DevicePropertyManufacturer", 0x8),
    ("DevicePropertyPhysicalDeviceObjectName", 0xB),
    ("FS_FILTER_ACQUIRE_FOR_CC_FLUSH", 251),
    ("FS_FILTER_ACQUIRE_FOR_MOD_WRITE", 253),
    ("FS_FILTER_ACQUIRE_FOR_SECTION_SYNCHRONIZATION", 255),
    ("FS_FILTER_RELEASE_FOR_CC_FLUSH", 250),
    ("FS_FILTER_RELEASE_FOR_MOD_WRITE", 252),
    ("FS_FILTER_RELEASE_FOR_SECTION_SYNCHRONIZATION", 254),
    ("HIGH_LEVEL", 15),
    ("IPI_LEVEL", 14),
    ("KERNEL_LARGE_STACK_COMMIT", 0x6000),
    ("KERNEL_LARGE_STACK_SIZE", 0x12000),
    ("KERNEL_STACK_SIZE", 0x6000),
    ("POWER_LEVEL", 14),
    ("PROFILE_LEVEL", 15),
];
