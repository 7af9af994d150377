"""Traces as users have them: the API, the file that Perfetto opens, the picture, the summary."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import UsageError
from kernellab.lab import Target
from kernellab.sources import build_path
from kernellab.trace import Trace
from kernellab.trace.columns import columns
from kernellab.trace.idle import Squeezed
from kernellab.trace.places import Places
from kernellab.trace.summary import duration, level_name
from kernellab.trace.tab import TimelineTab
from kernellab.tracefile import RECORD, DamagedTrace, Kind, pack, unpack
from tests.test_cli import HELLO, events, write
from tests.test_cli import kernellab as command

PENDING = Path(__file__).parent / "target" / "sim" / "drivers" / "pending.rs"
LATER = 0x22_0000 | 0x800 << 2
THREAD = 0x22_0000 | 0x803 << 2

Build = Callable[..., BuildResult]
Event = dict[str, Any]


@pytest.fixture(scope="module")
def machine() -> Iterator[Target]:
    with kernellab.connect("sim") as target:
        yield target


@pytest.fixture
def target(machine: Target) -> Target:
    machine.reboot()
    machine.drivers.clear()
    return machine


@pytest.fixture
def busy(target: Target) -> Trace:
    """Requests, a timer's DPC, a thread, pool, prints."""
    with target.trace() as trace:
        driver = target.load(build_path(PENDING).sys)
        with target.open(r"\\.\Pending") as device:
            device.ioctl(LATER, (2).to_bytes(4, "little"), 4)
            device.ioctl(THREAD)
        driver.unload()
    return trace


def check_format(content: Event) -> dict[str, list[Event]]:
    """The rules of the "Trace Event Format" page, and of what reads it; the events by phase."""
    assert content["displayTimeUnit"] in ("ms", "ns")
    found: dict[str, list[Event]] = defaultdict(list)
    for event in content["traceEvents"]:
        phase = event["ph"]
        found[phase].append(event)
        assert isinstance(event["name"], str) and event["name"]
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        if phase == "M":
            (key,) = event["args"]
            kind = str if event["name"].endswith("_name") else int
            assert key == ("name" if kind is str else "sort_index")
            assert isinstance(event["args"][key], kind)
            continue
        assert isinstance(event["ts"], int | float) and event["ts"] >= 0
        assert phase in "XiCstfbne"
        if phase == "X":
            assert event["dur"] >= 0
        elif phase == "i":
            assert event["s"] in "gpt"
        elif phase == "C":
            assert event["args"] and all(isinstance(v, int) for v in event["args"].values())
        else:
            assert event["id"] and event["cat"]
    _check_nesting(found["X"])
    _check_names(found)
    _check_pairs([e for e in content["traceEvents"] if e["ph"] in "bne"], "b", "e")
    flows = [e for e in content["traceEvents"] if e["ph"] in "stf"]
    _check_pairs(flows, "s", "f")
    spans = found["X"]
    for flow in flows:  # an arrow is from span to span
        assert any(_holds(span, flow) for span in spans), flow
    return found


def _holds(span: Event, moment: Event) -> bool:
    same = (span["pid"], span["tid"]) == (moment["pid"], moment["tid"])
    return same and span["ts"] <= moment["ts"] <= span["ts"] + span["dur"]


def _check_nesting(spans: list[Event]) -> None:
    """On a thread, a span is inside of another or beside it."""
    by_thread: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for span in spans:
        by_thread[span["pid"], span["tid"]].append(span)
    for own in by_thread.values():
        ends: list[float] = []
        for span in own:
            while ends and ends[-1] <= span["ts"] + 1e-6:
                ends.pop()
            end = span["ts"] + span["dur"]
            assert not ends or end <= ends[-1] + 1e-6, span
            ends.append(end)


def _check_names(found: dict[str, list[Event]]) -> None:
    names = {(e["name"], e["pid"], e["tid"]) for e in found["M"]}
    for event in found["X"] + found["i"]:
        assert ("thread_name", event["pid"], event["tid"]) in names, event
        assert ("process_name", event["pid"], 0) in names, event


def _check_pairs(moments: list[Event], first: str, last: str) -> None:
    by_id: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for moment in moments:
        by_id[moment["cat"], moment["id"]].append(moment)
    for own in by_id.values():
        phases = "".join(each["ph"] for each in own)
        assert re.fullmatch(rf"{first}[nt]*({last})?", phases), phases
        times = [each["ts"] for each in own]
        assert times == sorted(times)


def test_the_file_is_of_the_format(busy: Trace, tmp_path: Path) -> None:
    path = busy.save(tmp_path / "run.json")
    found = check_format(json.loads(path.read_text(encoding="utf-8")))
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    spans = {event["name"]: event for event in found["X"]}
    assert spans["DbgPrintEx"]["args"]["line"].startswith("pending.rs:")
    assert spans["IoCreateDevice"]["args"]["result"] == "STATUS_SUCCESS"
    threads = {e["args"]["name"] for e in found["M"] if e["name"] == "thread_name"}
    assert {"CPU 0", "CPU 1"} <= threads
    assert any(name.endswith(" DPCs") for name in threads)
    processes = {e["args"]["name"] for e in found["M"] if e["name"] == "process_name"}
    assert {"Processors", "IRPs", "System", "notebook.exe"} <= processes
    assert {e["name"] for e in found["b"]} >= {"IRP_MJ_CREATE", "IRP_MJ_DEVICE_CONTROL"}
    assert {e["cat"] for e in found["s"]} == {"irp-flow"}
    assert max(e["args"]["IRQL"] for e in found["C"] if "IRQL" in e["args"]) == 2
    assert {e["name"] for e in found["i"]} >= {"thread", "dpc at 2"}


def test_a_file_of_what_ended_badly(target: Target, build_driver: Build, tmp_path: Path) -> None:
    trace = target.start_trace()
    with pytest.raises(kernellab.errors.Bugcheck):
        target.load(build_driver("tpanic", 'panic!("no");').sys)
    found = check_format(json.loads(trace.save(tmp_path / "bad.json").read_text("utf-8")))
    (check,) = [e for e in found["i"] if e["cat"] == "bugcheck"]
    assert check["s"] == "g"
    assert any(e["args"].get("unfinished") for e in found["X"])


def test_an_empty_trace(target: Target, tmp_path: Path) -> None:
    trace = Trace()
    assert trace.events == [] and len(trace) == 0
    check_format(json.loads(trace.save(tmp_path / "none.json").read_text("utf-8")))
    assert "nothing ran" in trace.summary
    ET.fromstring(trace.svg)


@pytest.mark.parametrize("where", ["missing/run.json", ".", "run.json/below.json"])
def test_a_path_that_cannot_be_written(busy: Trace, tmp_path: Path, where: str) -> None:
    (tmp_path / "run.json").write_text("kept")
    with pytest.raises(UsageError, match="cannot be written"):
        busy.save(tmp_path / where)
    assert (tmp_path / "run.json").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json"]


def test_the_picture_is_small_and_reads_on_any_ground(busy: Trace, target: Target) -> None:
    with target.trace() as long:
        driver = target.load(build_path(PENDING).sys)
        with target.open(r"\\.\Pending") as device:
            for n in range(1, 300):
                device.ioctl(LATER, n.to_bytes(4, "little"), 4)
        driver.unload()
    for trace in (busy, long):
        svg = trace.svg
        assert len(svg.encode()) < 10_000
        root = ET.fromstring(svg)
        words = " ".join("".join(root.itertext()).split())
        assert "to DISPATCH" in words and "prints" in words
        assert not {"black", "white", "currentColor"} & set(re.findall(r'"([\w#]+)"', svg))
    bundle = busy._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}


def test_names_in_the_picture_are_text(target: Target, build_driver: Build) -> None:
    trace = Trace()
    header = {
        "names": ["", "<script>"],
        "tracks": {"8": {"name": "", "start": 0, "process": "<b>", "pid": 4, "driver": "<i>&"}},
        "stacks": [],
        "modules": [],
        "processors": 1,
        "time": 100,
        "dropped": 0,
        "open": 0,
    }
    trace._take(pack(header, RECORD.pack(0, 50, 0, 0, 1, 8, 0, 0, Kind.RUN, 0)))
    assert "<i>" not in trace.svg
    assert "of <i>&" in "".join(ET.fromstring(trace.svg).itertext())


def test_the_summary_says_what_was_called_most(busy: Trace) -> None:
    text = busy.summary
    assert re.search(r"^  IofCompleteRequest +\d+ x  ", text, re.MULTILINE)
    assert "highest IRQL: DISPATCH_LEVEL (2)" in text
    assert "lines printed: 4" in text
    assert len(text.splitlines()) < 20
    assert duration(5) == "0.5 us" and duration(123_400) == "12.34 ms"
    assert level_name(5) == "DIRQL 5"


def test_idle_time_is_squeezed_and_found_again(busy: Trace) -> None:
    squeezed = Squeezed(busy.events, 0, busy.end_units)
    assert squeezed.gaps
    assert squeezed.length < busy.end_units / 2
    places = [squeezed.place(event.begin) for event in busy.events]
    assert places == sorted(places)
    for event in busy.events:
        assert abs(squeezed.time(squeezed.place(event.begin)) - event.begin) <= 1


def test_columns_say_what_the_events_do(busy: Trace) -> None:
    head, buffers = columns(busy)
    made = {
        name: array(code, buffer)
        for (name, code), buffer in zip(head["columns"], buffers, strict=True)
    }
    assert head["count"] == len(busy.events) == len(made["begin"])
    for index, event in enumerate(busy.events):
        assert made["begin"][index] == event.begin and made["length"][index] == event.length
        assert head["names"][made["name"][index]] == event.name
        assert head["details"][made["detail"][index]] == event.result
        assert Kind(made["kind"][index]).name.lower() == event.kind
        assert head["tracks"][made["track"][index]][0] == event.track
        file, line = head["places"][made["where"][index]]
        expected = ("", 0) if event.place is None else (event.place.file, event.place.line)
        assert (file, line) == expected
    json.dumps(head)


def test_what_a_driver_prints_is_harmless_in_the_view(target: Target, build_driver: Build) -> None:
    body = 'println!("a\\u{202e}b\\u{1b}[31m");'
    with target.trace() as trace:
        target.load(build_driver("thostile", body).sys).unload()
    names = columns(trace)[0]["names"]
    assert any(name.startswith("a") and "31m" in name for name in names)
    assert not any(c in name for name in names for c in "\u202e\x1b")


def test_the_tab_answers_what_it_is_asked(busy: Trace) -> None:
    tab, said = TimelineTab(busy, "pending"), Queue[tuple[Any, Any]]()

    def reply(content: Any, buffers: Any = ()) -> None:
        said.put((content, buffers))

    for strange in ({}, {"action": None}, {"action": ["read"]}, {"action": "rm"}):
        tab.receive(strange, reply)
    tab.receive({"action": "read"}, reply)
    content, buffers = said.get(timeout=60)
    assert (content["action"], content["count"]) == ("events", len(busy))
    assert len(buffers) == len(content["columns"])
    tab.receive({"action": "json"}, reply)
    content, (text,) = said.get(timeout=60)
    assert content["file"] == "pending-trace.json"
    check_format(json.loads(text))
    assert said.empty()


def test_damaged_bytes_are_known_for_what_they_are() -> None:
    good = pack({"names": []}, b"")
    assert unpack(good) == ({"names": []}, b"")
    for bad in (b"", b"KLT1", good[:-1], good + b"x", b"KLT1\x02\0\0\0[]"):
        with pytest.raises(DamagedTrace):
            unpack(bad)


def test_addresses_outside_of_every_image_have_no_place() -> None:
    places = Places([{"base": 0x1000, "size": 0x100, "name": "one"}], {})
    assert places.of_routine(0x10) == (None, "", "")
    assert places.of_routine(0x1100) == (None, "", "")
    assert places.of_routine(0x10FF) == (None, "one", "")
    assert places.of_stack([]) == (None, "")


def test_on_the_command_line(tmp_path: Path) -> None:
    source = write(tmp_path, "hello.rs", HELLO)
    done = command("run", source, "--json", "--trace", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert events(done.stdout)
    found = check_format(json.loads((tmp_path / "out.json").read_text(encoding="utf-8")))
    assert "DbgPrintEx" in {event["name"] for event in found["X"]}


def test_on_the_command_line_a_bug_check_is_in_the_file(tmp_path: Path) -> None:
    source = write(tmp_path, "bad.rs", HELLO.replace('println!("hello {}", 1);', 'panic!("x");'))
    done = command("run", source, "--trace", "out.json", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    found = check_format(json.loads((tmp_path / "out.json").read_text(encoding="utf-8")))
    assert "bugcheck" in {event["cat"] for event in found["i"]}


def test_on_the_command_line_a_folder_that_is_missing(tmp_path: Path) -> None:
    source = write(tmp_path, "hello.rs", HELLO)
    done = command("run", source, "--trace", "nowhere/out.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "no folder" in done.stderr and "Traceback" not in done.stderr
