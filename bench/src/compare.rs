//! [`Bench::compare`]: all tools on the same work, in turns, each time with fresh targets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::authority::Authority;
use crate::corpus::Corpus;
use crate::error::{Context, Error, Result};
use crate::measure::{self, Cost};
use crate::results::{Comparison, Contender, Round, Setting};
use crate::server::{Server, Setup, Traffic};
use crate::storage::Kind;
use crate::tools::{Job, Tool, Tools};
use crate::work::{Task, Work};

/// What all comparisons of a run share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// In memory; everything lies below it.
    pub(crate) folder: &'a Path,
    pub(crate) tools: &'a Tools,
    pub(crate) authority: &'a Authority,
    pub(crate) setting: &'a Setting,
    pub(crate) rounds: usize,
    /// The tools that were asked for.
    pub(crate) wanted: &'a [Tool],
    /// Where progress is told.
    pub(crate) say: fn(&str),
}

/// How long a tool may take where none has come to its end yet.
const LIMIT: Duration = Duration::from_secs(1200);

/// A tool so many times slower than the fastest so far is given up, though not within two minutes.
const PATIENCE: f64 = 15.0;

/// A tool so many times slower than the fastest is run once: what it would add are hours.
const HOPELESS: f64 = 8.0;

impl Bench<'_> {
    /// Compares them.
    pub(crate) async fn compare(&self, work: Work, task: &Task, kind: Kind) -> Result<Comparison> {
        (self.say)(&format!("== {} · {}", task.title, kind.name()));
        let pool = self.folder.join(format!("corpus-{}", work.name()));
        let corpus = Corpus::make(&pool, &task.shape)?;
        let present = task.present.as_ref().map(|shape| Corpus::make(&pool, shape)).transpose()?;
        let place = self.folder.join("source");
        kind.fill(&Server::data_in(&place), &corpus)?;
        let setup = Setup { kind, folder: &place, quality: task.source, limit: task.limit };
        let mut source = Server::start(setup, self.tools, self.authority).await?;

        let mut floor = corpus.floor(present.as_ref());
        floor.target *= task.targets as u64;
        let (tools, contenders) = self.contenders(task);
        let mut comparison = Comparison {
            work: work.name().to_owned(),
            title: task.title.clone(),
            registry: kind.name().to_owned(),
            setting: self.setting.clone(),
            tags: corpus.tags(),
            floor,
            source: task.source,
            target: task.target,
            contenders,
        };
        for round in 0..self.rounds {
            // Another tool is first each time.
            for turn in 0..tools.len() {
                let place = (round + turn) % tools.len();
                let (Some(tool), false) = (tools.get(place), hopeless(&comparison, place)) else {
                    continue;
                };
                let sides = Sides { kind, corpus: &corpus, present: present.as_ref() };
                let limit = limit(&comparison);
                let done = self.once(*tool, task, sides, &mut source, limit).await;
                let Some(contender) = comparison.contenders.get_mut(place) else { continue };
                match done {
                    Ok(done) => {
                        (self.say)(&line(round, contender, &done));
                        contender.rounds.push(done);
                    }
                    Err(error) => {
                        (self.say)(&format!(
                            "{:>2} {:<32} FAILED: {error}",
                            round + 1,
                            tool.name()
                        ));
                        contender.failure = Some(error.to_string());
                    }
                }
            }
        }
        drop(source);
        for folder in [place, pool] {
            std::fs::remove_dir_all(&folder)
                .context(|| format!("removing {}", folder.display()))?;
        }
        Ok(comparison)
    }

    fn contenders(&self, task: &Task) -> (Vec<Tool>, Vec<Contender>) {
        let has = |tool: &Tool| self.tools.has(*tool) && self.wanted.contains(tool);
        let tools: Vec<Tool> = task.tools.iter().copied().filter(has).collect();
        let contender = |tool: &Tool| Contender {
            tool: tool.name().to_owned(),
            form: tool.form().to_owned(),
            ours: tool.is_ours(),
            rounds: Vec::new(),
            failure: None,
        };
        let contenders = tools.iter().map(contender).collect();
        (tools, contenders)
    }

    async fn once(
        &self,
        tool: Tool,
        task: &Task,
        sides: Sides<'_>,
        source: &mut Server,
        limit: Duration,
    ) -> Result<Round> {
        let Sides { kind, corpus, present } = sides;
        let folder = tempfile::tempdir_in(self.folder).context(|| "making a folder".to_owned())?;
        let mut targets = Vec::new();
        for number in 0..task.targets {
            let place: PathBuf = folder.path().join(format!("target-{number}"));
            if let Some(present) = present {
                kind.fill(&Server::data_in(&place), present)?;
            }
            let setup = Setup { kind, folder: &place, quality: task.target, limit: None };
            targets.push(Server::start(setup, self.tools, self.authority).await?);
        }
        let job = Job {
            corpus,
            source: source.host(),
            targets: targets.iter().map(Server::host).collect(),
            authority: self.authority,
            folder: folder.path(),
            streams: task.streams,
        };
        source.traffic().await?;
        let cost: Cost =
            measure::run(tool.commands(self.tools, &job)?, folder.path(), limit).await?;
        let from_source = source.traffic().await?;
        let mut to_targets = Traffic::default();
        for target in &mut targets {
            to_targets.add(&target.traffic().await?);
        }
        for target in &targets {
            kind.verify(target.data(), corpus).context(|| "it said it was done, but".to_owned())?;
            self.look_again(&job, target).await?;
        }
        Ok(Round { cost, source: from_source, target: to_targets })
    }

    /// What crane says of the first and the last tag, because files on disk are not yet an answer.
    async fn look_again(&self, job: &Job<'_>, target: &Server) -> Result<()> {
        let repositories = &job.corpus.repositories;
        for repository in [repositories.first(), repositories.last()].into_iter().flatten() {
            let Some((tag, digest)) = repository.tags.last() else { continue };
            let reference = format!("{}/{}:{tag}", target.host(), repository.name);
            let seen = self.tools.digest(job, &reference).await?;
            if seen.is_some_and(|seen| seen != digest.to_string()) {
                return Err(Error::new(format!("crane sees another digest at {reference}")));
            }
        }
        Ok(())
    }
}

/// The registries of a comparison, and what they hold.
#[derive(Clone, Copy)]
struct Sides<'a> {
    kind: Kind,
    /// What is wanted, and at the source.
    corpus: &'a Corpus,
    /// What is at the targets before.
    present: Option<&'a Corpus>,
}

fn limit(comparison: &Comparison) -> Duration {
    let walls =
        comparison.contenders.iter().flat_map(|one| &one.rounds).map(|round| round.cost.wall);
    let fastest = walls.min_by(f64::total_cmp);
    fastest.map_or(LIMIT, |wall| Duration::from_secs_f64((wall * PATIENCE).max(120.0)))
}

/// Whether the contender at this place failed, or is much slower than another.
fn hopeless(comparison: &Comparison, place: usize) -> bool {
    let wall = |one: &Contender| one.median(|round| round.cost.wall);
    let fastest = comparison.contenders.iter().filter_map(wall).min_by(f64::total_cmp);
    comparison.contenders.get(place).is_none_or(|one| {
        let slow = wall(one).zip(fastest).is_some_and(|(own, best)| own > best * HOPELESS);
        one.failure.is_some() || (slow && !one.ours)
    })
}

fn line(round: usize, contender: &Contender, done: &Round) -> String {
    let requests = |traffic: &Traffic| {
        let counts: Vec<_> =
            traffic.requests.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let refused = if traffic.refused > 0 {
            format!(", {} refused", traffic.refused)
        } else {
            String::new()
        };
        format!("{}{refused}", counts.join(", "))
    };
    format!(
        "{:>2} {:<32} wall {:7.2} s  CPU {:6.2} s  peak {:4} MiB\n     source: {} ({} connections)\n     target: {} ({} connections)",
        round + 1,
        contender.tool,
        done.cost.wall,
        done.cost.cpu,
        done.cost.peak / (1024 * 1024),
        requests(&done.source),
        done.source.connections,
        requests(&done.target),
        done.target.connections,
    )
}
