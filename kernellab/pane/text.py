"""A driver's text made harmless to look at, and events as plain text.

What a driver prints is hostile input: it may hold terminal sequences, characters that are
invisible, and characters that turn the reading direction around ("Trojan Source"). Here each
of them becomes something a reader can see, once, for every front end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..protocol import BugcheckEvent, ErrorEvent, Frame, RelatedStack, Violation
from .codes import explain, lesson, meanings, page
from .registers import notes

#: What must not reach a screen as it is. Controls but tab and newline; C1 controls; soft
#: hyphen; fillers that draw nothing; zero-width and direction characters (Unicode TR 36, 9);
#: line and paragraph separator; annotation, tag and variation characters; lone surrogates.
_HOSTILE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
)

#: DbgPrintEx's levels by name (DPFLTR_ERROR_LEVEL …).
_LEVELS: Final = {0: "ERROR", 1: "WARNING", 2: "TRACE", 3: "INFO"}

#: DbgPrintEx's components in their order: ``DPFLTR_SYSTEM_ID`` is 0 (dpfilter.h).
_COMPONENTS: Final = """
SYSTEM SMSS SETUP NTFS FSTUB CRASHDUMP CDAUDIO CDROM CLASSPNP DISK REDBOOK STORPROP
SCSIPORT SCSIMINIPORT CONFIG I8042PRT SERMOUSE LSERMOUS KBDHID MOUHID KBDCLASS
MOUCLASS TWOTRACK WMILIB ACPI AMLI HALIA64 VIDEO SVCHOST VIDEOPRT TCPIP DMSYNTH
NTOSPNP FASTFAT SAMSS PNPMGR NETAPI SCSERVER SCCLIENT SERIAL SERENUM UHCD RPCPROXY
AUTOCHK DCOMSS UNIMODEM SIS FLTMGR WMICORE BURNENG IMAPI SXS FUSION IDLETASK SOFTPCI
TAPE MCHGR IDEP PCIIDE FLOPPY FDC TERMSRV W32TIME PREFETCHER RSFILTER FCPORT PCI DMIO
DMCONFIG DMADMIN WSOCKTRANSPORT VSS PNPMEM PROCESSOR DMSERVER SR INFINIBAND IHVDRIVER
IHVVIDEO IHVAUDIO IHVNETWORK IHVSTREAMING IHVBUS HPS RTLTHREADPOOL LDR TCPIP6 ISAPNP
SHPC STORPORT STORMINIPORT PRINTSPOOLER VSSDYNDISK VERIFIER VDS VDSBAS VDSDYN
VDSDYNDR VDSLDR VDSUTIL DFRGIFC DEFAULT MM DFSC WOW64 ALPC WDI PERFLIB KTM IOSTRESS
HEAP WHEA USERGDI MMCSS TPM THREADORDER ENVIRON EMS WDT FVEVOL NDIS NVCTRACE LUAFV
APPCOMPAT USBSTOR SBP2PORT COVERAGE CACHEMGR MOUNTMGR CFR TXF KSECDD FLTREGRESS MPIO
MSDSM UDFS PSHED STORVSP LSASS SSPICLI CNG EXFAT FILETRACE XSAVE SE DRIVEEXTENDER
""".split()

#: The file that frames of the notebook cell name (see :class:`kernellab.protocol.Frame`).
CELL: Final = "cell"

#: The user's own source: text by the file that frames name; text alone is the cell's.
Source = str | Mapping[str, str] | None

#: What is known of the verifier's rules: by name, what each finds, and the page to read.
Rules = Mapping[str, tuple[str, str]]

#: How a Rust panic begins: the file and the line.
_PANICKED: Final = re.compile(r"panicked at ([^:]+):(\d+):")

#: So many of the last lines are part of a bug check's report.
LAST_LINES: Final = 8

#: Frames shown of one stack: a runaway recursion has thousands.
MOST_FRAMES: Final = 64


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # ␀ ␁ … "control pictures"
    return "␡" if code == 0x7F else f"‹U+{code:04X}›"


def printable(text: str) -> str:
    """``text`` with every control and invisible character replaced by a visible one.

    Newlines and tabs stay, ``\\r\\n`` becomes a newline; the result can always be encoded as UTF-8.
    """
    if not _HOSTILE.search(text):
        return text
    return _HOSTILE.sub(_visible, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """``text`` as :func:`printable` has it, in one line."""
    return " ".join(printable(text).split())


def level_name(level: int, component: int) -> str:
    """What the level column shows; empty for what ``println!`` uses.

    ``println!`` prints at component IHVDRIVER, level ERROR because the default filter passes
    that, not because anything is wrong.
    """
    if component == 77 and level == 0:
        return ""
    return _LEVELS.get(level, str(level))


def component_name(component: int) -> str:
    """A DbgPrintEx component's name, or its number."""
    return _COMPONENTS[component] if 0 <= component < len(_COMPONENTS) else str(component)


def headline(title: str, state: str, detail: str) -> str:
    """``hello: failed. DriverEntry returned …``: the driver, its state, why."""
    line = f"{title}: {state}" if state else title
    return one_line(f"{line}. {detail[:1].upper()}{detail[1:]}" if detail else line)


def format_seconds(seconds: float) -> str:
    """A duration as a person reads it: ``0.31 s``, ``4 ms``, ``80 µs``."""
    if seconds >= 0.0995:
        return f"{seconds:.2f} s" if seconds < 99.5 else f"{seconds:.0f} s"
    if seconds >= 0.00095:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds * 1e6:.0f} µs"


def format_size(size: int) -> str:
    """So many bytes as a person reads them: ``900 bytes``, ``14 KB``, ``1.2 MB``."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1024:.0f} KB" if size < 1000 * 1024 else f"{size / 1024**2:.1f} MB"


def timings_text(timings: Mapping[str, float]) -> str:
    """``{"build": 0.31, "first_line": 0.006}`` as ``build 0.31 s · first line 6 ms``."""
    parts = (f"{name.replace('_', ' ')} {format_seconds(s)}" for name, s in timings.items())
    return one_line(" · ".join(parts))


def text_of(source: Source, file: str) -> str | None:
    """The text of one of the user's files, where it is known."""
    if isinstance(source, Mapping):
        return source.get(file)
    return source if file == CELL else None


def is_user(frame: Frame, source: Source = None) -> bool:
    """Whether the frame is the user's own code."""
    return frame.file == CELL or (isinstance(source, Mapping) and frame.file in source)


def own_files(source: Source) -> list[str]:
    """The files that frames and panics name and that are the user's own."""
    return list(source) if isinstance(source, Mapping) else [CELL]


def own_frame(frames: Sequence[Frame], source: Source = None) -> Frame | None:
    """The innermost frame in the user's own code; else the innermost whose line is known."""
    known = [frame for frame in frames if frame.file and frame.line]
    return next((frame for frame in known if is_user(frame, source)), next(iter(known), None))


def panic_text(prints: Sequence[str]) -> str:
    """What a panic said, from the last prints before a bug check; empty where none did."""
    for index in range(len(prints) - 1, -1, -1):
        if prints[index].startswith("panicked at "):
            return one_line(" ".join(prints[index:]))[:1000]
    return ""


def stopped_at(
    frames: Sequence[Frame], source: Source = None, last_words: str = ""
) -> Frame | None:
    """The innermost frame in the user's own code, at the line that a panic names.

    The compiler makes one call of several panics that are alike, which then has one line; what a
    panic says of itself is right.
    """
    own = next((frame for frame in frames if is_user(frame, source) and frame.line), None)
    said = _PANICKED.match(last_words)
    if own is not None and said is not None and said[1] == own.file:
        return replace(own, line=int(said[2]))
    return own


def advice(frame: Frame | None, source: Source = None) -> str:
    """What to do after the machine has stopped in ``frame``."""
    if frame is None or not is_user(frame, source):
        return "Mend the code and run it again: the machine is rebooted by itself."
    where = "" if frame.file == CELL else f" of {one_line(frame.file)}"
    return (
        f"Look at line {frame.line}{where}, mend the cell and run it again:"
        " the machine is rebooted by itself."
    )


def reload_advice(driver: str) -> str:
    """How to have the driver back as it is."""
    if not driver.isascii() or not driver.replace("-", "_").isidentifier():
        return ""
    return f"{driver.replace('-', '_')}.reload() loads the same image again."


def frame_text(frame: Frame) -> str:
    """A frame in one line: ``hello::init at cell:7``."""
    return one_line(str(frame)) + (" (inlined)" if frame.inlined else "")


def code_line(text: str) -> str:
    """A line of machine code, its columns kept."""
    return printable(text).replace("\n", " ").replace("\t", " ")


def code_text(code: str) -> str:
    """A bug check's code as the debugger writes it: ``0x0000007E``."""
    try:
        return f"0x{int(code, 16):08X}"
    except ValueError:
        return one_line(code)


def excerpt(source: str, line: int, context: int = 2) -> list[tuple[int, str]]:
    """``line`` of ``source`` (from 1) with ``context`` lines around it: (number, text)."""
    lines = source.split("\n")
    if not 1 <= line <= len(lines):
        return []
    first = max(1, line - context)
    last = min(len(lines), line + context)
    return [(n, printable(lines[n - 1].rstrip("\r"))[:400]) for n in range(first, last + 1)]


def bugcheck_text(
    event: BugcheckEvent,
    source: Source = None,
    *,
    last_words: str = "",
    log: Sequence[str] = (),
) -> str:
    """A bug check as plain text, most important first; ``source`` is the user's own.

    ``log`` is the driver's last lines, where they do not stand above anyway.
    """
    out = [f"*** STOP: {code_text(event.code)} {one_line(event.name)}"]
    if event.message:
        out.append(f"    {one_line(event.message)}")
    if last_words:
        out.append(f"    {one_line(last_words)}")
    own = stopped_at(event.frames, source, last_words)
    if own is not None and source is not None:
        out += _excerpt_text(source, own)
        out.append(f"    {advice(own, source)} {reload_advice(event.driver)}".rstrip())
    if event.parameters:
        out.append("    parameters: " + ", ".join(one_line(p) for p in event.parameters))
        for n, meaning in enumerate(meanings(event.code, event.parameters), 1):
            if meaning:
                out.append(f"      {n}: {meaning}")
    if event.frames:
        out.append("    call stack, innermost first:")
        out += _frames_text(event.frames, source)
    if event.disassembly:
        out.append("    instructions:")
        lines = [code_line(each) for each in event.disassembly]
        out += [f"    {each}" if each[:1] == "→" else f"      {each}" for each in lines]
    elif event.instruction:
        out.append(f"    instruction: {one_line(event.instruction)}")
    out += [
        f"    {one_line(name)} {one_line(event.registers[name])}: {said}"
        for name, said in notes(event).items()
    ]
    out += _related_text(event.related, source)
    if log:
        out.append("    last lines of the log:")
        out += [f"      {one_line(line)}" for line in log]
    found = explain(event.code)
    if found is not None:
        out.append(f"    usual cause: {found.cause}")
        title = page(event.code, one_line(event.name))
        out.append(f'    to read: Microsoft, "{title}"; {lesson(event.code)}')
    return "\n".join(out)


def _related_text(related: Sequence[RelatedStack], source: Source) -> list[str]:
    out = []
    for stack in related:
        out.append(f"    {one_line(stack.label)}:")
        out += _frames_text(stack.frames, source)
    return out


def _frames_text(frames: Sequence[Frame], source: Source) -> list[str]:
    out = [
        f"    {'>' if is_user(frame, source) else ' '} {frame_text(frame)}"
        for frame in frames[:MOST_FRAMES]
    ]
    if len(frames) > MOST_FRAMES:
        out.append(f"      … and {len(frames) - MOST_FRAMES} more")
    return out


def _excerpt_text(source: Source, frame: Frame) -> list[str]:
    line, text = frame.line, text_of(source, frame.file)
    shown = excerpt(text, line) if text is not None else []
    width = len(str(shown[-1][0])) if shown else 1
    return [
        f"    {'>' if number == line else ' '} {number:>{width}} | {text}" for number, text in shown
    ]


def violation_place(event: Violation, source: Source = None) -> Frame | None:
    """Where in the user's own code a rule was broken."""
    return next((f for f in event.frames if is_user(f, source) and f.line), None)


def stack_key(event: Violation) -> tuple[object, ...]:
    """Equal for violations that came about in the same way, whatever the addresses are."""
    return tuple((each.function or each.rva, each.file, each.line) for each in event.frames)


def violations_text(
    events: Sequence[Violation], source: Source = None, rules: Rules | None = None
) -> list[str]:
    """Broken rules as plain text; what is known of a rule, and a place, is said once."""
    out, places, explained = [], set[object](), set[str]()
    for event in events:
        place = (event.rule, stack_key(event))
        if event.frames and place in places:
            message = one_line(event.message)
            out.append(f"verifier: {one_line(event.rule)}: {message} (in the same place)")
        else:
            known = None if event.rule in explained else rules
            out.append(violation_text(event, source, known))
        places.add(place)
        explained.add(event.rule)
    return out


def violation_text(event: Violation, source: Source = None, rules: Rules | None = None) -> str:
    """A broken rule as plain text, its place in ``source`` and its call stack below."""
    out = [f"verifier: {one_line(event.rule)}: {one_line(event.message)}"]
    if rules and event.rule in rules:
        summary, to_read = rules[event.rule]
        out.append(f"    {summary} (--no-verify {event.rule} switches this rule off)")
        out.append(f"    to read: {to_read}")
    own = violation_place(event, source)
    if own is not None and source is not None:
        out += _excerpt_text(source, own)
    out += _frames_text(event.frames, source)
    return "\n".join(out + _related_text(event.related, source))


def stop_text(event: ErrorEvent, source: Source = None) -> str:
    """Where driver code was stopped, as plain text."""
    out = [f"{stop_head(event)}: {one_line(event.message)}"]
    if hint := stop_hint(event):
        out.append(f"    {hint}")
    own = next((f for f in event.frames if is_user(f, source) and f.line), None)
    if own is not None and source is not None:
        out += _excerpt_text(source, own)
    return "\n".join(out + _frames_text(event.frames, source))


def stop_head(event: ErrorEvent) -> str:
    """What an event that has a place is, in a few words."""
    return {
        "timeout": "Time ran out while this ran",
        "interrupted": "You stopped it while this ran",
    }.get(event.error, "It stopped here")


def stop_hint(event: ErrorEvent) -> str:
    """What to do about it; empty where that is plain."""
    if event.error != "timeout":
        return ""
    return "Does this end? Mend the cell, or give it longer: --timeout SECONDS, --budget N."


def diagnostic_text(diagnostic: Any) -> str:
    """A compiler message as plain text."""
    return printable(str(getattr(diagnostic, "text", diagnostic))).rstrip("\n")


#: The compiler's own error codes, which it has a text on.
_EXPLAINED: Final = re.compile(r"E[0-9]{4}")


def explain_hint(diagnostics: Sequence[Any]) -> str:
    """How to read more on the compiler's error codes; empty where it explains none of them."""
    codes = (str(getattr(d, "code", "")) for d in diagnostics if getattr(d, "level", "") == "error")
    found = list(dict.fromkeys(code for code in codes if _EXPLAINED.fullmatch(code)))
    if not found:
        return ""
    named = " ".join(found[:4])
    return f"`%rustc --explain {named}` tells more."
