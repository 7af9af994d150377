"""Test signing, judged by osslsigncode."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kernellab
from kernellab.build import signing
from kernellab.errors import SigningError, UsageError

JUDGE = shutil.which("osslsigncode")
judged = pytest.mark.skipif(JUDGE is None, reason="osslsigncode is not installed")


@pytest.fixture(scope="module")
def who(tmp_path_factory: pytest.TempPathFactory) -> signing.Identity:
    return signing.identity(tmp_path_factory.mktemp("key") / "signing")


def verify(image: Path, certificate: Path) -> tuple[int, str]:
    command = [str(JUDGE), "verify", "-CAfile", str(certificate), "-in", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def certificate(who: signing.Identity, tmp_path: Path) -> Path:
    from cryptography.hazmat.primitives.serialization import Encoding

    path = tmp_path / "certificate.pem"
    path.write_bytes(who.certificate.public_bytes(Encoding.PEM))
    return path


@judged
def test_osslsigncode_finds_a_good_signature(
    hello: Path, who: signing.Identity, certificate: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "hello.sys"
    signed.write_bytes(signing.sign(hello.read_bytes(), who))
    code, said = verify(signed, certificate)
    assert code == 0, said
    assert "Succeeded" in said and "Signature verification: ok" in said
    assert "PE checksum" in said and "Calculated PE checksum" not in said
    hashes = re.findall(r"message digest\s*: ([0-9A-F]{64})", said)
    assert set(hashes) == {signing.image_digest(hello.read_bytes()).hex().upper()}


@judged
def test_osslsigncode_finds_a_changed_image_and_a_foreign_key(
    hello: Path, who: signing.Identity, certificate: Path, tmp_path: Path
) -> None:
    image = bytearray(signing.sign(hello.read_bytes(), who))
    image[0x600] ^= 1
    changed = tmp_path / "changed.sys"
    changed.write_bytes(image)
    assert verify(changed, certificate)[0] != 0
    other = tmp_path / "other.sys"
    other.write_bytes(signing.sign(hello.read_bytes(), signing.identity(tmp_path / "other")))
    assert verify(other, certificate)[0] != 0


def test_signing_is_repeatable_and_replaces(hello: Path, who: signing.Identity) -> None:
    image = hello.read_bytes()
    once = signing.sign(image, who)
    assert signing.sign(image, who) == once == signing.sign(once, who)
    assert once[:0x40] == image[:0x40]
    assert signing.image_digest(once) == signing.image_digest(image)


def test_a_signed_driver_runs(hello: Path, who: signing.Identity, tmp_path: Path) -> None:
    signed = tmp_path / "hello.sys"
    signed.write_bytes(signing.sign(hello.read_bytes(), who))
    with kernellab.connect("sim") as lab:
        assert lab.load(signed).log.text.startswith("hello from")


@pytest.mark.parametrize("image", [b"", b"MZ" + bytes(100), bytes(1000), b"MZ" * 600])
def test_what_is_no_image_is_refused(image: bytes, who: signing.Identity) -> None:
    with pytest.raises(UsageError, match="PE32"):
        signing.sign(image, who)


def test_a_signature_that_points_outside_is_refused(hello: Path, who: signing.Identity) -> None:
    image = bytearray(hello.read_bytes())
    (pe,) = struct.unpack_from("<I", image, 0x3C)
    struct.pack_into("<II", image, pe + 24 + 144, len(image) - 8, 4096)
    with pytest.raises(UsageError, match="damaged"):
        signing.sign(bytes(image), who)


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    place = tmp_path / "signing"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: signing.identity(place), range(4)))
    assert len({each.thumbprint for each in made}) == 1
    assert "PRIVATE" not in repr(made[0])
    if os.name != "nt":
        assert stat.S_IMODE((place / "key.pem").stat().st_mode) == 0o600
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        (place / "key.pem").chmod(0o644)
        with pytest.raises(SigningError, match="others can read"):
            signing.identity(place)
        (place / "key.pem").chmod(0o600)
    (place / "certificate.pem").write_text("x")
    with pytest.raises(SigningError, match="damaged"):
        signing.identity(place)
    other = signing.identity(tmp_path / "other")
    from cryptography.hazmat.primitives.serialization import Encoding

    (place / "certificate.pem").write_bytes(other.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(SigningError, match="belong together"):
        signing.identity(place)
