"""What drivers import from ``ntoskrnl.exe`` and ``hal.dll``: one module a family.

An export is one function with the :func:`~.registry.export` decorator, whose C signature is all
of the marshalling and whose ``irql`` is all of the IRQL rule. To add one, write the function in
its family's module; to add a family, name its module in :data:`FAMILIES`. See
:mod:`.registry` for what a handler gets and may do.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from .registry import Export, registered

#: The modules that hold exports, imported once by :func:`table`.
FAMILIES: Final = (
    "dbg",
    "pool",
    "io_device",
    "io_irp",
    "io_build",
    "io_csq",
    "io_requestor",
    "io_removelock",
    "io_startio",
    "ke_device_queue",
    "ke",
    "ke_spinlock",
    "ke_wait",
    "ke_dpc",
    "ke_region",
    "ke_time",
    "ke_thread",
    "ke_float",
    "ex_timer",
    "ex_work",
    "ke_mutex",
    "ke_spinlock_queued",
    "ex_fastmutex",
    "ex_pushlock",
    "ex_resource",
    "ex_rundown",
    "ex_interlocked",
    "ps_thread",
    "ob",
    "ob_names",
    "ob_event",
    "ob_callback",
    "ex_callback",
    "cm",
    "cm_callback",
    "cm_watch",
    "rtl_registry",
    "zw_file",
    "zw_security",
    "mm",
    "mm_mdl",
    "mm_user",
    "mm_physical",
    "mm_section",
    "ex_lookaside",
    "ps",
    "ps_notify",
    "ps_process",
    "rtl",
    "rtl_exception",
    "rtl_oem",
    "rtl_sizes",
    "rtl_security",
    "rtl_address",
    "rtl_version",
    "rtl_misc",
    "rtl_table",
    "rtl_avl",
    "rtl_string",
    "rtl_convert",
    "crt",
    "dbg_callback",
    "io_dma",
    "io_driver",
    "io_errorlog",
    "io_interrupt",
    "io_mount",
    "io_pnp",
    "io_pnp_notify",
    "io_pnp_registry",
    "io_wmi",
    "io_volume",
    "ke_bugcheck",
    "ke_misc",
    "crt_text",
    "crt_secure",
    "pnp_bus",
    "po",
    "rtl_large",
    "se",
)


@cache
def table() -> dict[str, Export]:
    """All exports by name, in a fixed order."""
    for family in FAMILIES:
        import_module(f".{family}", __package__)
    return dict(sorted(registered().items()))
