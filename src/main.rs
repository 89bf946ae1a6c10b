//! Arguments in, exit code out: everything else is in the library.

use std::process::ExitCode;

/// Batches are made on one thread and dropped on another, for hours: the system's allocator keeps ever more of that in pieces.
/// How this one is built stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    vitrina::cli::main()
}
