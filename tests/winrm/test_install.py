"""``kernellab target install``: the answer file, its disk, and the machine that QEMU runs."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest

from kernellab.errors import UsageError
from kernellab.target.power import floppy
from kernellab.target.power.base import RUNNING, power
from kernellab.target.power.machine import QemuMachine
from kernellab.target.power.qemu import Qemu
from kernellab.target.winrm import answers, scripts
from tests.winrm import test_prepare
from tests.winrm.conftest import PASSWORD
from tests.winrm.test_powershell import mistakes

QEMU, MTOOLS = shutil.which("qemu-system-x86_64"), shutil.which("mcopy")
NS = {"": "urn:schemas-microsoft-com:unattend"}
WCM = "{http://schemas.microsoft.com/WMIConfig/2002/State}"
HOSTILE = "a&<b>]]>\"'{user} %d ü"

run = test_prepare.run


def component(root: ET.Element, phase: str, name: str) -> ET.Element:
    (found,) = root.findall(f"settings[@pass='{phase}']/component[@name='{name}']", NS)
    return found


def texts(root: ET.Element, path: str) -> list[str | None]:
    return [each.text for each in root.findall(path, NS)]


def test_the_answers_make_a_machine_that_prepare_can_work_on() -> None:
    root = ET.fromstring(answers.answer_file("lab & co", HOSTILE, index=2))
    assert root.tag == f"{{{NS['']}}}unattend"
    everything = root.findall("settings/component", NS)
    for each in everything:
        assert each.get("processorArchitecture") == "amd64"
        assert (each.get("language"), each.get("versionScope")) == ("neutral", "nonSxS")
        assert each.get("publicKeyToken") == "31bf3856ad364e35"
    passes = [each.get("pass") for each in root.findall("settings", NS)]
    assert passes == ["windowsPE", "offlineServicing", "specialize", "oobeSystem"]
    for item in root.iter():
        listed = item.tag.split("}")[1] in {
            "Disk",
            "LocalAccount",
            "SynchronousCommand",
            "MetaData",
        }
        assert (item.get(f"{WCM}action") == "add") or not listed
    setup = component(root, "windowsPE", "Microsoft-Windows-Setup")
    assert texts(setup, ".//MetaData/Value") == ["2"]
    # Where it is installed to is the partition that is made, formatted and booted from.
    made = [texts(setup, path) for path in (".//CreatePartition/Order", ".//PartitionID")]
    assert made == [["1"], ["1", "1"]] and texts(setup, ".//ModifyPartition/Active") == ["true"]
    shell = component(root, "oobeSystem", "Microsoft-Windows-Shell-Setup")
    assert texts(shell, ".//LocalAccount/Group") == ["Administrators"]
    assert texts(shell, ".//LocalAccount/Name") == texts(shell, ".//Username") == ["lab & co"]
    assert texts(shell, ".//Password/Value") == [HOSTILE, HOSTILE]
    (line,) = texts(shell, "FirstLogonCommands/SynchronousCommand/CommandLine")
    assert line is not None and r"-File A:\first.ps1 >" in line
    # What the first logon runs is what `prepare --script` prints: WinRM over HTTPS, rights.
    script = scripts.text("first")
    assert mistakes(script) == []
    for wanted in ("-Transport HTTPS", "LocalAccountTokenFilterPolicy", "-LocalPort 5986"):
        assert wanted in script


@pytest.mark.parametrize(
    ("user", "password", "more"),
    [
        ("a/b", "x", {}),
        ("u" * 21, "x", {}),
        ("lab.", "x", {}),
        ("lab", "", {}),
        ("lab", "two\nlines", {}),
        ("lab", "x", {"computer": "too-long-a-name-"}),
        ("lab", "x", {"index": 0}),
    ],
)
def test_what_windows_does_not_take_is_refused(
    user: str, password: str, more: dict[str, object]
) -> None:
    with pytest.raises(UsageError):
        answers.answer_file(user, password, **more)  # type: ignore[arg-type]


def read(disk: bytes) -> dict[str, bytes]:
    """The files of a FAT12 floppy disk by their names, as the specification has it."""
    size, per, reserved, fats, roots, sectors, _, fat_size = struct.unpack_from(
        "<HBHBHHBH", disk, 11
    )
    assert (size, per, sectors * size, disk[510:512]) == (512, 1, len(disk), b"\x55\xaa")
    start = reserved * size
    assert (
        disk[start : start + fat_size * size] == disk[start + fat_size * size :][: fat_size * size]
    )
    folder = start + fats * fat_size * size
    found, name = {}, ""
    for at in range(folder, folder + roots * 32, 32):
        entry = disk[at : at + 32]
        if entry[0] == 0:
            break
        if entry[11] == 0x0F:
            units = entry[1:11] + entry[14:26] + entry[28:32]
            name = units.decode("utf-16-le").split("\0")[0].rstrip("\uffff") + name
            continue
        if not entry[11] & 8:
            stem, kind = entry[:8].decode().rstrip(), entry[8:11].decode().rstrip()
            cluster, length = struct.unpack_from("<HI", entry, 26)
            content = b""
            while 2 <= cluster < 0xFF8:
                content += disk[folder + roots * 32 + (cluster - 2) * size :][:size]
                pair = int.from_bytes(disk[start + cluster * 3 // 2 :][:2], "little")
                cluster = pair >> 4 if cluster % 2 else pair & 0xFFF
            found[name or f"{stem}.{kind}"] = content[:length]
        name = ""
    return found


FILES = {"autounattend.xml": b"x" * 5000, "EMPTY.TXT": b"", "first.ps1": bytes(range(256)) * 40}


def test_the_floppy_disk_has_its_files() -> None:
    disk = floppy.image(FILES)
    assert len(disk) == 1440 * 1024 and disk == floppy.image(FILES)
    assert read(disk) == FILES
    for wrong in ({"big": bytes(1440 * 1024)}, {"a/b": b""}, {"": b""}):
        with pytest.raises(UsageError):
            floppy.image(wrong)


@pytest.mark.skipif(MTOOLS is None, reason="mtools is not installed")
def test_other_people_can_read_the_floppy_disk(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(floppy.image(FILES))
    for name, content in FILES.items():
        line = [str(MTOOLS), "-n", "-i", "disk.img", f"::{name}", "out"]
        subprocess.run(line, cwd=tmp_path, check=True, capture_output=True, timeout=30)
        assert (tmp_path / "out").read_bytes() == content
        (tmp_path / "out").unlink()


def test_what_is_printed_and_written(run: test_prepare.Run, tmp_path: Path) -> None:
    iso = tmp_path / "win, 11.iso"
    assert run("install", "vm", "--iso", str(iso)).code == 2
    iso.write_bytes(b"")
    done = run("install", "vm", "--iso", str(iso), "--index", "2")
    assert done.code == 0
    folder = Path.cwd() / "vm"
    answered = read((folder / "answers.img").read_bytes())
    assert set(answered) == {"autounattend.xml", "first.ps1"}
    assert PASSWORD in texts(ET.fromstring(answered["autounattend.xml"]), ".//Value")
    assert answered["first.ps1"].decode().splitlines() == scripts.text("first").splitlines()
    if os.name != "nt":
        assert (folder / "answers.img").stat().st_mode & 0o077 == 0
    assert f"qemu-img create -q -f qcow2 {folder / 'vm.qcow2'} 64G" in done.out
    assert "win,, 11.iso,media=cdrom" in done.out and "hostfwd=tcp:127.0.0.1:5986-:5986" in done.out
    # What is printed next: a target, that can be switched with the tables.
    line = next(each for each in done.out.splitlines() if "target add" in each)
    added = run(*[word for word in line.split()[2:] if word != "--fetch-certificate"])
    assert added.code == 0
    file = tmp_path / "user" / "kernellab.toml"
    file.write_text(file.read_text() + done.out.partition("hears it boot:\n\n")[2])
    assert run("power", "vm", "state").out.strip() == "off"
    (folder / "vm.qcow2").write_bytes(b"")
    refused = run("install", "vm", "--iso", str(iso))
    assert refused.code == 2 and "is there already" in refused.error


@pytest.mark.skipif(QEMU is None, reason="QEMU is not installed")
def test_qemu_runs_the_machine(run: test_prepare.Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    iso = tmp_path / "nothing.iso"
    iso.write_bytes(bytes(1 << 16))
    words = ["--iso", str(iso), "--port", str(port), "--size", "1G", "--memory", "64M"]
    done = run("install", "vm", *words, "--headless", "--run")
    assert done.code == 0, done.error
    vm = QemuMachine("vm", Path.cwd() / "vm", port)
    machine = power({"kind": "qemu", "socket": vm.place("qmp")}, tmp_path)
    assert isinstance(machine, Qemu)
    try:
        assert machine.state() == RUNNING
        drives = [each["inserted"] for each in machine._ask("query-block") if "inserted" in each]
        assert {each["image"]["filename"]: each["ro"] for each in drives} == {
            str(vm.disk): False,
            str(iso): True,
            str(vm.folder / "answers.img"): True,
        }
        with socket.socket(socket.AF_UNIX) as serial:
            serial.connect(vm.place("kd"))
        with socket.create_connection(("127.0.0.1", port)):
            pass
    finally:
        machine.stop(grace=0)
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(vm.folder)]
    assert left == []
