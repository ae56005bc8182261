//! The `harness` binary: arguments in, exit code out.

fn main() {}
