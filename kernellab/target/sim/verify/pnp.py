"""Plug and Play: what drivers owe the PnP manager."""

from __future__ import annotations

from .base import ToldRule


class PnpInitializing(ToldRule):
    """The I/O manager clears the flag after DriverEntry only."""

    name = "pnp-initializing"
    summary = "AddDevice left DO_DEVICE_INITIALIZING set in its device's Flags"
    page = 'WDK: "Writing an AddDevice Routine"'


class PnpNotDetached(ToldRule):
    """The PDO below goes away: what stays attached to it points nowhere."""

    name = "pnp-not-detached"
    summary = "a removed device's stack was not taken down (IoDetachDevice, IoDeleteDevice)"
    page = 'WDK: "Handling an IRP_MN_REMOVE_DEVICE Request"'


class PnpIrpFailed(ToldRule):
    """Some requests tell what has happened already: there is nothing to refuse."""

    name = "pnp-irp-failed"
    summary = "a driver failed a PnP or power IRP that it has to succeed"
    page = 'WDK: "Plug and Play Minor IRPs"; "IRP_MN_SET_POWER"'


class PnpInterfaceEnabled(ToldRule):
    """Whoever opens the interface afterwards would reach a device that is gone."""

    name = "pnp-interface-enabled"
    summary = "a device was removed while one of its interfaces was enabled"
    page = 'WDK: "IoSetDeviceInterfaceState function (wdm.h)"'
