"""Test signing: a driver's image signed as Windows wants it where test signing is on.

Key and certificate are made once for each user; the private key can be read by its owner alone.
The signature is Authenticode's ("Windows Authenticode Portable Executable Signature Format"): a
PKCS #7 SignedData over the SHA-256 of the image without its checksum, the security directory's
entry and the signature itself. The same image gives the same bytes: no time is in it.
"""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import os
import platform
import stat
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

from ..errors import SigningError, UsageError
from . import der

#: Years that a new certificate is good for. Windows checks it when the driver is loaded.
YEARS: Final = 10

_CHECKSUM = 64  # offset in the optional header
_SECURITY: Final = 4  # index of IMAGE_DIRECTORY_ENTRY_SECURITY

_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_SPC_INDIRECT_DATA: Final = "1.3.6.1.4.1.311.2.1.4"
_SPC_PE_IMAGE_DATA: Final = "1.3.6.1.4.1.311.2.1.15"
_SPC_SP_OPUS_INFO: Final = "1.3.6.1.4.1.311.2.1.12"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_RSA: Final = "1.2.840.113549.1.1.1"


@dataclass(frozen=True)
class Identity:
    """A key and its certificate. The key is not shown by ``repr``."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def __repr__(self) -> str:
        return f"<Identity {self.thumbprint}>"

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate, as Windows names it in its stores."""
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303

    @cached_property
    def der(self) -> bytes:
        """The certificate, for the machine's stores."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


def folder() -> Path:
    """Where the user's key and certificate are kept."""
    from platformdirs import user_data_path

    return user_data_path("kernellab", appauthor=False) / "test-signing"


def identity(where: Path | None = None) -> Identity:
    """The user's key and certificate, made where there are none yet.

    Raises SigningError where others can read the key, where it is damaged, or too old.
    """
    place = where or folder()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(place / "lock"):
            if not (place / "key.pem").exists():
                _make(place)
            return _load(place)
    except OSError as error:
        raise SigningError(f"cannot keep a key in {place}: {error.strerror}") from None


def _make(place: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        who = "user"
    text = f"kernellab test signing ({who} on {platform.node() or 'this computer'})"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # the machine's clock may be behind
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=True)
        .sign(key, hashes.SHA256())
    )
    (place / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # Nobody else may read it at any moment; the name appears when all is written.
    beside = place / "key.new"
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    beside.replace(place / "key.pem")


def _load(place: Path) -> Identity:
    path = place / "key.pem"
    again = f"delete {place} to have a new one made"
    if os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SigningError(f"others can read {path}: `chmod 600` it, or {again}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((place / "certificate.pem").read_bytes())
    except (ValueError, TypeError, FileNotFoundError):
        raise SigningError(f"the key in {place} is damaged; {again}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise SigningError(f"key and certificate in {place} do not belong together; {again}")
    if certificate.not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise SigningError(f"the certificate in {place} has expired; {again}")
    return Identity(key, certificate)


# -- the image ------------------------------------------------------------------------------------


def sign(image: bytes, who: Identity) -> bytes:
    """The image with a signature at its end; one that it had is replaced.

    Raises UsageError for what is no PE32+ image.
    """
    plain, header = _unsigned(image)
    digest = _digest(plain, header)
    blob = _signed_data(digest, who)
    blob += b"\0" * (-len(blob) % 8)
    entry = struct.pack("<IHH", len(blob) + 8, 0x0200, 0x0002) + blob
    out = bytearray(plain)
    struct.pack_into("<II", out, _security(header), len(plain), len(entry))
    out += entry
    struct.pack_into("<I", out, header + _CHECKSUM, _checksum(out, header + _CHECKSUM))
    return bytes(out)


def image_digest(image: bytes) -> bytes:
    """The SHA-256 that a signature is over, the same for a signed and an unsigned image."""
    return _digest(*_unsigned(image))


def _security(header: int) -> int:
    return header + 112 + 8 * _SECURITY


def _unsigned(image: bytes) -> tuple[bytes, int]:
    """The image without signature, as long as a multiple of 8; its optional header's offset."""
    try:
        (pe,) = struct.unpack_from("<I", image, 0x3C)
        header = pe + 24
        (directories,) = struct.unpack_from("<I", image, header + 108)
        if (
            image[:2] != b"MZ"
            or image[pe : pe + 4] != b"PE\0\0"
            or image[header : header + 2] != b"\x0b\x02"
            or directories <= _SECURITY
        ):
            raise UsageError("only a PE32+ image can be signed")
        offset, size = struct.unpack_from("<II", image, _security(header))
    except struct.error:
        raise UsageError("only a PE32+ image can be signed") from None
    if size:
        if not header < offset <= len(image) - size:
            raise UsageError("the image's own signature is damaged")
        image = image[:offset]
    return image + b"\0" * (-len(image) % 8), header


def _digest(plain: bytes, header: int) -> bytes:
    checksum, security = header + _CHECKSUM, _security(header)
    parts = plain[:checksum], plain[checksum + 4 : security], plain[security + 8 :]
    return hashlib.sha256(b"".join(parts)).digest()


def _checksum(image: bytearray, at: int) -> int:
    """IMAGE_OPTIONAL_HEADER.CheckSum, as ImageHlp's CheckSumMappedFile has it."""
    data = bytes(image[:at]) + bytes(4) + bytes(image[at + 4 :])
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"<{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total + len(image)) & 0xFFFFFFFF


def _signed_data(digest: bytes, who: Identity) -> bytes:
    """The PKCS #7 ContentInfo (RFC 2315) that an image carries."""
    sha256 = der.sequence(der.oid(_SHA256), der.NULL)
    link = der.context(0, der.context(2, der.context(0, b"", constructed=False)))
    image_data = der.sequence(der.oid(_SPC_PE_IMAGE_DATA), der.sequence(der.EMPTY_BITS, link))
    content = image_data + der.sequence(sha256, der.octets(digest))
    attributes = der.set_of(
        der.sequence(der.oid(_CONTENT_TYPE), der.set_of(der.oid(_SPC_INDIRECT_DATA))),
        der.sequence(der.oid(_SPC_SP_OPUS_INFO), der.set_of(der.sequence())),
        der.sequence(
            der.oid(_MESSAGE_DIGEST), der.set_of(der.octets(hashlib.sha256(content).digest()))
        ),
    )
    signature = who.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
    certificate = who.certificate
    signer = der.sequence(
        der.integer(1),
        der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number)),
        sha256,
        b"\xa0" + attributes[1:],
        der.sequence(der.oid(_RSA), der.NULL),
        der.octets(signature),
    )
    signed = der.sequence(
        der.integer(1),
        der.set_of(sha256),
        der.sequence(der.oid(_SPC_INDIRECT_DATA), der.context(0, der.sequence(content))),
        der.context(0, who.der),
        der.set_of(signer),
    )
    return der.sequence(der.oid(_SIGNED_DATA), der.context(0, signed))
