"""The machine behind the test service: a C: drive, programs, a state that PowerShell changes.

Windows programs run in Wine, where that is installed. A file that begins with ``#!python`` is run
by this Python, so that transports can be tested where it is not. ``powershell.exe`` is
:mod:`tests.winrm.pwsh`, which knows the scripts of the package and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any, Final

WINE: Final = Path("/usr/lib/wine/wine64")
SERVER: Final = WINE.with_name("wineserver64")
HERE: Final = Path(__file__).parent

#: A machine as it comes out of the installer.
FRESH: Final[dict[str, Any]] = {
    "facts": {
        **{"system": "Microsoft Windows 10 Pro", "version": "10.0.19045", "architecture": "AMD64"},
        **{
            "administrator": True,
            "secure_boot": False,
            "free_bytes": 30 << 30,
            "powershell": "5.1",
        },
        **{"boot_time": "2026-01-01T00:00:00Z", "clock_off": 0.0},
        **{"start_options": " NOEXECUTE=OPTIN", "memory_integrity_runs": False},
    },
    "registry": {
        r"HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl|CrashDumpEnabled": ["DWord", 7],
        r"HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl|AutoReboot": ["DWord", 1],
        r"HKLM:\SYSTEM\CurrentControlSet\Control\DeviceGuard\Scenarios"
        r"\HypervisorEnforcedCodeIntegrity|Enabled": ["DWord", 1],
    },
    "bcd": {},
    "wsman": {
        r"Shell\MaxMemoryPerShellMB": "512",
        r"Shell\MaxShellsPerUser": "5",
        r"Shell\MaxProcessesPerShell": "15",
        r"Shell\IdleTimeout": "180000",
        "MaxEnvelopeSizekb": "150",
    },
    "certificates": {},
    "boots": 1,
}


def split(text: str) -> list[str]:
    """Arguments as CommandLineToArgvW has them, without its rules for backslashes."""
    return [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', text)]


class Machine:
    """``root`` holds ``drive_c`` and ``state.json``."""

    def __init__(self, root: Path, *, prefix: Path | None = None, skips_cmd: bool = True) -> None:
        self.root, self.prefix = root, prefix
        #: Whether the service runs commands without cmd.exe when asked; newer Windows does not.
        self.skips_cmd = skips_cmd
        self.drive = prefix / "drive_c" if prefix else root / "drive_c"
        self.drive.mkdir(parents=True, exist_ok=True)
        (self.drive / "Windows" / "Temp").mkdir(parents=True, exist_ok=True)
        self.change(**json.loads(json.dumps(FRESH)))

    @property
    def state(self) -> dict[str, Any]:
        path = self.root / "state.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def change(self, **parts: Any) -> None:
        (self.root / "state.json").write_text(json.dumps({**self.state, **parts}))

    def boot(self) -> None:
        """Start afresh; Wine's server is the machine that ends and starts again."""
        self.change(boots=self.state["boots"] + 1)
        if self.prefix is not None:
            quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            for flag in ("-k", "-w", "-p"):
                line = [str(SERVER), flag]
                subprocess.run(line, env=self._wine(os.environ), timeout=60, check=False, **quiet)
            line = [str(WINE), "hostname"]
            subprocess.run(line, env=self._wine(os.environ), timeout=60, check=True, **quiet)

    def path(self, windows: str) -> Path:
        """Where a file of the machine is on this computer; names in any case."""
        here = self.drive
        for part in PureWindowsPath(windows).parts[1:]:
            names = {n.name.lower(): n for n in here.iterdir()} if here.is_dir() else {}
            here = names.get(part.lower(), here / part)
        return here

    def spawn(
        self, command: str, arguments: str, variables: Mapping[str, str], skip: bool
    ) -> subprocess.Popen[bytes]:
        program = command.strip().strip('"')
        words = split(arguments)
        environment = {**os.environ, **variables}
        name = PureWindowsPath(program).name.lower().removesuffix(".exe")
        if name == "powershell":
            line = [sys.executable, "-P", str(HERE / "pwsh.py"), str(self.root), str(self.drive)]
            return self._start([*line, *words], environment)
        if self.prefix is not None and name in ("cmd", "hostname", "reg", "whoami"):
            return self._start([str(WINE), program, *words], self._wine(environment))
        path = self.path(program) if ":" in program else self.drive / program
        if not path.is_file():
            if skip and self.skips_cmd:
                raise FileNotFoundError(program)
            text = (
                f"'{program}' is not recognized as an internal or external command,\r\n"
                "operable program or batch file.\r\n"
            )
            code = f"import sys; sys.stderr.write({text!r}); sys.exit(1)"
            return self._start([sys.executable, "-c", code], environment)
        with path.open("rb") as file:
            start = file.read(8)
        if start == b"#!python":
            return self._start([sys.executable, str(path), *words], environment)
        return self._start([str(WINE), program, *words], self._wine(environment))

    def _wine(self, environment: Mapping[str, str]) -> dict[str, str]:
        if self.prefix is None:
            raise FileNotFoundError("no Wine on this machine")
        return {**environment, "WINEPREFIX": str(self.prefix), "WINEDEBUG": "-all"}

    def _start(self, line: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=self.drive,
            start_new_session=True,
        )


@contextmanager
def wine_machine() -> Iterator[Path]:
    """A clone of the template of the target ``wine``, with its server started beforehand."""
    from kernellab.build import cache
    from kernellab.target.wine import installed, prefix

    made = prefix.ensure(cache.cache_root() / "wine", installed.find())
    folder = Path(tempfile.mkdtemp(prefix="winrm-", dir=cache.cache_root()))
    place = folder / "prefix"
    prefix._copy(made, place)
    (place / "dosdevices").mkdir()
    (place / "dosdevices" / "c:").symlink_to("../drive_c")
    quiet: dict[str, Any] = {
        **{"env": prefix.environment(place), "stdin": subprocess.DEVNULL},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    }
    try:
        subprocess.run([str(SERVER), "-p"], check=True, timeout=60, **quiet)
        subprocess.run([str(WINE), "hostname"], check=True, timeout=60, **quiet)
        yield place
    finally:
        subprocess.run([str(SERVER), "-k"], check=False, timeout=60, **quiet)
        subprocess.run([str(SERVER), "-w"], check=False, timeout=60, **quiet)
        shutil.rmtree(folder)
