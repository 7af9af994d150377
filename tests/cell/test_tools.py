"""``%rustfmt``, ``%rustc`` and ``--fmt`` in a real IPython kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernellab.build import cache, find_toolchain, workspace
from kernellab.crate import write_crate
from kernellab.editing.formatting import EDIT
from tests.drivers import BODY_LINE, driver_source
from tests.kernel import Notebook, Result

UGLY = driver_source('println!("x");  let   _y=1;').rstrip("\n")


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    made = Notebook()
    yield made
    made.close()


def edits(result: Result) -> list[dict[str, Any]]:
    return [output[EDIT] for output in result.outputs if EDIT in output]


def replaced(notebook: Notebook, cell: str) -> tuple[Result, list[dict[str, Any]]]:
    """Run ``cell``; what the front end is asked to put in its place."""
    payloads: list[dict[str, Any]] = []
    original = notebook.client.get_shell_msg

    def spy(**how: Any) -> Any:
        reply = original(**how)
        payloads.extend(reply["content"].get("payload", []))
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook.client, "get_shell_msg", spy)
        result = notebook.run(cell)
    return result, [each for each in payloads if each["source"] == "set_next_input"]


def complete(notebook: Notebook, code: str) -> list[str]:
    """What Tab offers at the end of ``code``."""
    reply = notebook.client.complete(code, len(code), reply=True, timeout=30)
    matches: list[str] = reply["content"]["matches"]
    return matches


def test_nothing_was_run_yet(notebook: Notebook) -> None:
    for cell in ("%rustfmt", "%rustfmt hello"):
        result = notebook.run(cell)
        assert result.name == "UsageError" and "no %%rustdriver cell was run" in result.traceback
    result = notebook.run("%rustc --explain")
    assert result.name == "UsageError" and "no build has failed" in result.traceback


def test_rustfmt_offers_the_whole_cell(notebook: Notebook) -> None:
    cell = f"%%rustdriver ugly  --no-run\n{UGLY}"
    notebook.run_ok(cell)
    (edit,) = edits(notebook.run_ok("%rustfmt ugly"))
    assert edit["expected"] == cell
    assert edit["find"] == {"magic": "rustdriver", "name": "ugly", "path": None}
    first, rest = edit["text"].split("\n", 1)
    assert first == "%%rustdriver ugly  --no-run"
    assert '        println!("x");\n        let _y = 1;\n' in rest and not rest.endswith("\n")
    notebook.run_ok(edit["text"])
    after = notebook.run_ok("%rustfmt")
    assert edits(after) == [] and "ugly is already formatted" in after.text


def test_rustfmt_check_changes_nothing(notebook: Notebook) -> None:
    notebook.run_ok(f"%%rustdriver checked --no-run\n{UGLY}")
    result = notebook.run_ok("%rustfmt --check checked")
    assert "checked is not formatted" in result.text and edits(result) == []


def test_rustfmt_of_a_further_file(notebook: Notebook) -> None:
    notebook.run_ok("%%rustfile parts wire.rs\npub fn f( ) { }")
    notebook.run_ok(
        "%%rustdriver parts --no-run\n" + driver_source("wire::f();", extra="mod wire;")
    )
    files = [e for e in edits(notebook.run_ok("%rustfmt parts")) if e["find"]["path"]]
    assert files == edits(notebook.run_ok("%rustfmt parts wire.rs"))
    assert files[0]["text"] == "%%rustfile parts wire.rs\npub fn f() {}"
    result = notebook.run("%rustfmt parts wier.rs")
    assert result.name == "UsageError" and "it has wire.rs" in result.traceback


def test_rustfmt_of_what_is_not_rust(notebook: Notebook) -> None:
    notebook.run("%%rustdriver half --no-run\nfn f() {\n    let x = ;\n}")
    result = notebook.run("%rustfmt half")
    assert result.name == "BuildError" and edits(result) == []
    assert "--> cell:3:13" in result.text and "✖ 1 error" in result.html


def test_fmt_replaces_the_cell_by_what_ran(notebook: Notebook) -> None:
    cell = f"%%rustdriver tidy --fmt\n{UGLY}"
    result, asked = replaced(notebook, cell)
    assert result.status == "ok", result.traceback
    (payload,) = asked
    assert payload["replace"] is True
    assert payload["text"].startswith("%%rustdriver tidy --fmt\nuse windows_kernel_rs::{")
    assert "        let _y = 1;\n" in payload["text"]
    again, asked = replaced(notebook, payload["text"])
    assert again.status == "ok" and asked == []


def test_fmt_of_what_does_not_build_speaks_of_the_cell_as_it_is(notebook: Notebook) -> None:
    body = UGLY.replace("let   _y=1;", "let   _y:u32=();")
    result, asked = replaced(notebook, f"%%rustdriver wrong --fmt\n{body}")
    assert result.name == "BuildError" and asked == []
    assert f"--> cell:{BODY_LINE + 1}:" in result.text
    assert "`%rustc --explain E0308` tells more." in result.text
    assert "<code>%rustc --explain E0308</code>" in result.html
    explained = notebook.run_ok("%rustc --explain")
    assert explained.text.startswith("E0308\n")


def test_fmt_of_what_bug_checks_shows_the_change(notebook: Notebook) -> None:
    body = UGLY.replace("let   _y=1;", 'panic!("no");')
    result, _asked = replaced(notebook, f"%%rustdriver fails --fmt\n{body}")
    assert result.name == "Bugcheck", result.traceback
    (edit,) = edits(result)
    assert '        panic!("no");\n' in edit["text"]
    assert "The cell ran like this" in result.text


def test_fmt_of_a_further_file(notebook: Notebook) -> None:
    result, asked = replaced(notebook, "%%rustfile more deep/wire.rs --fmt\npub fn f( ) { }")
    assert result.status == "ok" and len(asked) == 1
    assert asked[0]["text"] == "%%rustfile more deep/wire.rs --fmt\npub fn f() {}"
    # What is not Rust goes in as it is: the build says what is wrong with it.
    result, asked = replaced(notebook, "%%rustfile more deep/wire.rs --fmt\npub fn f( { }")
    assert result.status == "ok" and asked == []


def test_asm_shows_the_code_and_loads_the_driver(notebook: Notebook) -> None:
    source = driver_source('println!("x");')
    result = notebook.run_ok(f"%%rustdriver code --asm init --asm cleanup\n{source}")
    assert "Module::init" in result.text and "Module::cleanup" in result.text
    assert "│         println!(" in result.text and "<th scope=" in result.html
    assert notebook.value("code.state") == "running"
    assert "│         println!(" in notebook.run_ok("code.disassembly('init')").text
    notebook.run_ok(f"%%rustdriver code --asm init --no-run --release\n{source}")
    assert notebook.value("code.release") == "True"


def test_asm_of_what_is_not_there(notebook: Notebook) -> None:
    source = driver_source('println!("x");')
    for value, words in (("inti", "did you mean Module::init?"), ("?", "nothing has code of")):
        result = notebook.run(f"%%rustdriver nothing --asm {value}\n{source}")
        assert result.name == "UsageError" and words in result.traceback
    result = notebook.run(f"%%rustdriver nothing --asm init --test\n{source}")
    assert result.name == "UsageError" and "--asm shows the driver's code" in result.traceback


def test_expand(notebook: Notebook) -> None:
    source = driver_source('println!("x");')
    notebook.run_ok(f"%%rustdriver opened --no-run\n{source}")
    result = notebook.run_ok("%expand")
    markdown = next(o["text/markdown"] for o in result.outputs if "text/markdown" in o)
    assert "```rust\nuse windows_kernel_rs" in markdown and "fn DriverEntry(" in markdown
    one = notebook.run_ok("%expand opened Module::init")
    assert one.text.startswith("fn init(") and "DriverEntry" not in one.text
    for line, words in (("opened nope", "has no item 'nope'"), ("opend", "did you mean opened?")):
        wrong = notebook.run(f"%expand {line}")
        assert wrong.name == "UsageError" and words in wrong.traceback
    notebook.run(f"%%rustdriver opened --no-run\nnope!();\n{source}")
    broken = notebook.run("%expand opened")
    assert broken.name == "BuildError" and "--> cell:2:1" in broken.text
    assert "✖ 1 error" in broken.html


def test_expand_says_what_it_waits_for_and_can_be_interrupted(notebook: Notebook) -> None:
    source = driver_source('println!("x");')
    notebook.run_ok(f"%%rustdriver waits --no-run\n{source}")
    place = workspace.place_for(write_crate("waits", f"\n{source}"), find_toolchain())
    with cache.locked(workspace.lock_of(place), progress=None, what="test", cancel=None):
        message = notebook.start("%expand waits")
        while True:  # until it says so; the queue's time limit ends a test that never hears it
            got = notebook.client.get_iopub_msg(timeout=60)
            if got["msg_type"] == "display_data":
                assert "waits" in got["content"]["data"]["text/plain"]
                break
        notebook.manager.interrupt_kernel()
        result = notebook.finish(message)
    assert result.name == "KeyboardInterrupt"
    assert notebook.run_ok("%expand waits Module::init").text.startswith("fn init(")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%rustc -O main.rs", "not -O"),
        ("%rustc --emit=asm", "not --emit=asm"),
        ("%rustc", "usage: %rustc"),
        ("%rustc foo", "is not an error code"),
        ("%rustc E9999", "no explanation of E9999"),
        ("%rustc 'a", "no closing quotation"),
        ("%expand a b c", "unrecognized arguments: c"),
        ("%rustfmt ugyl", "did you mean ugly?"),
        ("%rustfmt --all", "unrecognized arguments: --all"),
        ("%rustfmt a b c", "unrecognized arguments: c"),
    ],
)
def test_lines_that_cannot_be(notebook: Notebook, line: str, words: str) -> None:
    result = notebook.run(line)
    assert result.name == "UsageError" and words in result.traceback
    assert "Traceback" not in result.traceback


def test_version(notebook: Notebook) -> None:
    assert notebook.run_ok("%rustc --version").text.startswith("rustc 1.")


@pytest.mark.parametrize("magic", ["rustfmt", "rustc", "expand"])
def test_help(notebook: Notebook, magic: str) -> None:
    for cell in (f"%{magic} --help", f"%{magic}?"):
        message = notebook.start(cell)
        result = notebook.finish(message)
        assert result.status == "ok" or "usage: %" in result.traceback


def test_completion(notebook: Notebook) -> None:
    notebook.run_ok(f"%%rustdriver ugly --no-run\n{UGLY}")
    assert "Module::init" in complete(notebook, "%%rustdriver ugly --asm Mod")
    assert "ugly" in complete(notebook, "%rustfmt ug")
    assert "--check" in complete(notebook, "%rustfmt ugly --")
    assert "Module::init" in complete(notebook, "%expand ugly Mod")
    assert "--explain" in complete(notebook, "%rustc --e")
