//! A made-up run with something of everything, for tests.

use std::sync::Arc;
use std::time::Duration;

use oci::{Digest, MediaType, Reference};
use sync::{
    Class, Cost, Failure, Foreseen, ForeseenBlob, ForeseenCompanion, ForeseenManifest, ItemReport,
    Origin, Outcome, RunReport, Side, Transferred, Wanted,
};

use crate::{
    Blobs, Document, ErrorSide, ExitStatus, NoticeKind, NoticeReport, Pulls, RegistryUse,
    RepositoryOutcome, RepositoryReport, Rules, RunFacts, SourceLost, Timing,
};

pub(crate) const SOURCE: Digest = Digest::Sha256([0x5a; 32]);
pub(crate) const TARGET: Digest = Digest::Sha256([0x7e; 32]);

/// What a plan has foreseen of an image with a signature.
pub(crate) fn foreseen() -> Foreseen {
    let of = |digest, size| ForeseenManifest { digest, media_type: MediaType::OCI_MANIFEST, size };
    Foreseen {
        root: SOURCE,
        manifests: vec![of(SOURCE, 700)],
        companions: vec![ForeseenCompanion {
            digest: TARGET,
            tag: Some("sha256-5a.sig".parse().unwrap()),
            artifact_type: None,
            ring: 0,
            manifests: vec![TARGET],
        }],
        blobs: vec![
            ForeseenBlob { digest: Digest::sha256(b"a"), size: 5_000, is_missing: true },
            ForeseenBlob { digest: Digest::sha256(b"b"), size: 400, is_missing: false },
        ],
        signatures: vec![SOURCE],
        attests: true,
        cost: Cost { requests: 40, bytes: 5_700, pulls: 2 },
    }
}

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
        source_lost: crate::SourceLost::Warn,
        timings: Vec::new(),
    }
}

/// A notice that was not delivered, and one that was.
pub(crate) fn notices() -> Vec<NoticeReport> {
    let of = |kind, line, attempts, error: Option<&str>| NoticeReport {
        kind,
        origin: crate::Origin { file: "images.yaml".into(), line },
        delivered: error.is_none(),
        attempts,
        error: error.map(str::to_owned),
    };
    vec![
        of(NoticeKind::Teams, 21, 3, Some("the server answered 503")),
        of(NoticeKind::Slack, 20, 1, None),
    ]
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
        late: None,
        foreseen: None,
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

/// When the items of [`report`] were looked at, and copied where they were.
fn timings(items: &[ItemReport]) -> Vec<Option<Timing>> {
    let timing = |(number, item): (u32, &ItemReport)| {
        let started = f64::from(number) / 4.0;
        let copied = item.outcome == Outcome::Copied;
        (item.outcome != Outcome::Deferred).then(|| Timing {
            started,
            decided: Some(started + 0.2),
            copying: copied.then_some(started + 0.5),
            ended: Some(started + item.duration.as_secs_f64()),
            blobs: if copied {
                Blobs { copied: 5, mounted: 1, present: 2 }
            } else {
                Blobs::default()
            },
            retries: usize::from(number == 1),
        })
    };
    (0..).zip(items).map(timing).collect()
}

/// The report of a run with something of everything: repositories, signatures, a refusal, times.
pub(crate) fn whole() -> Document {
    let mut report = report();
    let mut refused = item("unsigned:2", 11, Outcome::Refused);
    refused.failure = Some(failure(Side::Source, Class::Signature));
    let mut signed = item("signed:3", 12, Outcome::UpToDate);
    signed.verified = vec!["https://github.com/org/app (https://issuer.example)".into()];
    report.items.extend([refused, signed, item("moved:4", 13, Outcome::SourceMoved)]);
    let timings = timings(&report.items);
    let facts = RunFacts { repositories: repositories(), timings, ..facts() };
    Document { notices: notices(), ..document(&facts, &report) }
}

/// The report of a run in this mode, without repositories.
pub(crate) fn document_of(mode: sync::Mode, items: Vec<ItemReport>) -> Document {
    document(&RunFacts { mode, ..facts() }, &report_of(items))
}

fn document(facts: &RunFacts, report: &RunReport) -> Document {
    let rules = Rules {
        mode: facts.mode,
        source_lost: SourceLost::Warn,
        pending_has_code: false,
        signal: None,
    };
    Document::new(facts, report, ExitStatus::of(report, &facts.repositories, &rules))
}

/// A run of many items, with every outcome among them.
pub(crate) fn many(count: usize) -> Document {
    use Outcome as O;
    let seldom = [O::Drift, O::Refused, O::Failed, O::SourceMissing, O::SourceLost, O::Deferred];
    let items: Vec<ItemReport> = (0..count)
        .map(|number| {
            let outcome = match number % 10 {
                0 => seldom[number / 10 % seldom.len()],
                1..=4 => O::Copied,
                _ => O::UpToDate,
            };
            let mut item = item(
                &format!("team-{}/app-{number}:1.{}", number % 17, number % 5),
                number + 1,
                outcome,
            );
            if number % 50 == 7 {
                item.notes.push("an SBOM was left out: the target does not take it".into());
            }
            item
        })
        .collect();
    let report = report_of(items);
    let timings = timings(&report.items);
    document(&RunFacts { timings, ..facts() }, &report)
}

/// What a registry, a file or a key could say to break a format that it is put into.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script> \" &amp; ' `${x}` | \\| [a](http://b) {0} @octocat #1 \
     <!-- ]]> %0A\r\n::stop-commands::x\n- **b** \0\u{1b}[31m\u{202e}\u{ffff}";

/// The report of a run in which everything that others have a say in is hostile.
pub(crate) fn hostile() -> Document {
    let mut document = whole();
    document.registries[0].registry = HOSTILE.into();
    document.registries[0].throttled = 2;
    document.notices[0].error = Some(HOSTILE.into());
    document.notices[0].origin.file = HOSTILE.into();
    for item in &mut document.items {
        item.source = HOSTILE.into();
        item.target = HOSTILE.into();
        item.notes = vec![HOSTILE.into()];
        item.platforms = vec![HOSTILE.into()];
        item.verified = vec![HOSTILE.into()];
        item.changes.iter_mut().for_each(|change| *change = HOSTILE.into());
        if let Some(origin) = &mut item.origin {
            origin.file = HOSTILE.into();
        }
        if let Some(error) = &mut item.error {
            error.message = HOSTILE.into();
            error.hint = Some(HOSTILE.into());
        }
        for text in [&mut item.source_digest, &mut item.target_digest, &mut item.pin_line] {
            text.iter_mut().for_each(|text| *text = HOSTILE.into());
        }
    }
    document
}
