//! Measures image-syncer beside other tools on the same work, with registries in memory and a network
//! that is made worse on purpose. `bench/run` builds and starts it; docs/performance.md says what is
//! measured, and how, and what came of it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod authority;
mod compare;
mod corpus;
mod error;
mod limiter;
mod link;
mod markdown;
mod measure;
mod plot;
mod results;
mod server;
mod storage;
mod tools;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::authority::Authority;
use crate::compare::Bench;
use crate::error::{Context, Result};
use crate::results::{Results, Setting};
use crate::storage::Kind;
use crate::tools::{Tool, Tools};
use crate::work::{Size, Work};

/// Measures image-syncer beside other tools on the same work.
#[derive(Debug, Parser)]
#[command(name = "bench/run")]
struct Arguments {
    /// What is to be done; all without one
    #[arg(value_name = "WORK")]
    works: Vec<Work>,

    /// How often each tool does each work; the figures are medians
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    rounds: usize,

    /// Take smaller layers: 1 GiB instead of 4
    #[arg(long)]
    quick: bool,

    /// Take hardly anything, to see whether the harness works; the figures say nothing
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,

    /// Measure with this registry only
    #[arg(long, value_name = "REGISTRY", value_delimiter = ',')]
    registry: Vec<Kind>,

    /// Run these tools only
    #[arg(long, value_name = "TOOL", value_delimiter = ',')]
    tools: Vec<Tool>,

    /// The binary to measure
    #[arg(long, value_name = "FILE")]
    image_syncer: PathBuf,

    /// Put everything below this folder; it should be in memory
    #[arg(long, value_name = "FOLDER", default_value = "/dev/shm")]
    folder: PathBuf,

    /// Where results are written, `results.json` and `results.md`; what is there of other works stays
    #[arg(long, value_name = "FOLDER")]
    results: PathBuf,

    /// Put tables and pictures of all results into this page too, between its two marks
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = tokio::select! {
        ended = run(&arguments) => ended,
        // Registries and folders end with what holds them.
        () = interrupted() => return ExitCode::from(130),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() {
    let terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut terminated) = terminated else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

/// Whether every tool could do every work.
async fn run(arguments: &Arguments) -> Result<bool> {
    let folder =
        tempfile::Builder::new().prefix("image-syncer-bench-").tempdir_in(&arguments.folder);
    let folder = folder.context(|| format!("making a folder in {}", arguments.folder.display()))?;
    let image_syncer = std::path::absolute(&arguments.image_syncer)
        .context(|| format!("{}", arguments.image_syncer.display()))?;
    let tools = Tools::find(&image_syncer).await;
    for missing in &tools.missing {
        println!("NOT HERE: {missing}");
    }
    let authority = Authority::new(folder.path())?;
    let setting = setting(&tools);
    println!("{}; {}", setting.date, setting.machine);
    if setting.load > 0.5 * processors() {
        println!("BUSY: the load is {}; times will say little", setting.load);
    }
    println!("registries and their data: {}", folder.path().display());
    let wanted = or_all(&arguments.tools, &Tool::ALL);
    let bench = Bench {
        folder: folder.path(),
        tools: &tools,
        authority: &authority,
        setting: &setting,
        rounds: arguments.rounds,
        wanted: &wanted,
        say: |line| println!("{line}"),
    };
    let size = match (arguments.quick, arguments.smoke) {
        (_, true) => Size::Tiny,
        (true, _) => Size::Quick,
        _ => Size::Full,
    };
    let mut all_done = true;
    for work in or_all(&arguments.works, &Work::ALL) {
        for kind in or_all(&arguments.registry, Kind::value_variants()) {
            if !tools.has_registry(kind) {
                println!("NOT MEASURED with {}: it is not here", kind.name());
                continue;
            }
            let comparison = bench.compare(work, &work.task(size), kind).await?;
            all_done &= comparison.contenders.iter().all(|one| one.failure.is_none());
            println!("\n{}", markdown::table(&comparison));
            let results = keep(&arguments.results, comparison)?;
            if let Some(page) = &arguments.page {
                publish(page, &arguments.results, &results)?;
            }
        }
    }
    Ok(all_done)
}

fn or_all<T: Clone>(asked: &[T], all: &[T]) -> Vec<T> {
    if asked.is_empty() { all.to_vec() } else { asked.to_vec() }
}

/// Writes the results anew, with what was there of other works.
fn keep(folder: &Path, comparison: results::Comparison) -> Result<Results> {
    let doing = || format!("writing results to {}", folder.display());
    std::fs::create_dir_all(folder).context(doing)?;
    let file = folder.join("results.json");
    let mut results = match std::fs::read_to_string(&file) {
        Ok(text) => {
            serde_json::from_str(&text).context(|| format!("reading {}", file.display()))?
        }
        Err(_) => Results::default(),
    };
    results.put(comparison);
    let json = serde_json::to_string_pretty(&results).context(doing)?;
    std::fs::write(&file, json + "\n").context(doing)?;
    for comparison in &results.comparisons {
        if let Some(picture) = plot::svg(comparison) {
            std::fs::write(folder.join(plot::file_name(comparison)), picture).context(doing)?;
        }
    }
    let tables: Vec<String> = results.comparisons.iter().map(markdown::table).collect();
    std::fs::write(folder.join("results.md"), tables.join("\n")).context(doing)?;
    Ok(results)
}

/// Puts the results between the page's marks.
fn publish(page: &Path, folder: &Path, results: &Results) -> Result<()> {
    let doing = || format!("writing results to {}", page.display());
    let text = std::fs::read_to_string(page).context(doing)?;
    let (before, rest) = text.split_once(BEGIN).ok_or(BEGIN).context(missing(page))?;
    let (_, after) = rest.split_once(END).ok_or(END).context(missing(page))?;
    let pictures = folder.file_name().unwrap_or_default().to_string_lossy();
    let content = markdown::page(results, &pictures);
    std::fs::write(page, format!("{before}{BEGIN}\n{content}{END}{after}")).context(doing)
}

const BEGIN: &str = "<!-- results: written by bench/run --publish -->";
const END: &str = "<!-- end of results -->";

fn missing(page: &Path) -> impl FnOnce() -> String {
    move || format!("{} does not have this mark", page.display())
}

fn processors() -> f64 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(count).map_or(1.0, f64::from)
}

fn setting(tools: &Tools) -> Setting {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().and_then(|text| text.parse().ok());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = memory.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name"));
    let versions =
        tools.versions.iter().map(|(name, version)| ((*name).to_owned(), version.clone()));
    Setting {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        load: load.unwrap_or_default(),
        machine: format!(
            "{} processors ({}), {} GiB of memory, {}",
            processors(),
            model.map_or("unknown", |text| text.trim_start_matches([' ', '\t', ':'])),
            kibibytes.unwrap_or_default().div_ceil(1024 * 1024),
            system.unwrap_or("unknown system").trim_matches('"'),
        ),
        versions: versions.collect::<BTreeMap<_, _>>(),
        missing: tools.missing.clone(),
    }
}
