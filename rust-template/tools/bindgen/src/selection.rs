//! What is taken from the metadata, and what is left out.

use std::collections::BTreeSet;

/// Namespaces taken whole.
pub const NAMESPACES: &[&str] = &[
    "Windows.Wdk.Foundation",
    "Windows.Wdk.Storage.FileSystem",
    "!Windows.Wdk.Storage.FileSystem.Minifilters",
    "Windows.Wdk.System.IO",
    "Windows.Wdk.System.Memory",
    "Windows.Wdk.System.Registry",
    "Windows.Wdk.System.SystemInformation",
    "Windows.Wdk.System.SystemServices",
    "Windows.Wdk.System.Threading",
];

/// Namespaces shared with programs: only what [`wanted_shared`] names is taken.
pub const SHARED: &[&str] = &[
    "Windows.Win32.Foundation",
    "Windows.Win32.Security",
    "!Windows.Win32.Security.Authentication",
    "!Windows.Win32.Security.Authorization",
    "Windows.Win32.Storage.FileSystem",
    "Windows.Win32.System.Diagnostics.Debug",
    "!Windows.Win32.System.Diagnostics.Debug.ActiveScript",
    "!Windows.Win32.System.Diagnostics.Debug.Extensions",
    "!Windows.Win32.System.Diagnostics.Debug.WebApp",
    "Windows.Win32.System.Ioctl",
    "Windows.Win32.System.Kernel",
    "Windows.Win32.System.Memory",
    "Windows.Win32.System.Registry",
    "Windows.Win32.System.SystemServices",
    "Windows.Win32.System.Threading",
    "Windows.Win32.System.WindowsProgramming",
];

/// Prefixes of the constants of [`SHARED`] that drivers use.
const PREFIXES: &[&str] = &["STATUS_", "FILE_DEVICE_", "METHOD_", "GENERIC_", "KEY_", "REG_"];

/// Other names of [`SHARED`] that drivers use. An enumeration brings its constants.
const NAMES: &[&str] = &[
    "BUGCHECK_ERROR",
    "EVENT_TYPE",
    "FILE_ACCESS_RIGHTS",
    "FILE_ANY_ACCESS",
    "FILE_FLAGS_AND_ATTRIBUTES",
    "FILE_READ_ACCESS",
    "FILE_SHARE_MODE",
    "FILE_SPECIAL_ACCESS",
    "FILE_WRITE_ACCESS",
    "MAXIMUM_ALLOWED",
    "PROCESS_ACCESS_RIGHTS",
    "THREAD_ACCESS_RIGHTS",
    "TIMER_TYPE",
    "WAIT_TYPE",
    "PAGE_PROTECTION_FLAGS",
    "EXCEPTION_RECORD",
    "CONTEXT",
    "M128A",
    // Functions that the metadata files under ntdll.dll and the kernel exports too.
    "SLIST_ENTRY",
    "SLIST_HEADER",
    "RtlAnsiStringToUnicodeString",
    "RtlCaptureContext",
    "RtlCaptureStackBackTrace",
    "RtlCharToInteger",
    "RtlCompareMemory",
    "RtlConvertSidToUnicodeString",
    "RtlFreeAnsiString",
    "RtlFreeOemString",
    "RtlFreeUnicodeString",
    "RtlInitAnsiString",
    "RtlInitString",
    "RtlInitUnicodeString",
    "RtlIsNameLegalDOS8Dot3",
    "RtlTimeToSecondsSince1970",
    "RtlUnicodeStringToAnsiString",
    "RtlUnicodeStringToOemString",
    "RtlUnicodeToMultiByteSize",
];

/// Whether an item of the shared namespaces is for drivers.
pub fn wanted_shared(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the constants of a type of the shared namespaces are for drivers.
pub fn wanted_values(ty: &str) -> bool {
    !["WIN32_ERROR", "HRESULT", "NTSTATUS", "HANDLE", "GUID", "PCWSTR"].contains(&ty)
}

/// Inline functions and callback types that the metadata lists as if they were exported.
const NOT_EXPORTED: &[&str] = &[
    "CcErrorCallbackRoutine",
    "KeFlushIoBuffers",
    "KeInitializeSpinLock",
    "MmIsFileSectionActive",
];

/// `Nt*` routines that the kernel exports: the metadata files all of them under ntdll.dll,
/// which a driver cannot load. Drivers call `Zw*` where a name is not here.
const NT_EXPORTED: &[&str] = &[
    "NtAdjustPrivilegesToken",
    "NtAllocateVirtualMemory",
    "NtClose",
    "NtCommitComplete",
    "NtCommitEnlistment",
    "NtCommitTransaction",
    "NtCreateEnlistment",
    "NtCreateEvent",
    "NtCreateFile",
    "NtCreateResourceManager",
    "NtCreateSection",
    "NtCreateTransaction",
    "NtCreateTransactionManager",
    "NtDeleteFile",
    "NtDeviceIoControlFile",
    "NtDuplicateObject",
    "NtDuplicateToken",
    "NtEnumerateTransactionObject",
    "NtFreeVirtualMemory",
    "NtFsControlFile",
    "NtLockFile",
    "NtMapViewOfSection",
    "NtNotifyChangeDirectoryFile",
    "NtOpenEnlistment",
    "NtOpenFile",
    "NtOpenProcess",
    "NtOpenProcessToken",
    "NtOpenProcessTokenEx",
    "NtOpenResourceManager",
    "NtOpenThread",
    "NtOpenThreadToken",
    "NtOpenThreadTokenEx",
    "NtOpenTransaction",
    "NtOpenTransactionManager",
    "NtPrePrepareComplete",
    "NtPrePrepareEnlistment",
    "NtPrepareComplete",
    "NtPrepareEnlistment",
    "NtPropagationComplete",
    "NtPropagationFailed",
    "NtQueryDirectoryFile",
    "NtQueryEaFile",
    "NtQueryInformationEnlistment",
    "NtQueryInformationFile",
    "NtQueryInformationProcess",
    "NtQueryInformationResourceManager",
    "NtQueryInformationThread",
    "NtQueryInformationToken",
    "NtQueryInformationTransaction",
    "NtQueryInformationTransactionManager",
    "NtQueryQuotaInformationFile",
    "NtQuerySecurityObject",
    "NtQuerySystemInformation",
    "NtQueryVolumeInformationFile",
    "NtReadFile",
    "NtReadOnlyEnlistment",
    "NtRecoverEnlistment",
    "NtRecoverResourceManager",
    "NtRecoverTransactionManager",
    "NtRollbackComplete",
    "NtRollbackEnlistment",
    "NtRollbackTransaction",
    "NtSetEaFile",
    "NtSetEvent",
    "NtSetInformationEnlistment",
    "NtSetInformationFile",
    "NtSetInformationProcess",
    "NtSetInformationResourceManager",
    "NtSetInformationThread",
    "NtSetInformationToken",
    "NtSetInformationTransaction",
    "NtSetQuotaInformationFile",
    "NtSetSecurityObject",
    "NtSetVolumeInformationFile",
    "NtUnlockFile",
    "NtWaitForSingleObject",
    "NtWriteFile",
];

/// `Rtl*` and `Zw*` of ntdll.dll that the kernel does not export.
const USER_MODE_ONLY: &[&str] = &[
    "RtlAllocateAndInitializeSid",
    "RtlAllocateAndInitializeSidEx",
    "RtlCreateServiceSid",
    "RtlCreateVirtualAccountSid",
    "RtlDosPathNameToNtPathName_U_WithStatus",
    "RtlEqualPrefixSid",
    "RtlFreeSid",
    "RtlGetNtProductType",
    "RtlIdentifierAuthoritySid",
    "RtlInitializeSidEx",
    "RtlIsDosDeviceName_U",
    "RtlIsUntrustedObject",
    "RtlNormalizeSecurityDescriptor",
    "RtlQueryProcessPlaceholderCompatibilityMode",
    "RtlQueryThreadPlaceholderCompatibilityMode",
    "RtlSetProcessPlaceholderCompatibilityMode",
    "RtlSetThreadPlaceholderCompatibilityMode",
    "ZwAccessCheckByTypeAndAuditAlarm",
    "ZwAccessCheckByTypeResultListAndAuditAlarm",
    "ZwAccessCheckByTypeResultListAndAuditAlarmByHandle",
    "ZwAdjustGroupsToken",
    "ZwCancelIoFileEx",
    "ZwDeleteObjectAuditAlarm",
    "ZwFilterToken",
    "ZwOpenObjectAuditAlarm",
    "ZwPrivilegeCheck",
    "ZwPrivilegeObjectAuditAlarm",
    "ZwPrivilegedServiceAuditAlarm",
    "ZwQueryMultipleValueKey",
    "ZwQuerySystemTime",
    "ZwQueryTimerResolution",
    "ZwRegisterProtocolAddressInformation",
];

/// Where a driver imports `name` from, or `None` for what no driver can import.
///
/// Names of `ntdll.dll` that exist in kernel mode are exported by `ntoskrnl.exe` there.
/// `hal.dll` stays: every Windows has it (a set of forwarders since Windows 10 2004).
pub fn module_of(module: &str, name: &str) -> Option<&'static str> {
    if NOT_EXPORTED.contains(&name) || USER_MODE_ONLY.contains(&name) {
        return None;
    }
    match module.to_ascii_lowercase().as_str() {
        "ntoskrnl.exe" => Some("ntoskrnl.exe"),
        "hal.dll" => Some("hal.dll"),
        "ntdll.dll" if name.starts_with("Nt") => {
            NT_EXPORTED.contains(&name).then_some("ntoskrnl.exe")
        }
        "ntdll.dll" => Some("ntoskrnl.exe"),
        "kernel32.dll"
            if name == "RtlCaptureContext"
                || name == "RtlCaptureStackBackTrace"
                || name == "RtlCompareMemory" =>
        {
            Some("ntoskrnl.exe")
        }
        _ => None,
    }
}

/// Names found in both sets, to tell a namespace's own filter from its content.
pub fn filters(shared: &BTreeSet<String>) -> Vec<String> {
    NAMESPACES.iter().map(ToString::to_string).chain(shared.iter().cloned()).collect()
}
