//! Regenerates the bindings and the data that Python shares with them:
//!
//! ```text
//! cargo run --manifest-path rust-template/tools/bindgen/Cargo.toml            # write
//! cargo run --manifest-path rust-template/tools/bindgen/Cargo.toml -- --check # compare
//! ```
//!
//! `--out DIR` writes the files elsewhere, under the same relative paths.

mod bindings;
mod corrections;
mod layouts;
mod ntdata;
mod selection;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let template = here.ancestors().nth(2).expect("tools/bindgen is inside the workspace");
    let root = template.parent().expect("the workspace is inside the project");
    let sys = template.join("windows-kernel-sys/src");

    let mut arguments = std::env::args().skip(1);
    let mut check = false;
    let mut out = root.to_path_buf();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--out" => out = PathBuf::from(arguments.next().expect("--out DIR")),
            other => {
                eprintln!("unknown argument {other}; known: --check, --out DIR");
                return ExitCode::from(2);
            }
        }
    }

    let scratch = std::env::temp_dir().join(format!("kernellab-bindgen-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a scratch folder");
    let bindings = bindings::generate(&scratch);
    let data = layouts::measure(&bindings, &sys, &scratch);
    let mut files = vec![
        ("rust-template/windows-kernel-sys/src/base.rs", bindings.base_text()),
        ("rust-template/windows-kernel-sys/src/ntoskrnl.rs", bindings.functions_text()),
    ];
    files.extend(ntdata::files(&bindings, &data));
    std::fs::remove_dir_all(&scratch).ok();

    let mut differing = 0;
    for (path, text) in files {
        let target = out.join(path);
        let same = std::fs::read_to_string(&target).is_ok_and(|old| old == text);
        if !same && check {
            eprintln!("differs: {path}");
            differing += 1;
        } else if !same {
            std::fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
            std::fs::write(&target, text).expect("the file can be written");
            println!("wrote {path}");
        }
    }
    if differing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
