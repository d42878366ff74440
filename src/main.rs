//! The `cutover` binary. Everything it does is in the library `cutover_app`.

use std::process::ExitCode;

/// Made for small objects that are freed on the thread that made them, as those of a request are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cutover_app::run::main()
}
