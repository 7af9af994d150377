//! Links the driver as a driver. Here, so that plain cargo and kernellab's builds agree.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("windows") {
        return; // cargo check on another system
    }
    for argument in [
        "/NODEFAULTLIB",
        "/SUBSYSTEM:NATIVE",
        "/DRIVER",
        "/ENTRY:DriverEntry",
        "/Brepro",
        "/RELEASE",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
