//! Joins the crate `ecr` to a run: repositories are made what the sync file says before anything is
//! pushed to them, and reports say what became of each.

mod settle;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use credentials::Credentials;
use ecr::{Client, Observed, Wanted};
use futures::StreamExt;
use oci::{EcrRegistry, Location};
use report::{RepositoryOutcome, RepositoryReport};
use sync::{Class, Failure, Mode, Stop, Witness};
use syncfile::{EcrRepository, Encryption, Mutability, SyncFile};
use tokio::time::Instant;

use crate::error::{CliError, with_causes};
use crate::repository_acts;
use crate::settings::EcrSettings;
use crate::wiring::origin;
use settle::{again, blob_mounting, end, failed, failure_of, report, settle};

/// What was done before the walk.
#[derive(Default)]
pub(crate) struct Reconciled {
    pub(crate) reports: Vec<RepositoryReport>,
    /// Whether one of them did not end well.
    pub(crate) has_failed: bool,
    /// The repositories that nothing may be pushed to, and why: they are not protected as they are to be.
    pub(crate) blocked: HashMap<Location, Failure>,
}

/// Whether AWS would take what the file says; asks nobody.
pub(crate) fn check(sync_file: &SyncFile) -> Result<(), CliError> {
    let mut problems = Vec::new();
    for repository in &sync_file.repositories {
        for problem in ecr::check(&wanted(repository)) {
            let at = origin(&repository.origin);
            problems.push(format!("{at}: ECR repository `{}`: {problem}", repository.name));
        }
    }
    for (_, repositories) in by_registry(&sync_file.repositories) {
        let all: Vec<Wanted> = repositories.into_iter().map(wanted).collect();
        if let Err(conflict) = ecr::wanted_blob_mounting(&all) {
            problems.push(conflict.to_string());
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CliError::usage(problems.join("\n"))
            .hint("AWS refuses what is over its limits; docs/ecr.md lists them")),
    }
}

/// How repositories become what they are to be; in a plan and a verifying run, only what differs is told.
pub(crate) struct Reconciliation<'a> {
    /// Who we are.
    pub(crate) credentials: &'a Credentials,
    pub(crate) settings: &'a EcrSettings,
    pub(crate) mode: Mode,
    /// Whether the first that does not end well keeps later ones from beginning.
    pub(crate) fail_fast: bool,
    /// Who records what is changed.
    pub(crate) witness: Option<&'a Arc<dyn Witness>>,
    pub(crate) stop: &'a Stop,
}

impl Reconciliation<'_> {
    /// Begins with nothing more once it is stopped. What is not done then may not be pushed to.
    pub(crate) async fn of(&self, repositories: &[EcrRepository]) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let has_failed = AtomicBool::new(false);
        for (registry, repositories) in by_registry(repositories) {
            let started = Instant::now();
            let client = match self.may_begin(&has_failed) {
                Ok(()) => self.client(&registry).await,
                Err(failure) => Err(failure),
            };
            match client {
                Ok(client) => {
                    let wanted: Vec<Wanted> = repositories.iter().copied().map(wanted).collect();
                    let mounting = blob_mounting(&client, &wanted, self.mode, self.witness).await;
                    note(mounting.as_ref(), &has_failed);
                    reconciled.reports.extend(mounting);
                    let reports = self.one_registry(&client, &repositories, &wanted, &has_failed);
                    reconciled.add(&repositories, reports.await);
                }
                Err(failure) => {
                    let failed = |repository: &&EcrRepository| {
                        let mut report = report(repository, started.elapsed());
                        end(&mut report, failure.clone());
                        report
                    };
                    let mut reports: Vec<_> = repositories.iter().map(failed).collect();
                    for report in &mut reports {
                        repository_acts::ended(self.witness, report).await;
                    }
                    note(&reports, &has_failed);
                    reconciled.add(&repositories, reports);
                }
            }
        }
        reconciled.has_failed = has_failed.into_inner();
        reconciled
    }

    /// Whether there may be a next one; else why it is put off.
    fn may_begin(&self, has_failed: &AtomicBool) -> Result<(), Failure> {
        let (class, why) = if self.stop.is_at_deadline() {
            (Class::Deadline, "the deadline came before it was done")
        } else if self.stop.begin_nothing.is_cancelled() {
            (Class::Interrupted, "the run was stopped before its turn came")
        } else if self.fail_fast && has_failed.load(Ordering::SeqCst) {
            let why = "another item failed before its turn came, and --fail-fast was asked for";
            (Class::Interrupted, why)
        } else {
            return Ok(());
        };
        Err(again(failed(class, why)))
    }

    async fn client(&self, registry: &EcrRegistry) -> Result<Client, Failure> {
        let identity = self.credentials.aws_identity(&registry.host()).await;
        let identity = identity.map_err(|error| Failure {
            hint: Some(error.hint()),
            ..failed(Class::Credentials, with_causes(&error))
        })?;
        let config = identity.config(Some(registry.region()), registry.is_fips()).await;
        let config = config.map_err(|error| Failure {
            hint: error.hint().map(str::to_owned),
            ..failed(Class::Credentials, error.to_string())
        })?;
        let EcrSettings { parallel, prune_policies, .. } = *self.settings;
        let options = ecr::Options { parallel, prune_policies };
        Ok(Client::new(&config, registry.clone(), options))
    }

    /// The reports are in the order of the repositories.
    async fn one_registry(
        &self,
        client: &Client,
        repositories: &[&EcrRepository],
        wanted: &[Wanted],
        has_failed: &AtomicBool,
    ) -> Vec<RepositoryReport> {
        let started = Instant::now();
        let mut observed = tokio::select! {
            observed = client.observe(wanted) => observed,
            // Each of them is found to be stopped below.
            () = self.stop.give_up.cancelled() => BTreeMap::new(),
        };
        let looked = started.elapsed();
        let settled = repositories.iter().zip(wanted).map(|(repository, wanted)| {
            let found = observed.remove(&wanted.name);
            async move {
                let started = Instant::now();
                let mut report = report(repository, looked);
                tokio::select! {
                    // What was done goes before what stopped it.
                    biased;
                    () = self.one(client, wanted, found, has_failed, &mut report) => {}
                    () = self.stop.give_up.cancelled() => {
                        let why = "the run was stopped in the middle of it";
                        end(&mut report, again(failed(Class::Interrupted, why)));
                    }
                }
                repository_acts::ended(self.witness, &mut report).await;
                note([&report], has_failed);
                report.duration += started.elapsed();
                report
            }
        });
        let parallel = client.options().parallel.max(1);
        futures::stream::iter(settled).buffered(parallel).collect().await
    }

    async fn one(
        &self,
        client: &Client,
        wanted: &Wanted,
        found: Option<Result<Option<Observed>, ecr::Error>>,
        has_failed: &AtomicBool,
        report: &mut RepositoryReport,
    ) {
        if let Err(failure) = self.may_begin(has_failed) {
            return end(report, failure);
        }
        match found {
            Some(Ok(found)) => {
                let (mode, witness) = (self.mode, self.witness);
                settle(client, wanted, found.as_ref(), mode, witness, report).await;
            }
            Some(Err(error)) => end(report, failure_of(&error)),
            None => end(report, failed(Class::Protocol, "ECR said nothing about it")),
        }
    }
}

fn note<'r>(reports: impl IntoIterator<Item = &'r RepositoryReport>, has_failed: &AtomicBool) {
    let is_ill = |report: &RepositoryReport| {
        report.failure.is_some() || report.outcome == RepositoryOutcome::Drift
    };
    if reports.into_iter().any(is_ill) {
        has_failed.store(true, Ordering::SeqCst);
    }
}

impl Reconciled {
    /// Takes in the report of each of these repositories.
    fn add(&mut self, repositories: &[&EcrRepository], reports: Vec<RepositoryReport>) {
        for (repository, report) in repositories.iter().zip(&reports) {
            let Some(failure) = report.failure.clone() else { continue };
            let message = format!("its repository is not as it is to be: {}", failure.message);
            self.blocked.insert(repository.location(), Failure { message, ..failure });
        }
        self.reports.extend(reports);
    }
}

/// In the order of the files.
fn by_registry(repositories: &[EcrRepository]) -> Vec<(EcrRegistry, Vec<&EcrRepository>)> {
    let mut registries: Vec<(EcrRegistry, Vec<&EcrRepository>)> = Vec::new();
    for repository in repositories {
        match registries.iter_mut().find(|(registry, _)| *registry == repository.registry) {
            Some((_, repositories)) => repositories.push(repository),
            None => registries.push((repository.registry.clone(), vec![repository])),
        }
    }
    registries
}

fn wanted(repository: &EcrRepository) -> Wanted {
    let settings = &repository.settings;
    Wanted {
        name: repository.name.clone(),
        lifecycle_policy: settings.lifecycle_policy.clone(),
        permission_policy: settings.permission_policy.clone(),
        resource_tags: settings.resource_tags.clone(),
        mutability: settings.mutability.as_ref().map(|mutability| match mutability {
            Mutability::Mutable { except } => ecr::Mutability::Mutable { except: except.clone() },
            Mutability::Immutable { except } => {
                ecr::Mutability::Immutable { except: except.clone() }
            }
        }),
        scan_on_push: settings.scan_on_push,
        encryption: settings.encryption.as_ref().map(|encryption| match encryption {
            Encryption::Aes256 => ecr::Encryption::Aes256,
            Encryption::Kms { key } => ecr::Encryption::Kms { key: key.clone() },
        }),
        blob_mounting: settings.blob_mounting,
        creation_only: repository.creation_only,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use syncfile::RepositorySettings;

    use super::*;

    pub(super) fn repository(account: &str, name: &str) -> EcrRepository {
        EcrRepository {
            registry: EcrRegistry::new(account, "eu-west-1").unwrap(),
            name: name.parse().unwrap(),
            settings: RepositorySettings::default(),
            creation_only: false,
            origin: syncfile::Origin { file: "ecr.yaml".into(), line: 3, column: 1 },
        }
    }

    #[test]
    fn each_registry_is_worked_on_once_in_the_order_of_the_files() {
        let [one, other] = ["111111111111", "222222222222"];
        let all = [repository(one, "b"), repository(other, "c"), repository(one, "a")];
        let registries = by_registry(&all).into_iter().map(|(registry, repositories)| {
            let names: Vec<&str> = repositories.iter().map(|one| one.name.as_str()).collect();
            (registry.account().to_owned(), names)
        });
        let expected = [(one.to_owned(), vec!["b", "a"]), (other.to_owned(), vec!["c"])];
        assert_eq!(registries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_failed_and_nothing_else_is_not_pushed_to() {
        let [fine, broken] = ["fine", "broken"].map(|name| repository("111111111111", name));
        let well = report(&fine, Duration::ZERO);
        let failure = Failure { hint: Some("ask".into()), ..failed(Class::Denied, "no") };
        let ill = RepositoryReport { failure: Some(failure), ..report(&broken, Duration::ZERO) };
        let mut reconciled = Reconciled::default();
        reconciled.add(&[&fine, &broken], vec![well, ill]);
        assert_eq!(reconciled.reports.len(), 2);
        assert_eq!(reconciled.blocked.len(), 1);
        let blocked = &reconciled.blocked[&broken.location()];
        assert_eq!(blocked.message, "its repository is not as it is to be: no");
        assert_eq!((blocked.class, blocked.hint.as_deref()), (Class::Denied, Some("ask")));
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_begins_no_repository_and_pushes_to_none() {
        let all = [repository("111111111111", "a"), repository("222222222222", "b")];
        let signalled = Stop::default();
        signalled.begin_nothing.cancel();
        let late = Stop::default();
        late.reach_deadline();
        for (stop, class) in [(signalled, Class::Interrupted), (late, Class::Deadline)] {
            let settings = EcrSettings { parallel: 5, prune_policies: false };
            let reconciliation = Reconciliation {
                credentials: &Credentials::new(credentials::Environment::from_lookup(|_| None)),
                settings: &settings,
                mode: Mode::Sync,
                fail_fast: false,
                witness: None,
                stop: &stop,
            };
            let reconciled = reconciliation.of(&all).await;
            assert!(reconciled.has_failed);
            for (repository, report) in all.iter().zip(&reconciled.reports) {
                assert_eq!(report.outcome, RepositoryOutcome::Deferred);
                assert_eq!(report.failure.as_ref().map(|failure| failure.class), Some(class));
                assert_eq!(reconciled.blocked[&repository.location()].class, class);
            }
        }
    }
}
