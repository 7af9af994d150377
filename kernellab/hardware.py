"""What a target offers besides drivers: its error log, and devices that come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .driver import DeviceHandle, Driver
    from .lab import Target


class Hardware:
    """The part of :class:`~kernellab.lab.Target` that is about the machine around drivers."""

    def call(self, command: str, *, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """One request; see :meth:`kernellab.lab.Target.call`."""
        raise NotImplementedError

    @property
    def error_log(self) -> list[dict[str, Any]]:
        """What drivers wrote with IoWriteErrorLogEntry, and hard errors, oldest first.

        Each entry has ``driver``, ``device``, ``time`` (virtual seconds) and ``strings``; a log
        entry also ``error`` (the message's code), ``status``, ``unique``, ``dump`` (hexadecimal)
        and the rest of its packet, a hard error ``hard_error``, an NTSTATUS by name.
        """
        return cast("list[dict[str, Any]]", self.call("error_log")["entries"])

    @property
    def devices(self) -> list[DeviceNode]:
        """The devices that drivers have been given with ``driver.add_device``, and the children
        that bus drivers have reported, in the order they came."""
        found = self.call("device", action="list")["devices"]
        return [DeviceNode(cast("Target", self), fields) for fields in found]

    def interrupt(self, vector: int, *, after: float | None = None) -> None:
        """A device interrupts: the service routines that are connected to ``vector`` are called.

        ``after`` is in seconds of virtual time, for an interrupt in the middle of something else;
        without it the interrupt comes now. Raises NtStatusError where nothing is connected now.
        """
        more = {} if after is None else {"after": after}
        self.call("fire", vector=vector, **more)

    @property
    def wmi_blocks(self) -> list[dict[str, Any]]:
        """What devices have registered with IoWMIRegistrationControl: ``guid flags instances``."""
        return cast("list[dict[str, Any]]", self.call("wmi", action="list")["blocks"])

    @property
    def wmi_events(self) -> list[dict[str, Any]]:
        """What drivers have sent with IoWMIWriteEvent: ``driver guid data time``, oldest first.

        ``data`` is what follows the WNODE_HEADER, hexadecimal.
        """
        return cast("list[dict[str, Any]]", self.call("wmi", action="list")["events"])

    def wmi_query(self, guid: str) -> list[bytes]:
        """The data of each instance of a block (IRP_MN_QUERY_ALL_DATA). Raises NtStatusError."""
        found = self.call("wmi", action="query", guid=guid)["instances"]
        return [bytes.fromhex(data) for data in found]

    def wmi_enable_events(self, guid: str, enable: bool = True) -> None:
        """Send IRP_MN_ENABLE_EVENTS, or IRP_MN_DISABLE_EVENTS, for an event block."""
        self.call("wmi", action="enable" if enable else "disable", guid=guid)


class DeviceNode:
    """A Plug and Play device: what ``driver.add_device`` made, or a bus driver reported.

    Its methods send what Windows sends; each raises NtStatusError where a driver refuses it.
    """

    def __init__(self, target: Target, fields: dict[str, Any]) -> None:
        self._target = target
        self._fields = fields

    @property
    def instance(self) -> str:
        r"""The device instance path, such as ``ROOT\SAMPLE\0000``."""
        return str(self._fields["instance"])

    @property
    def hardware_ids(self) -> list[str]:
        """Its hardware identifiers, most specific first."""
        return list(self._fields["hardware_ids"])

    @property
    def state(self) -> str:
        """``added``, ``started``, ``stopped``, ``surprise removed`` or ``removed``."""
        return str(self._refresh()["state"])

    @property
    def power_state(self) -> str:
        """``D0`` to ``D3``: what the last power IRP that reached the bus set."""
        return str(self._refresh()["power"])

    @property
    def interfaces(self) -> list[str]:
        r"""The names of its enabled device interfaces, ``\??\…``: :meth:`open` opens the first."""
        return list(self._refresh()["interfaces"])

    def start(self, *, timeout: float | None = None) -> None:
        """IRP_MN_START_DEVICE, after :meth:`stop`."""
        self._do("start", timeout)

    def stop(self, *, timeout: float | None = None) -> None:
        """IRP_MN_QUERY_STOP_DEVICE and IRP_MN_STOP_DEVICE, as for a rebalance of resources."""
        self._do("stop", timeout)

    def remove(self, *, timeout: float | None = None) -> None:
        """IRP_MN_QUERY_REMOVE_DEVICE and IRP_MN_REMOVE_DEVICE, children first.

        After a surprise removal with handles that were open, IRP_MN_REMOVE_DEVICE alone.
        """
        self._do("remove", timeout)

    def surprise_remove(self, *, timeout: float | None = None) -> None:
        """IRP_MN_SURPRISE_REMOVAL, and where no handle is open IRP_MN_REMOVE_DEVICE."""
        self._do("surprise_remove", timeout)

    def power(self, state: str, *, timeout: float | None = None) -> None:
        """Send the power IRPs of a device state (``D0`` to ``D3``) or a system state (``S0`` …)."""
        self._do("power", timeout, state=state)

    def bind(self, driver: Driver, *, timeout: float | None = None) -> None:
        """Make ``driver`` the function driver of a device that a bus driver has reported."""
        self._do("bind", timeout, driver=driver.name)

    def open(self, *, timeout: float | None = None) -> DeviceHandle:
        """Open its first enabled device interface."""
        names = self.interfaces
        if not names:
            from .errors import UsageError

            raise UsageError(f"{self.instance} has no enabled device interface")
        return self._target.open(names[0].replace("\\??\\", "\\\\?\\", 1), timeout=timeout)

    def _do(self, action: str, timeout: float | None, **more: Any) -> None:
        number = self._fields["node"]
        fields = {"action": action, "node": number, **more}
        self._fields = self._target.call("device", timeout=timeout, **fields)

    def _refresh(self) -> dict[str, Any]:
        if self._fields["state"] != "removed":
            found = self._target.call("device", action="list")["devices"]
            gone = {**self._fields, "state": "removed", "interfaces": []}
            mine = (f for f in found if f["node"] == self._fields["node"])
            self._fields = next(mine, gone)
        return self._fields

    def __repr__(self) -> str:
        return f"<DeviceNode {self.instance}: {self._fields['state']}>"


def add_device(
    driver: Driver,
    *,
    hardware_ids: Sequence[str],
    compatible_ids: Sequence[str],
    description: str,
    interrupt: int,
    memory: Sequence[tuple[int, int]],
    ports: Sequence[tuple[int, int]],
    timeout: float | None,
) -> DeviceNode:
    """Make a device on the root bus: see :meth:`kernellab.driver.Driver.add_device`."""
    fields = driver.target.call(
        "device",
        timeout=timeout,
        action="add",
        driver=driver.name,
        hardware_ids=list(hardware_ids),
        compatible_ids=list(compatible_ids),
        description=description,
        interrupt=interrupt,
        memory=[list(each) for each in memory],
        ports=[list(each) for each in ports],
    )
    return DeviceNode(driver.target, fields)
