//! What a [`Probe`] means: which of its values are good, which should be known, which are wrong, and
//! what to do about them.

use std::time::Duration;

use oci::Repository;
use registry::{
    ChallengeFacts, Error, ErrorKind, Greeting, Identity, KnownBy, LoginFacts, Probe, ProfileFacts,
    ReferrersApi, RepositoryFacts,
};
use report::{Check, CheckStatus as Status, ExitStatus};

/// So far apart clocks may be before somebody should know: tokens have dates in them.
const CLOCK_SKEW: i64 = 30;

/// From here on a registry is so far away that it shows.
const FAR: Duration = Duration::from_millis(500);

/// A budget below this part of it is nearly spent.
const NEARLY_SPENT: u64 = 10;

/// The checks, and what the process ends with.
pub(crate) struct Findings {
    pub(crate) checks: Vec<Check>,
    pub(crate) status: ExitStatus,
}

/// What was found out; `place` is where the credential comes from.
pub(crate) fn of(probe: &Probe, repository: Option<&Repository>, place: Option<&str>) -> Findings {
    let mut findings = Findings { checks: Vec::new(), status: ExitStatus::Success };
    match &probe.greeting {
        Err(error) => {
            findings.failed("connection", error);
            if let (Some(check), ErrorKind::Network) = (findings.checks.last_mut(), error.kind()) {
                check.hint.get_or_insert_with(|| {
                    "check that the host is right and can be reached from here".to_owned()
                });
            }
            findings.add(proxy(probe));
        }
        Ok(greeting) => {
            findings.connection(greeting);
            findings.add(proxy(probe));
            findings.add(latency(greeting));
            findings.add(clock(greeting));
            findings.add(api(greeting));
            findings.add(kind(&probe.profile));
            findings.add(habits(&probe.profile));
            findings.add(challenge(greeting));
            if let Some(login) = &probe.login {
                findings.login(login, greeting, probe.repository.as_ref(), place);
            }
        }
    }
    match (&probe.repository, repository) {
        (Some(facts), _) => findings.repository(facts, probe.profile.referrers),
        (None, Some(_)) => {}
        (None, None) if probe.greeting.is_ok() => findings.add(Check::new(
            "repository",
            Status::Skipped,
            "none was named: tags, referrers, ranges and pushes were not looked at",
        )),
        (None, None) => {}
    }
    findings
}

impl Findings {
    fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    fn ok(&mut self, name: &str, finding: impl Into<String>) {
        self.add(Check::new(name, Status::Ok, finding));
    }

    /// A failure of this check; it decides what the process ends with.
    fn failed(&mut self, name: &str, error: &Error) {
        self.add(told(name, Status::Failure, error));
        let status = match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::Denied | ErrorKind::Credential => {
                ExitStatus::Credentials
            }
            ErrorKind::RateLimited => ExitStatus::RateLimited,
            _ => ExitStatus::ItemFailed,
        };
        self.status = ExitStatus::first_of([self.status, status]);
    }

    fn connection(&mut self, greeting: &Greeting) {
        let encrypted = greeting.base.starts_with("https:");
        let tls =
            if encrypted { "over TLS with a certificate that is trusted" } else { "not encrypted" };
        self.ok("connection", format!("{}, {}, {tls}", greeting.base, greeting.http));
    }

    fn login(
        &mut self,
        login: &LoginFacts,
        greeting: &Greeting,
        facts: Option<&RepositoryFacts>,
        place: Option<&str>,
    ) {
        let by_token = matches!(greeting.challenge, Some(ChallengeFacts::Bearer { .. }));
        match (&login.identity, &login.welcome) {
            (None, Ok(())) => self.ok("login", "nobody was asked who we are"),
            (Some(identity), Ok(())) => {
                let from = place.map(|place| format!(", from {place}")).unwrap_or_default();
                self.ok("login", format!("{}{from}", shown(identity)));
            }
            // What anyone may read, the repository tells.
            (None | Some(Identity::Anonymous), Err(error)) if facts.is_some() => {
                let mut check = told("login", Status::Warning, error);
                check.finding = "nobody: no credential is known".to_owned();
                self.add(check);
            }
            (Some(Identity::Anonymous), Err(_)) if by_token => self.add(
                Check::new("login", Status::Warning, "nobody: no credential is known")
                    .hint("log in, or name a repository to see whether anyone may read it"),
            ),
            (_, Err(error)) => {
                self.failed("login", error);
                if let (Some(check), Some(place)) = (self.checks.last_mut(), place) {
                    check.finding.push_str(&format!(" (the credential is from {place})"));
                }
            }
        }
    }

    fn repository(&mut self, facts: &RepositoryFacts, expected: ReferrersApi) {
        match &facts.tags {
            Err(error) => return self.failed("tags", error),
            Ok(None) => self.add(
                Check::new("tags", Status::Warning, "there is no such repository")
                    .hint("check its name; some registries make one with the first push"),
            ),
            Ok(Some(list)) => {
                let tells =
                    if list.digests.is_empty() { "tells no digests" } else { "tells digests" };
                self.ok("tags", format!("{}; their list {tells}", list.tags.len()));
            }
        }
        match &facts.head {
            None => self.add(Check::new("head", Status::Skipped, "there is no tag to look at")),
            Some(Err(error)) => self.failed("head", error),
            Some(Ok(head)) => {
                match head.digest {
                    Some(_) => self.ok("head", format!("HEAD of `{}` tells its digest", head.tag)),
                    None => self.add(
                        Check::new(
                            "head",
                            Status::Warning,
                            format!("HEAD of `{}` does not tell its digest", head.tag),
                        )
                        .hint(
                            "a GET is needed each time a tag is looked at; it costs no more here",
                        ),
                    ),
                }
                if let Some(budget) = head.budget {
                    self.add(limit(budget));
                }
            }
        }
        self.referrers(facts, expected);
        match &facts.ranges {
            Ok(Some(true)) => self.ok("ranges", "parts of blobs can be read"),
            Ok(Some(false)) => self.add(
                Check::new("ranges", Status::Warning, "a part of a blob cannot be read")
                    .hint("a download that breaks off begins again"),
            ),
            Ok(None) => {
                self.add(Check::new("ranges", Status::Skipped, "there is no blob to try it with"));
            }
            Err(error) => self.failed("ranges", error),
        }
        match &facts.push {
            None => self.add(Check::new(
                "push",
                Status::Skipped,
                "not tried; --push begins an upload and gives it up",
            )),
            Some(Ok(())) => self.ok("push", "an upload was begun and given up"),
            Some(Err(error)) => self.failed("push", error),
        }
    }

    fn referrers(&mut self, facts: &RepositoryFacts, expected: ReferrersApi) {
        let by_tag = "referrers are listed under a fallback tag";
        match (&facts.referrers, expected) {
            (Ok(true), _) => self.ok("referrers", "listed by the registry"),
            (Ok(false), ReferrersApi::Present) => self.add(
                Check::new("referrers", Status::Warning, format!("no API answers; {by_tag}")).hint(
                    "registries of this kind have it; this one may be old, or a proxy cuts it",
                ),
            ),
            (Ok(false), ReferrersApi::Absent) => {
                self.ok(
                    "referrers",
                    format!("not asked for, as none of this kind has it; {by_tag}"),
                );
            }
            (Ok(false), ReferrersApi::Unknown) => {
                self.ok("referrers", format!("no API answers; {by_tag}"));
            }
            // Images can be copied all the same.
            (Err(error), _) => self.add(told("referrers", Status::Warning, error)),
        }
    }
}

fn told(name: &str, status: Status, error: &Error) -> Check {
    let check = Check::new(name, status, error.to_string());
    match error.hint() {
        Some(hint) => check.hint(hint),
        None => check,
    }
}

fn proxy(probe: &Probe) -> Check {
    match &probe.proxy {
        Some(proxy) => Check::new("proxy", Status::Ok, format!("through {proxy}")),
        None => Check::new("proxy", Status::Ok, "none"),
    }
}

fn latency(greeting: &Greeting) -> Check {
    let (latency, pings) = (greeting.latency, greeting.pings);
    let milliseconds = latency.as_secs_f64() * 1000.0;
    let finding = format!("{milliseconds:.1} ms, the median of {pings} pings");
    if latency < FAR {
        return Check::new("latency", Status::Ok, finding);
    }
    Check::new("latency", Status::Warning, finding)
        .hint("far away or busy; more requests at once help (`concurrency`), and a mirror nearby")
}

fn clock(greeting: &Greeting) -> Check {
    let Some(ahead) = greeting.clock_ahead else {
        return Check::new("clock", Status::Skipped, "the registry tells no date");
    };
    let seconds = ahead.as_secs();
    if seconds.abs() <= CLOCK_SKEW {
        return Check::new("clock", Status::Ok, "as the registry's");
    }
    let (apart, way) = (seconds.abs(), if seconds > 0 { "ahead of" } else { "behind" });
    let finding = format!("this machine's is {apart} s {way} the registry's");
    Check::new("clock", Status::Warning, finding)
        .hint("set the clock: tokens and certificates are good only for a time")
}

fn api(greeting: &Greeting) -> Check {
    let server = greeting.server.as_ref().map(|server| format!(", `Server: {server}`"));
    let server = server.unwrap_or_default();
    match (&greeting.api_version, greeting.status) {
        (Some(version), _) => Check::new("api", Status::Ok, format!("{version}{server}")),
        (None, 200 | 401) => {
            Check::new("api", Status::Ok, format!("`/v2/` answers, without a version{server}"))
        }
        (None, status) => {
            let finding = format!("`/v2/` answers {status} and no version of the API{server}");
            Check::new("api", Status::Warning, finding)
                .hint("this may be no registry, or one below another path")
        }
    }
}

fn kind(profile: &ProfileFacts) -> Check {
    let why = match &profile.known_by {
        KnownBy::Settings => "as its settings say".to_owned(),
        KnownBy::Name => "known by its name".to_owned(),
        KnownBy::Answer(sign) => sign.clone(),
        KnownBy::Nothing => "nothing tells what it is; `kind` in its settings may".to_owned(),
    };
    Check::new("kind", Status::Ok, format!("{}: {why}", profile.kind))
}

fn habits(profile: &ProfileFacts) -> Check {
    let uploads = if profile.chunks {
        "blobs go up in one PUT, or in parts where that is refused"
    } else {
        "blobs go up in one PUT and never in parts"
    };
    let mounts = if profile.mounts_named_only {
        "mounts are of blobs that a manifest names"
    } else {
        "mounts are tried"
    };
    let finding = format!("{uploads}; {mounts}; {} tags a page", profile.tags_per_page);
    Check::new("profile", Status::Ok, finding)
}

fn challenge(greeting: &Greeting) -> Check {
    let finding = match &greeting.challenge {
        None => "nobody has to say who he is".to_owned(),
        Some(ChallengeFacts::Basic) => "a name and a password with each request".to_owned(),
        Some(ChallengeFacts::Bearer { server, service }) => {
            let service = service.as_ref().map(|name| format!(" for `{name}`")).unwrap_or_default();
            format!("tokens{service} from {server}")
        }
    };
    Check::new("auth", Status::Ok, finding)
}

fn shown(identity: &Identity) -> String {
    match identity {
        Identity::Anonymous => "nobody: no credential is known, and none was needed".to_owned(),
        Identity::User(name) => format!("`{name}`"),
        Identity::Token => "a token".to_owned(),
    }
}

fn limit(budget: registry::Budget) -> Check {
    let window = budget.window.map(|window| match window.as_secs() {
        seconds if seconds % 3600 == 0 => format!(" in {} h", seconds / 3600),
        seconds => format!(" in {seconds} s"),
    });
    let finding = format!(
        "{} of {} pulls left{}",
        budget.remaining,
        budget.limit,
        window.unwrap_or_default()
    );
    if budget.remaining > budget.limit / NEARLY_SPENT {
        return Check::new("budget", Status::Ok, finding);
    }
    Check::new("budget", Status::Warning, finding).hint(
        "log in for a larger one, use a mirror, or wait; images that are up to date cost none",
    )
}
