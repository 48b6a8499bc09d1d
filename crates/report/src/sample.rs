//! A made-up run with something of everything, for tests.

use std::sync::Arc;
use std::time::Duration;

use oci::{Digest, Reference};
use sync::{Class, Failure, ItemReport, Origin, Outcome, RunReport, Side, Transferred, Wanted};

use crate::{ErrorSide, Pulls, RegistryUse, RepositoryOutcome, RepositoryReport, RunFacts};

pub(crate) const SOURCE: Digest = Digest::Sha256([0x5a; 32]);
pub(crate) const TARGET: Digest = Digest::Sha256([0x7e; 32]);

pub(crate) fn facts() -> RunFacts {
    RunFacts {
        id: "01936f4e-0000-7000-8000-000000000000".into(),
        version: "1.2.3".into(),
        mode: sync::Mode::Sync,
        started_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        finished_at: "2026-11-21T08:01:12.5Z".parse().unwrap(),
        registries: vec![RegistryUse {
            registry: "docker.io".into(),
            side: ErrorSide::Source,
            answers: [(200, 40), (429, 12)].into(),
            throttled: 12,
            slowed_to: Some(19.3),
            pulls: Some(Pulls {
                planned: None,
                limit: Some(100),
                remaining: Some(76),
                window_seconds: Some(21_600),
                source: Some("192.0.2.7".into()),
            }),
        }],
        repositories: Vec::new(),
    }
}

/// A repository with each outcome.
pub(crate) fn repositories() -> Vec<RepositoryReport> {
    use RepositoryOutcome as O;
    let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let of = |name: &str, line, outcome| RepositoryReport {
        name: format!("{host}/{name}"),
        origin: Some(Origin { file: "repositories/team.yaml".into(), line }),
        outcome,
        changes: match outcome {
            O::Created | O::WouldCreate => vec!["+ repository\n  + mutability: immutable".into()],
            O::Updated | O::WouldUpdate => {
                vec!["~ lifecycle policy\n  - \"countNumber\": 10\n  + \"countNumber\": 20".into()]
            }
            _ => Vec::new(),
        },
        policies: usize::from(matches!(outcome, O::Updated)),
        notes: match outcome {
            O::Drift => vec!["it is encrypted with AES256, and the file says KMS".into()],
            _ => Vec::new(),
        },
        failure: (outcome == O::Failed).then(|| failure(Side::Target, Class::Denied)),
        duration: Duration::from_millis(310),
    };
    vec![
        of("team/new", 1, O::Created),
        of("team/changed", 9, O::Updated),
        of("team/same", 20, O::UpToDate),
        of("team/other-key", 31, O::Drift),
        of("team/secret", 40, O::Failed),
    ]
}

pub(crate) fn wanted(name: &str, line: usize) -> Arc<Wanted> {
    let target = format!("registry.example.com/mirror/library/{name}");
    Arc::new(Wanted {
        source: name.parse::<Reference>().unwrap().try_into().unwrap(),
        written: name.into(),
        extent: oci::Extent::Whole,
        lists_images: false,
        signatures: sync::WantedSignatures::default(),
        target: target.parse::<Reference>().unwrap().try_into().unwrap(),
        origin: Some(Origin { file: "images.yaml".into(), line }),
    })
}

/// An item with this outcome, and whatever belongs to such an item.
pub(crate) fn item(name: &str, line: usize, outcome: Outcome) -> ItemReport {
    use Outcome as O;
    let has_source = !matches!(outcome, O::SourceMissing | O::SourceLost | O::Failed | O::Deferred);
    let target = match outcome {
        O::Copied | O::UpToDate | O::SourceMoved => Some(SOURCE),
        O::Drift | O::SourceLost => Some(TARGET),
        O::WouldCopy | O::SourceMissing | O::Refused | O::Failed | O::Deferred => None,
    };
    ItemReport {
        wanted: wanted(name, line).into(),
        outcome,
        source_digest: has_source.then_some(SOURCE),
        target_digest: target,
        part_of: None,
        verified: Vec::new(),
        signature: None,
        transferred: match outcome {
            O::Copied => Transferred { copied: 71_303_168, mounted: 3_145_728, present: 1_500 },
            _ => Transferred::default(),
        },
        duration: Duration::from_millis(match outcome {
            O::Copied => 8_340,
            _ => 210,
        }),
        failure: match outcome {
            O::Failed => Some(failure(Side::Source, Class::Network)),
            O::SourceMissing => Some(failure(Side::Source, Class::NotFound)),
            O::Deferred => Some(failure(Side::Source, Class::RateLimited)),
            _ => None,
        },
        notes: Vec::new(),
    }
}

pub(crate) fn failure(side: Side, class: Class) -> Failure {
    Failure {
        side,
        class,
        content_unknown: false,
        message: match class {
            Class::Network => "GET https://docker.io/v2/: connection refused".into(),
            Class::NotFound => "no such tag or digest".into(),
            Class::RateLimited => "429 Too Many Requests after 6 attempts".into(),
            _ => "it did not work".into(),
        },
        hint: Some(match class {
            Class::Network => "check that the host is right and can be reached from here".into(),
            Class::NotFound => "check the spelling".into(),
            _ => "run again later".into(),
        }),
        temporary: class == Class::Network,
    }
}

pub(crate) fn report_of(items: Vec<ItemReport>) -> RunReport {
    RunReport { items, duration: Duration::from_millis(72_500), interrupted: false }
}

pub(crate) fn report() -> RunReport {
    let mut noted = item("postgres:16", 4, Outcome::Copied);
    noted.notes.push("2 signatures were left out: they are of a kind that cannot be copied".into());
    report_of(vec![
        item("nginx:1.27", 3, Outcome::Copied),
        noted,
        item("alpine:3.22", 5, Outcome::UpToDate),
        item("python:3.14", 6, Outcome::Drift),
        item("gone:1", 7, Outcome::SourceLost),
        item("typo:1", 8, Outcome::SourceMissing),
        item("redis:8", 9, Outcome::Failed),
        item("golang:1.27", 10, Outcome::Deferred),
    ])
}
