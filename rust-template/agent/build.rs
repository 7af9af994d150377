//! Links the agent without a C library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("windows") {
        return; // cargo check on another system
    }
    for argument in ["/NODEFAULTLIB", "/SUBSYSTEM:CONSOLE", "/ENTRY:start", "/Brepro"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
