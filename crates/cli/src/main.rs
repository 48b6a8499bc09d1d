//! The program `image-syncer`: what was typed becomes settings, the crates are joined, and what
//! they report becomes words and an exit code. Words are made here and in `report`, nowhere else.

mod arguments;
mod audit;
mod charts;
mod commands;
mod credential_source;
mod diagnosis;
#[cfg(test)]
mod documentation;
mod environment;
mod error;
mod help;
mod locks;
mod logging;
mod logins;
mod metrics;
mod notices;
mod observers;
mod repositories;
mod repository_acts;
mod run;
mod settings;
mod signals;
mod signatures;
#[cfg_attr(not(feature = "otlp"), path = "telemetry_absent.rs")]
mod telemetry;
mod telling;
mod terminal;
mod who;
mod wiring;

use std::process::ExitCode;

use environment::Environment;
use terminal::Terminal;

// The static binary would have musl's allocator, which has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let environment = Environment::of_this_process();
    let terminal = Terminal::of_this_process(&environment);
    let status = commands::main(std::env::args_os(), &environment, &terminal);
    ExitCode::from(status.code())
}
