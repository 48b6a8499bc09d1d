//! [`Election`]: who may take a lease, as client-go decides it
//! (<https://pkg.go.dev/k8s.io/client-go/tools/leaderelection>). Pure.
//!
//! The times in a lease are never compared with our clock: those of replicas may differ by minutes. A
//! lease has run out when *we* have seen no change of it for as long as it says it is good for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What matters of a Lease:
/// <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) holder_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease_duration_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acquire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renew_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease_transitions: Option<i64>,
}

/// What may be done with a lease as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It may be written so, and is ours if that works.
    Write(Spec),
    /// Another replica has it.
    OfAnother,
}

pub(crate) struct Election {
    identity: String,
    duration: Duration,
    /// What was found last, and when it was first found so.
    observed: Option<(Spec, Instant)>,
}

impl Election {
    pub(crate) fn new(identity: String, duration: Duration) -> Self {
        Self { identity, duration, observed: None }
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    /// What a lease is to be that does not exist yet; `time` is for people.
    pub(crate) fn first(&self, time: &str) -> Spec {
        Spec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(seconds(self.duration)),
            acquire_time: Some(time.to_owned()),
            renew_time: Some(time.to_owned()),
            lease_transitions: Some(0),
        }
    }

    pub(crate) fn judge(&mut self, found: &Spec, now: Instant, time: &str) -> Verdict {
        let since = match &self.observed {
            Some((known, since)) if known == found => *since,
            _ => {
                self.observed = Some((found.clone(), now));
                now
            }
        };
        let holder = found.holder_identity.as_deref().filter(|holder| !holder.is_empty());
        if holder == Some(self.identity.as_str()) {
            let acquire_time = found.acquire_time.clone();
            let lease_transitions = found.lease_transitions;
            return Verdict::Write(Spec { acquire_time, lease_transitions, ..self.first(time) });
        }
        let good_for = found.lease_duration_seconds.map_or(self.duration, |seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        });
        if holder.is_some() && now.duration_since(since) < good_for {
            return Verdict::OfAnother;
        }
        let transitions = found.lease_transitions.unwrap_or_default().saturating_add(1);
        Verdict::Write(Spec { lease_transitions: Some(transitions), ..self.first(time) })
    }

    /// What a lease is to be that we give back; none where it is not ours.
    pub(crate) fn given_back(&self, found: &Spec, time: &str) -> Option<Spec> {
        let is_ours = found.holder_identity.as_deref() == Some(self.identity.as_str());
        is_ours.then(|| Spec {
            holder_identity: Some(String::new()),
            // A lease must be good for some time; client-go says a second as well.
            lease_duration_seconds: Some(1),
            acquire_time: Some(time.to_owned()),
            renew_time: Some(time.to_owned()),
            lease_transitions: found.lease_transitions,
        })
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(holder: &str, renewed: &str) -> Spec {
        Spec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            acquire_time: Some("long ago".to_owned()),
            renew_time: Some(renewed.to_owned()),
            lease_transitions: Some(4),
        }
    }

    fn written(verdict: &Verdict) -> Option<(&str, i64)> {
        match verdict {
            Verdict::Write(spec) => {
                Some((spec.acquire_time.as_deref().unwrap(), spec.lease_transitions.unwrap()))
            }
            Verdict::OfAnother => None,
        }
    }

    #[test]
    fn a_lease_runs_out_by_our_clock_alone() {
        let mut election = Election::new("me".to_owned(), Duration::from_secs(15));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        // Its times are of another clock, years behind: that says nothing.
        let old = spec("other", "2001-01-01T00:00:00.000000Z");
        assert_eq!(election.judge(&old, start, "now"), Verdict::OfAnother);
        assert_eq!(election.judge(&old, after(14), "now"), Verdict::OfAnother);
        // It was renewed: the time begins anew.
        let renewed = spec("other", "2001-01-01T00:00:14.000000Z");
        assert_eq!(election.judge(&renewed, after(14), "now"), Verdict::OfAnother);
        assert_eq!(election.judge(&renewed, after(28), "now"), Verdict::OfAnother);
        assert_eq!(written(&election.judge(&renewed, after(29), "now")), Some(("now", 5)));
    }

    #[test]
    fn ours_is_renewed_and_one_that_was_given_back_is_taken_at_once() {
        let mut election = Election::new("me".to_owned(), Duration::from_secs(15));
        let now = Instant::now();
        assert_eq!(written(&election.judge(&spec("me", "a"), now, "now")), Some(("long ago", 4)));
        assert_eq!(written(&election.judge(&spec("", "a"), now, "now")), Some(("now", 5)));
        assert_eq!(written(&election.judge(&Spec::default(), now, "now")), Some(("now", 1)));
        let back = election.given_back(&spec("me", "a"), "now").unwrap();
        assert_eq!((back.holder_identity.as_deref(), back.lease_transitions), (Some(""), Some(4)));
        assert_eq!(election.given_back(&spec("other", "a"), "now"), None);
    }
}
