//! Puts the compiler's version and, when the build names it, the revision into the binary for `inventory_build_info`; and
//! tells the tests which real servers there are to test against.

use std::path::Path;
use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version =
        Command::new(rustc).arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().and_then(|text| text.split_whitespace().nth(1)).unwrap_or("unknown").to_owned();
    let revision = std::env::var("INVENTORY_REVISION").unwrap_or_else(|_| "unknown".to_owned());
    let mut lines = vec![
        format!("cargo::rustc-env=RUSTC_VERSION={version}"),
        format!("cargo::rustc-env=INVENTORY_REVISION={revision}"),
        "cargo::rustc-check-cfg=cfg(test_postgres, test_postgres_binary, test_redis)".to_owned(),
        "cargo::rerun-if-changed=build.rs".to_owned(),
        "cargo::rerun-if-changed=migrations".to_owned(),
    ];
    for variable in ["INVENTORY_REVISION", "TEST_POSTGRES_URL", "PATH"] {
        lines.push(format!("cargo::rerun-if-env-changed={variable}"));
    }
    let postgres = on_path("postgres") || debian_postgres();
    let servers = [
        (postgres || std::env::var_os("TEST_POSTGRES_URL").is_some(), "test_postgres"),
        (postgres, "test_postgres_binary"),
        (on_path("redis-server"), "test_redis"),
    ];
    lines.extend(servers.iter().filter(|(there, _)| *there).map(|(_, cfg)| format!("cargo::rustc-cfg={cfg}")));
    let text = lines.join("\n") + "\n";
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).expect("cargo reads our standard output");
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn debian_postgres() -> bool {
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/postgres")).any(|program| program.is_file())
}
