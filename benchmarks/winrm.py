"""A driver over WinRM: the guest agent in Wine behind the tests' WinRM service, NTLM over HTTP."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import kernellab
from kernellab.protocol import PUT_CHUNK
from kernellab.sources import build_text
from tests.drivers import driver_source
from tests.winrm.conftest import PASSWORD, USER, ntlm_users
from tests.winrm.machine import SERVER, WINE, Machine, wine_machine
from tests.winrm.server import WinRMServer

from .harness import HELLO, Row
from .kernel import driver_image

_LINES, _REQUESTS, _UPLOAD = 5000, 50, 1 << 20


def winrm_rows(runs: int) -> Sequence[Row]:
    """Rebuilt driver to first line, ioctl from Python, round trip, upload, lines a second."""
    if not WINE.exists() or not SERVER.exists():
        return [Row("over WinRM: Wine is not installed", [], None, "s")]
    first, trips, uploads, lines = [], [], [], []
    many = build_text(
        "many", driver_source(f'for i in 0..{_LINES} {{ println!("line {{i}}"); }}')
    ).sys
    data = os.urandom(_UPLOAD)
    with bench_machine(), kernellab.connect("bench", arguments="--wine") as target:
        target.load(driver_image("device"))
        for number in range(runs):
            hello = build_text("hello", HELLO.replace("NUMBER", str(number))).sys
            start = time.perf_counter()
            driver = target.load(hello)
            assert driver.log.lines == [f"hello number {number} from the kernel"]
            first.append(time.perf_counter() - start)
            driver.unload()
            with target.open(r"\\.\Echo") as device:
                start = time.perf_counter()
                for _ in range(_REQUESTS):
                    device.ioctl(0x222000, b"12345678", out_size=8)
                trips.append((time.perf_counter() - start) / _REQUESTS * 1e3)
            start = time.perf_counter()
            for at in range(0, _UPLOAD, PUT_CHUNK):
                chunk = data[at : at + PUT_CHUNK]
                target._request("put", 10, file="upload.bin", offset=at, data=chunk)
            uploads.append(time.perf_counter() - start)
            start = time.perf_counter()
            driver = target.load(many, timeout=60)
            while len(driver.log) < _LINES and time.perf_counter() - start < 60:
                time.sleep(0.001)
            lines.append(_LINES / (time.perf_counter() - start))
            assert driver.log.lines == [f"line {i}" for i in range(_LINES)]
            driver.unload()
    return [
        Row("over WinRM: rebuilt driver to first line, after the build", first, 1, "s"),
        Row("over WinRM: ioctl from Python, round trip", trips, 10, "ms"),
        Row("over WinRM: 1 MiB put there", uploads, 0.5, "s"),
        Row("over WinRM: lines a second, all there", lines, 5000, "1/s", smaller=False),
    ]


@contextmanager
def bench_machine() -> Iterator[WinRMServer]:
    """A Wine machine with a WinRM service, named ``bench`` in a kernellab.toml of its own."""
    with tempfile.TemporaryDirectory(prefix="winrm-") as name, wine_machine() as prefix:
        folder = Path(name)
        machine = Machine(folder, prefix=prefix)
        machine.change(registry={r"HKLM:\SOFTWARE\kernellab|LabMachine": ["DWord", 1]})
        (folder / "users").write_text(ntlm_users())
        with WinRMServer(machine, {USER: PASSWORD}) as server:
            (folder / "kernellab.toml").write_text(
                f'[targets.bench]\nhost = "127.0.0.1"\nport = {server.port}\nuser = "{USER}"\n'
                'scheme = "http"\nlab-machine = true\n'
            )
            given = {
                "NTLM_USER_FILE": str(folder / "users"),
                "KERNELLAB_PASSWORD_BENCH": PASSWORD,
                "KERNELLAB_CONFIG": str(folder / "kernellab.toml"),
            }
            before = {key: os.environ.get(key) for key in given}
            os.environ.update(given)
            try:
                yield server
            finally:
                for key, value in before.items():
                    os.environ.pop(key)
                    if value is not None:
                        os.environ[key] = value
