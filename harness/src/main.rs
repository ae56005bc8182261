//! The `harness` binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::cli::main()
}
