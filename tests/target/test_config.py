"""kernellab.toml and passwords: what is read, what is refused and where, what is never shown."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from kernellab.errors import ConfigError, CredentialsError
from kernellab.target import config, credentials, registry
from kernellab.target.config import PLAIN_TEXT, Machine
from kernellab.target.credentials import Secret

GOOD = '[targets.vm]\nhost = "10.0.0.5"\nuser = "lab"\n'


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder to be in, and a user's own beside it."""
    project = tmp_path / "project" / "deep"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.delenv(config.VARIABLE, raising=False)
    monkeypatch.setattr(config, "user_file", lambda: tmp_path / "user" / "kernellab.toml")
    return tmp_path


class Memory(keyring.backend.KeyringBackend):
    """A keyring of the real package's kind, in memory."""

    priority = 1

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    monkeypatch.setattr(credentials, "_typed", {})
    monkeypatch.delenv("KERNELLAB_PASSWORD_VM", raising=False)
    yield memory
    keyring.set_keyring(before)


def test_project_and_user_files(folders: Path) -> None:
    assert config.machines() == {}
    (folders / "project" / "kernellab.toml").write_text(GOOD)
    (folders / "user").mkdir()
    other = GOOD.replace("10.0.0.5", "10.0.0.6")
    (folders / "user" / "kernellab.toml").write_text(other + other.replace("vm", "mine"))
    found = config.machines()
    assert {name: m.host for name, m in found.items()} == {"vm": "10.0.0.5", "mine": "10.0.0.6"}
    assert found["vm"].url == "https://10.0.0.5:5986/wsman"
    assert found["vm"].place == "kernellab.toml:1"
    assert registry.names()[-2:] == ["vm", "mine"] and "sim" in registry.names()
    assert registry.get("vm").state() == "not a lab machine"


def test_all_keys(tmp_path: Path) -> None:
    (tmp_path / "vm.pem").write_text("x")
    path = tmp_path / "kernellab.toml"
    path.write_text(
        GOOD + 'scheme = "http"\nport = 80\nauth = "basic"\ncertificate = "vm.pem"\n'
        f'lab-machine = true\npatience = 5\nplain-text = "{PLAIN_TEXT}"\n'
    )
    (machine,) = config.read(path)
    assert machine == Machine(
        name="vm",
        host="10.0.0.5",
        user="lab",
        scheme="http",
        port=80,
        auth="basic",
        certificate=tmp_path / "vm.pem",
        lab_machine=True,
        plain_text=PLAIN_TEXT,
        patience=5.0,
        folder=tmp_path,
        place="kernellab.toml:1",
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD + "port = \n", 4, "not TOML"),
        ("\n\n" + GOOD + "portt = 1\n", 6, "unknown key 'portt'"),
        (GOOD + 'port = "1"\n', 4, "port has to be a whole number"),
        (GOOD + "port = true\n", 4, "port has to be a whole number"),
        (GOOD + "port = 70000\n", 4, "not between"),
        (GOOD + "lab-machine = 1\n", 4, "true or false"),
        (GOOD + 'scheme = "ftp"\n', 4, "scheme has to be"),
        (GOOD + 'auth = "kerberos"\n', 4, "auth has to be"),
        (GOOD + 'password = "x"\n', 4, "passwords do not belong"),
        (GOOD + 'certificate = "none.pem"\n', 4, "there is no"),
        (GOOD + "patience = -1\n", 4, "patience has to be"),
        (GOOD + 'plain-text = "yes"\n', 4, "in these words"),
        (GOOD + "power = 3\n", 4, "power has to be a table"),
        (GOOD + '[targets.vm.power]\nkind = "magic"\n', 4, "kind of power"),
        (GOOD + '[targets.vm.power]\nkind = "commands"\n', 4, "your own file only"),
        (GOOD + 'scheme = "http"\nauth = "basic"\n', 5, "anybody on the way can read it"),
        ('[targets.vm]\nuser = "x"\n', 1, "host is missing"),
        ('[targets.vm]\nhost = "x"\n', 1, "user is missing"),
        ('\n[targets.vm]\nuser = "x"\nhost = "http://x/"\n', 4, "no host name"),
        ("[targets]\nvm = 3\n", 2, "has to be a table"),
        ("targets = 3\n", 1, "has to be a table"),
        ('[targets."a b"]\nhost = "x"\n', 1, "a target's name is"),
        ('# one\n[targets.sim]\nhost = "x"\n', 2, "a target's name is"),
    ],
)
def test_each_mistake_has_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "kernellab.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        config.read(path)
    assert (caught.value.line, caught.value.file) == (line, str(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_what_is_added_is_read_again_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kernellab.toml"
    first = Machine(name="vm", host="10.0.0.5", user="lab", lab_machine=True)
    config.add(path, first)
    path.write_text("# my machines\n" + path.read_text())
    config.add(path, Machine(name="b", host="::1", user="x", scheme="http", port=81))
    assert path.read_text().startswith("# my machines\n")
    vm, b = config.read(path)
    assert (vm.host, vm.lab_machine, vm.port) == ("10.0.0.5", True, 5986)
    assert b.url == "http://[::1]:81/wsman"
    with pytest.raises(ConfigError, match="already"):
        config.add(path, first)
    assert [p.name for p in path.parent.iterdir()] == ["kernellab.toml"]


def test_programs_are_run_from_ones_own_file_only(folders: Path) -> None:
    text = GOOD + '[targets.vm.power]\nkind = "qemu"\nsocket = "x"\n'
    project = folders / "project" / "kernellab.toml"
    project.write_text(text)
    assert config.machines()["vm"].power == {"kind": "qemu", "socket": "x"}
    project.write_text(text + 'command = ["rm", "-rf", "/"]\n')
    with pytest.raises(ConfigError, match="your own file only"):
        config.machines()
    project.unlink()
    (folders / "user").mkdir()
    (folders / "user" / "kernellab.toml").write_text(text + 'command = ["qemu"]\n')
    assert config.machines()["vm"].power == {
        **{"kind": "qemu", "socket": "x"},
        "command": ["qemu"],
    }


# -- passwords ------------------------------------------------------------------------------------

VM = Machine(name="vm", host="10.0.0.5", user="lab")


def test_the_environment_comes_before_the_keyring(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert credentials.remember(VM, Secret("kept"))
    assert credentials.password(VM) == "kept"
    monkeypatch.setenv("KERNELLAB_PASSWORD_VM", "given")
    assert credentials.password(VM) == "given"


def test_a_kept_password_is_of_one_host_and_user(store: Memory) -> None:
    credentials.remember(VM, Secret("kept"))
    for other in (
        Machine(name="vm", host="10.0.0.66", user="lab"),
        Machine(name="vm", host="10.0.0.5", user="other"),
        Machine(name="vm", host="10.0.0.5", user="lab", port=1),
    ):
        with pytest.raises(CredentialsError, match="there is no password"):
            credentials.password(other)
    assert credentials.forget(VM) and not credentials.forget(VM)
    assert store.kept == {}


def test_it_is_asked_for_once_where_somebody_can_answer(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def front_end(prompt: str) -> str:
        asked.append(prompt)
        return "typed"

    front_end.__module__ = "ipykernel.kernelbase"
    monkeypatch.setattr("getpass.getpass", front_end)
    assert credentials.password(VM) == credentials.password(VM) == "typed"
    assert asked == ["Password of lab on 10.0.0.5: "]
    credentials.forget_typed(VM)
    credentials.password(VM)
    assert len(asked) == 2 and store.kept == {}


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("s3cret")
    assert "s3cret" not in repr(secret) + repr([secret]) + repr({"password": secret})
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_keyring_that_fails_does_not_show_the_password(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.winrm.test_transport import everything

    secret = Secret("s3cret")

    def fail(service: str, username: str, password: str) -> None:
        raise keyring.errors.KeyringLocked(f"locked; {password}")

    monkeypatch.setattr(store, "set_password", fail)
    with pytest.raises(CredentialsError, match="KERNELLAB_PASSWORD_VM") as caught:
        credentials.remember(VM, secret)
    assert secret not in everything(caught.value)
