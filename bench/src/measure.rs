//! [`run`]: a tool from its start to its end, and what that took.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::task::JoinSet;

use crate::error::{Context, Error, Result};

/// The programs that do the work of one tool.
#[derive(Debug)]
pub(crate) struct Commands {
    /// They are started in this order,
    pub(crate) commands: Vec<Command>,
    /// and so many run at once.
    pub(crate) parallel: usize,
}

/// What a tool took.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Cost {
    /// Seconds from the first start to the last end.
    pub(crate) wall: f64,
    /// Seconds of CPU, in user and system mode.
    pub(crate) cpu: f64,
    /// The most resident memory in bytes, of all its programs together.
    pub(crate) peak: u64,
}

/// How often memory is looked at. The kernel keeps the peak of each program, so a sample may only miss
/// what comes after the last one.
const SAMPLE: Duration = Duration::from_millis(10);

/// Runs the programs to their end, with their output in `folder`.
///
/// # Errors
/// If one of them fails, or all together take longer than the limit.
pub(crate) async fn run(mut work: Commands, folder: &Path, limit: Duration) -> Result<Cost> {
    let cpu = children_cpu()?;
    let start = Instant::now();
    let mut waiting: VecDeque<(usize, Command)> = work.commands.drain(..).enumerate().collect();
    let mut running = JoinSet::new();
    let mut identifiers: Vec<u32> = Vec::new();
    let mut peak = 0;
    let mut sample = tokio::time::interval(SAMPLE);
    loop {
        while running.len() < work.parallel.max(1)
            && let Some((number, mut command)) = waiting.pop_front()
        {
            let output = folder.join(format!("output-{number}"));
            let shown = format!("{:?}", command.as_std());
            let file = File::create(&output).context(|| format!("writing {}", output.display()))?;
            let errors = file.try_clone().context(|| "opening a file twice".to_owned())?;
            command.stdin(Stdio::null()).stdout(file).stderr(errors).kill_on_drop(true);
            let mut child = command.spawn().context(|| format!("starting {shown}"))?;
            let identifier = child.id().unwrap_or_default();
            identifiers.push(identifier);
            running.spawn(async move { (identifier, child.wait().await, output, shown) });
        }
        let ended = tokio::select! {
            _ = sample.tick() => {
                peak = peak.max(memory(&identifiers));
                if start.elapsed() > limit {
                    return Err(Error::new(format!("not ready after {} s", limit.as_secs())));
                }
                continue;
            }
            ended = running.join_next() => ended,
        };
        let Some(ended) = ended else { break };
        let (identifier, status, output, shown) = ended.context(|| "waiting".to_owned())?;
        identifiers.retain(|known| *known != identifier);
        let status = status.context(|| format!("waiting for {shown}"))?;
        if !status.success() {
            return Err(Error::new(format!("{status}: {shown}\n{}", tail(&output))));
        }
    }
    let wall = start.elapsed().as_secs_f64();
    Ok(Cost { wall, cpu: children_cpu()? - cpu, peak })
}

/// The seconds of CPU of all children of this process that have ended and were waited for.
fn children_cpu() -> Result<f64> {
    // proc(5), /proc/PID/stat: cutime and cstime are fields 16 and 17, in hundredths of a second; the
    // name in field 2 may have spaces, and ends with the last parenthesis.
    let text =
        fs::read_to_string("/proc/self/stat").context(|| "reading /proc/self/stat".to_owned())?;
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: f64 = fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// One program's peak so far, or what several have together now.
fn memory(identifiers: &[u32]) -> u64 {
    let field = |identifier: &u32, name: &str| {
        let status = fs::read_to_string(format!("/proc/{identifier}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or_default() * 1024
    };
    match identifiers {
        [one] => field(one, "VmHWM:"),
        several => several.iter().map(|identifier| field(identifier, "VmRSS:")).sum(),
    }
}

fn tail(path: &PathBuf) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}
