//! Puts the compiler's version and, when the build names it, the revision into the binary for `inventory_build_info`.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version =
        Command::new(rustc).arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().and_then(|text| text.split_whitespace().nth(1)).unwrap_or("unknown").to_owned();
    let revision = std::env::var("INVENTORY_REVISION").unwrap_or_else(|_| "unknown".to_owned());
    let lines = format!("cargo::rustc-env=RUSTC_VERSION={version}\ncargo::rustc-env=INVENTORY_REVISION={revision}\n");
    let rerun = "cargo::rerun-if-changed=build.rs\ncargo::rerun-if-env-changed=INVENTORY_REVISION\n";
    std::io::Write::write_all(&mut std::io::stdout(), (lines + rerun).as_bytes())
        .expect("cargo reads our standard output");
}
