"""What a notebook's reader sees, in a real JupyterLab in a real browser.

The page measures itself: the clock is read in the frame in which what was waited for is there.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from kernellab.build import find_analyzer, find_toolchain
from kernellab.errors import ToolchainError
from tests.browser.jupyter import Lab, Server, chromium, launch, serve

from .editing import EDITOR, PLACES
from .harness import HELLO, Row

LINES = 100_000
HELD = 1_000_000
#: The peers print fewer: `ipywidgets.Output` would take many minutes.
OUTPUT_LINES = 10_000
JUMPS = 30


def _printing(name: str, lines: int) -> str:
    body = f'for n in 0..{lines}u32 {{ println!("line number {{n:07}} of the benchmark"); }}'
    source = HELLO.replace('println!("hello number NUMBER from {}", "the kernel");', body)
    return f"%%rustdriver {name} --timeout 300\n{source}"


#: Says in the page's clock when the driver was mapped: from then on it prints.
_WATCH = """\
import time
from kernellab.workbench import workbench
from kernellab.prints import parts_of
from kernellab.protocol import State

def _note(events):
    for event in parts_of(events):
        if isinstance(event, State) and event.state == "loaded":
            started_at = time.time()
            globals()["started_at"] = started_at

_ = workbench().target("sim").subscribe(_note)
"""
_SAY = "print(started_at)"

#: A pane that is given its lines at once: what the front end holds does not tell where they are
#: from, and the simulator would need half a minute for them.
_MANY = f"""\
import time
from IPython.display import display
from kernellab.pane.show import new_pane, show
from kernellab.protocol import DbgPrint
pane = new_pane("many")
show(pane, display)
pane.set_state("running")
started_at = time.time()
for first in range(0, {HELD}, 50_000):
    pane.add([DbgPrint(driver="many", text=f"line number {{n:07}} of the benchmark\\n",
                       time=n * 1e-6, component=77) for n in range(first, first + 50_000)])
"""

#: Helpers in the page. ``drawn``: when, in ms since 1970, a frame first has a row of that text.
_PAGE = """() => {
  const now = () => performance.timeOrigin + performance.now();
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const until = async (ready, most = 120000) => {
    const start = now();
    while (!ready()) {
      if (now() - start > most) throw new Error("waited in vain");
      await frame();
    }
    return now();
  };
  const panes = () => [...document.querySelectorAll(".kernellab-log")];
  const port = () => panes().at(-1)?.querySelector(".kernellab-rows");
  const rows = () => [...(port()?.querySelectorAll(".kernellab-row") ?? [])];
  const texts = () => rows().map((r) => r.querySelector(".text")?.textContent ?? "");
  const count = () => panes().at(-1)?.querySelector(".count")?.textContent ?? "";
  // Rows cover the port from its top to its bottom.
  const covered = () => {
    const box = port().getBoundingClientRect();
    const boxes = rows().map((r) => r.getBoundingClientRect());
    if (!boxes.length) return false;
    const top = Math.min(...boxes.map((b) => b.top));
    const bottom = Math.max(...boxes.map((b) => b.bottom));
    return top <= box.top + 8 && bottom >= box.bottom - 8;
  };
  const inSight = () => {
    const box = port().getBoundingClientRect();
    return rows().filter((r) => {
      const b = r.getBoundingClientRect();
      return b.bottom > box.top + 8 && b.top < box.bottom - 8;
    }).map((r) => r.querySelector(".text")?.textContent ?? "");
  };
  const tasks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      tasks.push([performance.timeOrigin + entry.startTime, entry.duration]);
    }
  }).observe({ type: "longtask", buffered: false });
  const longest = (from, to) =>
    Math.max(0, ...tasks.filter(([at, took]) => at + took > from && at < to).map((t) => t[1]));
  const completer = () => document.querySelector(".jp-Completer:not(.lm-mod-hidden)");
  window.bench = {
    // From the press of Tab to the frame in which the list has entries.
    armTab() {
      window.bench.completed = new Promise((done) => {
        document.addEventListener("keydown", async (event) => {
          const start = performance.timeOrigin + event.timeStamp;
          done(await until(() => completer()?.querySelector("li")) - start);
        }, { once: true, capture: true });
      });
    },
    // No look at each frame: that would have the page make frames that nobody needs.
    drawn: (text) => new Promise((done) => {
      const seen = new MutationObserver(() => look());
      const look = async () => {
        if (texts().at(-1) !== text) return;
        seen.disconnect();
        await frame();
        done(now());
      };
      seen.observe(document.body, { childList: true, subtree: true });
      look();
    }),
    longest,
    async jump(share) {
      const before = inSight()[0];
      const start = now();
      port().scrollTop = share * port().scrollHeight;
      await until(() => covered() && inSight()[0] !== before);
      return [now() - start, longest(start, now())];
    },
    armWheel() {
      window.bench.wheeled = new Promise((done) => {
        port().addEventListener("scroll", async () => {
          const start = now();
          await until(covered);
          done(now() - start);
        }, { once: true });
      });
    },
    // Until every row in sight is one that passes, and until the count says `total`.
    async filter(text, passes, total) {
      const pattern = new RegExp(passes, "i");
      const right = () => inSight().length > 0 && inSight().every((t) => pattern.test(t));
      const input = panes().at(-1).querySelector('input[type="search"]');
      const start = now();
      input.value = text;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      const shown = await until(right);
      const counted = await until(() => count().startsWith(total) && right());
      await frame();
      return [shown - start, counted - start, longest(start, now())];
    },
    plain: (count) => until(() =>
      [...document.querySelectorAll(".jp-OutputArea-output pre")].some((e) =>
        e.textContent.trimEnd().endsWith(`line number ${count}`))),
  };
}"""


@contextmanager
def _page(server: Server, browser: Browser) -> Iterator[Lab]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    try:
        page = context.new_page()
        page.set_default_timeout(300_000)
        yield Lab(server, page)
    finally:
        context.close()
        server.stop_kernels()


def browser_rows(runs: int) -> list[Row]:
    """A row for each number of the notebook as its reader has it."""
    if chromium() is None:
        return [Row("JupyterLab in a browser: no Chromium on this machine", [], None, "ms")]
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as home,
        serve(Path(home)) as server,
        launch() as browser,
    ):
        return [
            *_stream_rows(server, browser, min(runs, 5)),
            *_held_rows(server, browser),
            *_completion_rows(server, browser, runs),
            *_saved_rows(server, browser),
        ]


def _stream_rows(server: Server, browser: Browser, runs: int) -> list[Row]:
    """Lines of a real driver, streamed; beside them the same number printed in plain cells."""
    ours, blocked, plain, outputs = [], [], [], []
    peer = f"for n in range({LINES}): print('line number', n)\nprint('line number', {LINES})"
    widget = (
        "import ipywidgets\nshown = ipywidgets.Output()\ndisplay(shown)\n"
        f"with shown:\n    for n in range({OUTPUT_LINES + 1}): print('line number', n)"
    )
    timed = "import time; began = time.time()\n{}\n"
    cells = [
        "%load_ext kernellab", _WATCH, _printing("lines", LINES), _SAY,
        timed.format(peer), "print(began)", timed.format(widget), "print(began)",
    ]  # fmt: skip
    for _ in range(runs):
        with _page(server, browser) as lab:
            lab.open_notebook(*cells)
            lab.page.evaluate(_PAGE)
            for index in (0, 1):
                lab.run_cell(index)
            lab.run_cell(2, wait=False)
            drawn = lab.page.evaluate(
                f"bench.drawn('line number {LINES - 1:07} of the benchmark')",
            )
            began = _said(lab, 3)
            ours.append((drawn - began) / 1000)
            blocked.append(lab.page.evaluate("([a, b]) => bench.longest(a, b)", [began, drawn]))
            lab.run_cell(4, wait=False)
            drawn = lab.page.evaluate(f"bench.plain({LINES})")
            plain.append((drawn - _said(lab, 5)) / 1000)
            lab.run_cell(6, wait=False)
            drawn = lab.page.evaluate(f"bench.plain({OUTPUT_LINES})")
            outputs.append((drawn - _said(lab, 7)) / 1000)
    ratio = [(o / OUTPUT_LINES) / (u / LINES) for o, u in zip(outputs, ours, strict=True)]
    return [
        Row(f"{LINES:,} lines, driver mapped to the last one drawn", ours, 1.5, "s"),
        Row("  longest task of the page meanwhile", blocked, 100, "ms"),
        Row(f"  {LINES:,} lines of a plain print() cell, for comparison", plain, None, "s"),
        Row(f"  {OUTPUT_LINES:,} lines into ipywidgets.Output, for comparison", outputs, None, "s"),
        Row("  a line of ipywidgets.Output, times as long", ratio, None, "x"),
    ]


def _said(lab: Lab, index: int) -> float:
    """Run a cell that prints a time; that time in ms."""
    lab.run_cell(index, timeout=300)
    output = lab.page.locator(".jp-CodeCell").nth(index).locator(".jp-OutputArea-output pre")
    return float(output.first.inner_text()) * 1000


def _held_rows(server: Server, browser: Browser) -> list[Row]:
    """Scrolling and filtering a million lines."""
    with _page(server, browser) as lab:
        lab.open_notebook("1", _MANY, _SAY)
        lab.page.evaluate(_PAGE)
        lab.run_cell(0)
        before = _heap(lab)
        lab.run_cell(1, wait=False)
        drawn = lab.page.evaluate(f"bench.drawn('line number {HELD - 1:07} of the benchmark')")
        began = _said(lab, 2)
        block = lab.page.evaluate("([a, b]) => bench.longest(a, b)", [began, drawn])
        heap = (_heap(lab) - before) / 1e6
        jumps = [lab.page.evaluate(f"bench.jump({(n * 0.618) % 1})") for n in range(1, JUMPS + 1)]
        wheels = []
        lab.page.locator(".kernellab-rows").last.hover()
        for n in range(10):
            lab.page.evaluate("bench.armWheel()")
            lab.page.mouse.wheel(0, -900 if n % 2 else -300)
            wheels.append(lab.page.evaluate("bench.wheeled"))
        screens, counts, tasks = [], [], []
        regular = lab.page.get_by_role("button", name="Regular expression").last
        for asked, query, passes, total in (
            (False, "BER 0734501", "0734501", 1),
            (False, "567 OF", r"567 of", HELD // 1000),
            (True, r"number \d*734501\b", "0734501", 1),
            (True, _PATTERN, _PATTERN, sum(map(_alike, range(HELD)))),
        ):
            if (regular.get_attribute("aria-pressed") == "true") != asked:
                regular.click()
            screen, counted, task = lab.page.evaluate(
                "([a, b, c]) => bench.filter(a, b, c)", [query, passes, f"{total:,} of {HELD:,}"]
            )
            screens.append(screen)
            counts.append(counted)
            tasks.append(task)
        return [
            Row(f"{HELD:,} lines given to a pane, to the last one drawn", [(drawn - began) / 1000],
                None, "s"),
            Row("  longest task of the page meanwhile", [block], 100, "ms"),
            Row("  scroll to any place: rows drawn", [j[0] for j in jumps], 200, "ms"),
            Row("  turn of the wheel: rows drawn", wheels, 200, "ms"),
            Row("  filter by text or pattern: first screen right", [max(screens)], 200, "ms"),
            Row("  filter by text or pattern: all counted", [max(counts)], 200, "ms"),
            Row("  longest task while filtering and scrolling",
                [max([*tasks, *(j[1] for j in jumps)])], 100, "ms"),
            Row("  the page's memory for them (its heap and buffers)", [heap], None, "MB"),
        ]  # fmt: skip


_PATTERN = r"(12|34)\d\d5+6 of"


def _alike(number: int) -> bool:
    return re.search(_PATTERN, f"line number {number:07} of") is not None


def _heap(lab: Lab) -> float:
    """Bytes that the page's scripts hold: objects, and the buffers of typed arrays."""
    session = lab.page.context.new_cdp_session(lab.page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    session.detach()
    return float(used["usedSize"] + used.get("backingStorageSize", 0.0))


def _completion_rows(server: Server, browser: Browser, runs: int) -> list[Row]:
    """Tab in a driver's cell: the list that rust-analyzer fills."""
    try:
        find_analyzer(find_toolchain())
    except ToolchainError as error:
        return [Row(f"completion: {str(error).partition(':')[0]}", [], None, "ms")]
    with _page(server, browser) as lab:
        body = HELLO.replace("Ok(Module)", "\n        Ok(Module)")
        wait = f"{EDITOR}.wait(120)"
        lab.open_notebook("%load_ext kernellab", wait, f"%%rustdriver hello\n{body}", "s = ''\n")
        lab.page.evaluate(_PAGE)
        for index in (0, 1):
            lab.run_cell(index, timeout=300)
        line = 1 + body[: body.index("\n        Ok")].count("\n")
        ours = [
            _tab(lab, 2, line, PLACES[run % len(PLACES)].replace("NUMBER", str(run)))
            for run in range(2 * runs + 1)
        ]
        python = [_tab(lab, 3, 1, "s.|") for _ in range(runs + 1)]
    return [
        Row("Tab in a driver's cell, warm: key to list", ours[1:], 50, "ms"),
        Row("  Tab in a Python cell of the same page, for comparison", python[1:], None, "ms"),
    ]


def _tab(lab: Lab, cell: int, line: int, text: str) -> float:
    """Write ``text`` at the end of a cell's line, press Tab at its ``|``; ms until the list."""
    editor = lab.page.locator(".jp-CodeCell").nth(cell).locator(".cm-content")
    editor.locator(".cm-line").nth(line).click()
    keyboard = lab.page.keyboard
    keyboard.press("End")
    before, _, after = text.partition("|")
    keyboard.insert_text(before + after)
    for _each in after:
        keyboard.press("ArrowLeft")
    lab.page.wait_for_timeout(700)  # messages are asked for when typing rests
    lab.page.evaluate("bench.armTab()")
    keyboard.press("Tab")
    took = lab.page.evaluate("bench.completed")
    keyboard.press("Escape")
    keyboard.press("End")
    for _each in before + after:
        keyboard.press("Backspace")
    return float(took)


_HELLO = HELLO.replace("NUMBER", "1")
_SAVED = {
    "a quiet pane": ("quiet", _HELLO),
    "a compile error": ("typo", _HELLO.replace("Ok(Module)", "Ok(Modul)")),
    "a bug check": ("boom", _HELLO.replace("Ok(Module)",
        "let _v = unsafe { core::ptr::null::<u32>().read_volatile() };\n        Ok(Module)")),
}  # fmt: skip


def _saved_rows(server: Server, browser: Browser) -> list[Row]:
    """Bytes of the outputs in the file, without the lines of the log themselves."""
    with _page(server, browser) as lab:
        cells = [f"%%rustdriver {n} --allow-failure\n{source}" for n, source in _SAVED.values()]
        lab.open_notebook("%load_ext kernellab", *cells)
        lab.run_all_cells(timeout=300)
        lab.page.wait_for_timeout(2000)
        saved = lab.save()
        rows = []
        for what, cell in zip(_SAVED, saved.cells[1:], strict=True):
            size = len(json.dumps(cell.outputs, ensure_ascii=False).encode())
            log = 2 * len("hello number 1 from the kernel")  # as HTML and as text
            log *= json.dumps(cell.outputs).count("hello number 1 from") > 0
            rows.append(Row(f"saved notebook: {what}", [(size - log) / 1024], 10, "KB"))
        return rows
