"""The exercises of lesson 5: a handle's place, writes that are done in part, a patient program."""

from __future__ import annotations

from ...driver import DeviceHandle
from ...errors import Bugcheck, NtStatusError
from ..exercise import NotYetError, Trial, exercise


@exercise("5.1", "Where was I?", driver="ex51_story")
def _(trial: Trial) -> None:
    trial.fresh()
    with trial.target.open(r"\\.\Story") as one, trial.target.open(r"\\.\Story") as other:
        first, second = _read(one, 10), _read(one, 10)
        trial.expect(first == b"abcdefghij", f"The first read of 10 bytes brings {first!r}.")
        trial.expect(
            second != first,
            "The second read brings the same as the first: the handle's place does not move on.",
        )
        trial.expect(
            second == b"klmnopqrst",
            f"The second read of 10 bytes brings {second!r} in place of b'klmnopqrst'. By how much"
            " does the place move on?",
        )
        trial.expect(
            _read(other, 3) == b"abc",
            "A second handle does not begin at a: what it has read belongs to the handle.",
        )
        last = _read(one, 10)
        trial.expect(last == b"uvwxyz", f"The third read brings {last!r} in place of b'uvwxyz'.")
        for _ in range(2):
            _expect_the_end(trial, one)
        rest = _read(other, 100)
        trial.expect(
            rest == bytes(range(ord("d"), ord("z") + 1)),
            f"The second handle reads 100 bytes after abc, and gets {rest!r}. The place moves on by"
            " what the program gets, which may be less than it asks for, or than ten.",
        )
        _expect_the_end(trial, other)
    trial.clean_unload()


@exercise("5.2", "As much as fits", driver="ex52_box")
def _(trial: Trial) -> None:
    trial.fresh()
    with trial.target.open(r"\\.\Box16") as device:
        trial.expect(device.write(b"0123456789") == 10, "Ten bytes fit; the box took another many.")
        try:
            count = device.write(b"abcdefghij")
        except NtStatusError as error:
            raise NotYetError(
                f"The box has room for 6 bytes, and a write of 10 fails with {error.name}: the"
                " first 6 of them have to be taken."
            ) from error
        kept = device.read(100)
        trial.expect(
            len(kept) <= 16, f"Ten and ten bytes were written, and the box has {len(kept)} of them."
        )
        trial.expect(
            kept == b"0123456789abcdef",
            f"After 0123456789 and abcdefghij the box has {kept!r}: as many of the second write as"
            " fit have to be added to it.",
        )
        trial.expect(
            count == 6,
            f"The box had room for 6 bytes, and says that it took {count}. The program will believe"
            " it.",
        )
        try:
            count = device.write(b"x")
        except NtStatusError as error:
            trial.expect(
                error.name == "STATUS_QUOTA_EXCEEDED",
                f"A write to the full box fails with {error.name}; it should be"
                " Error::QUOTA_EXCEEDED.",
            )
        else:
            trial.expect(False, f"A write to the full box succeeds, with {count} bytes.")
        trial.expect(device.read(4) == b"0123", "Reading has to leave the bytes in the box.")
    trial.fresh()
    with trial.target.open(r"\\.\Box16") as device:
        count = device.write(b"y" * 5000)
        trial.expect(
            (count, device.read(100)) == (16, b"y" * 16),
            f"5000 bytes to an empty box: it takes {count}, and should take 16.",
        )
    trial.clean_unload()


@exercise("5.3", "All of it, please")
def _(trial: Trial) -> None:
    through = trial.value
    trial.expect(callable(through), 'Give check the function: check("5.3", through).')
    for size, most in ((4, 16), (100, 16), (100, 3), (17, 1)):
        data = bytes(range(65, 65 + size))
        device = _Narrow(most)
        try:
            found = through(device, data)
        except NotYetError:
            raise
        except Exception as error:  # the reader's own mistake
            raise NotYetError(
                f"With {size} bytes it ends in {type(error).__name__}: {error}"
            ) from error
        trial.expect(
            isinstance(found, bytes), f"It returns {type(found).__name__} in place of bytes."
        )
        trial.expect(
            len(found) >= size,
            f"{size} bytes were to be sent through a ring of {most}, and {len(found)} came out."
            " What do `write` and `read` say about how far they got?",
        )
        trial.expect(
            found == data,
            f"{size} bytes come out of a ring of {most} in another order, or twice: send only what"
            " was not taken yet.",
        )
        trial.expect(device.taken, "It returns the bytes, but never sent them through the device.")
        trial.expect(not device.kept, "It left bytes in the ring that it sent too often.")


class _Narrow:
    """A device with a ring of ``most`` bytes, as the lesson's, that a reader's loop can end in."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept = b""
        self.taken = 0
        self._idle = 0

    def write(self, data: bytes) -> int:
        count = min(len(data), self.most - len(self.kept))
        self.kept += data[:count]
        self.taken += count
        self._note(count)
        return count

    def read(self, length: int) -> bytes:
        data, self.kept = self.kept[:length], self.kept[length:]
        self._note(len(data))
        return data

    def _note(self, count: int) -> None:
        self._idle = 0 if count else self._idle + 1
        if self._idle > 100:
            raise NotYetError(
                "It calls for ever without moving a byte: when the ring is full, somebody has to"
                " read; when it is empty, to write."
            )


def _read(device: DeviceHandle, length: int) -> bytes:
    """A read that has to bring something."""
    try:
        return device.read(length)
    except NtStatusError as error:
        raise NotYetError(
            f"A read of {length} bytes fails with {error.name} while there are letters left. By how"
            " much did the place move on before?"
        ) from error


def _expect_the_end(trial: Trial, device: DeviceHandle) -> None:
    try:
        found = device.read(10)
    except NtStatusError as error:
        trial.expect(
            error.name == "STATUS_END_OF_FILE",
            f"After the last letter a read fails with {error.name}; it should be"
            " Error::END_OF_FILE.",
        )
    except Bugcheck as error:
        raise NotYetError(
            "A read after the last letter stopped the machine: `TEXT[*place..]` panics for a place"
            " behind the end. The place moves on by what there was, not by what was asked for."
        ) from error
    else:
        trial.expect(
            False,
            f"After the last letter a read brings {found!r}; it should fail with"
            " Error::END_OF_FILE.",
        )
