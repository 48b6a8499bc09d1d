//! [`Pace`]: when the next request to a registry may begin. Values in, values out; who waits is in
//! `gate`.
//!
//! A registry may have a rate that was set or published. One that answers 429 has another, which it
//! does not tell: it is learned. The first refusal gives a guess, what was accepted in the time
//! before; from then on requests go out evenly, a little faster all the time, and a tenth slower
//! with every burst of refusals. So refusals stay few, and the rate close to the limit: some
//! registries count what they refuse, too.

use std::time::Duration;

use tokio::time::Instant;

use crate::retry::FEWEST_REFUSALS;

/// A timer may be late by so much without the rate being lost.
const SLACK: Duration = Duration::from_millis(20);

/// The first guess is no slower than this, in requests a second: a single refusal may be a mishap,
/// and further ones correct it soon.
const FIRST_GUESS: f64 = 10.0;

/// No rate is slower than this, in requests a second.
const SLOWEST: f64 = 1.0 / 60.0;

/// No fewer accepted requests than this tell anything of a limit.
const TELLING: u64 = 20;

/// The time in which requests are counted is at least this long, because limits are per second or
/// longer.
const SHORTEST_COUNT: Duration = Duration::from_secs(1);

/// What was accepted longer ago than this says nothing of a limit per second, or per minute.
const RECENT: Duration = Duration::from_secs(10);
const LATELY: Duration = Duration::from_secs(120);

/// A pause longer than this means a window of a minute or so: its average is the rate then.
const LONG_PAUSE: Duration = Duration::from_secs(3);

/// A limit that was found is approached slowly for so long, then it may have become another.
const KNOWN_FOR: Duration = Duration::from_secs(15);

/// While it is not known whether the registry takes anything again, it is asked once in so long.
const PROBE: Duration = Duration::from_secs(1);

/// A first refusal that none has followed for so long was a mishap.
const MISHAP: Duration = Duration::from_secs(3);

/// Growth a second near a limit that was found, where there may be none, and after a mishap.
const SLOWLY: f64 = 0.01;
const QUICKLY: f64 = 0.10;
const BACK: f64 = 1.0;

/// The pauses after refusals without `Retry-After`: the first, doubled as long as nothing else
/// comes, up to the longest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

/// When the next request may begin.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Never more than this, in requests a second.
    most: Option<f64>,
    learned: Option<Learned>,
    pauses: Pauses,
    /// When the rate allows the next request.
    next: Instant,
    /// Before this the registry wants none.
    held_until: Instant,
    /// What was accepted since the last burst, while the registry was asked.
    recent: Count,
    /// What was accepted in the last minute or two, all pauses included.
    lately: Count,
}

/// Accepted requests.
#[derive(Debug)]
struct Count {
    since: Instant,
    accepted: u64,
}

/// What refusals taught.
#[derive(Debug)]
struct Learned {
    /// In requests a second.
    rate: f64,
    /// The rate before the last burst; none before the first.
    before: Option<f64>,
    /// The last burst's first refusal. Refusals of requests begun before belong to that burst.
    refused_at: Instant,
    /// How long was counted before the last burst that followed anything else, what was accepted
    /// in that time, and when it ended.
    counted: Duration,
    accepted: u64,
    counted_until: Instant,
    /// Bursts since the last request that was accepted.
    in_a_row: u32,
    /// How long the limit that was found is taken for one.
    known_for: Duration,
    grown_at: Instant,
}

impl Pace {
    pub(crate) fn new(most: Option<f64>, pauses: Pauses, now: Instant) -> Self {
        let none = || Count { since: now, accepted: 0 };
        let (recent, lately) = (none(), none());
        Self { most, learned: None, pauses, next: now, held_until: now, recent, lately }
    }

    /// The rate that refusals taught, in requests a second.
    pub(crate) fn learned(&self) -> Option<f64> {
        self.learned.as_ref().map(|learned| learned.rate)
    }

    /// Until when the registry is to be left alone.
    pub(crate) fn held_until(&self) -> Instant {
        self.held_until
    }

    /// Since when the registry has refused everything, however often and gently it was asked.
    pub(crate) fn refusing_since(&self) -> Option<Instant> {
        let learned = self.learned.as_ref().filter(|_| self.recent.accepted == 0)?;
        (learned.in_a_row >= FEWEST_REFUSALS).then_some(learned.counted_until)
    }

    /// Lets a request begin, or says when to ask again.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        if self.held_until > now {
            return Err(self.held_until);
        }
        let Some(interval) = self.interval() else { return Ok(()) };
        if self.next > now {
            return Err(self.next);
        }
        // What a late timer lost is made up for, time that nobody wanted is not.
        let late = now.saturating_duration_since(self.next);
        self.next = if late > SLACK { now } else { self.next } + interval;
        if self.learned.is_some() && self.recent.accepted == 0 {
            // One is enough to see whether the pause was long enough.
            self.next = now + interval.max(PROBE);
        }
        Ok(())
    }

    /// A request that was begun at `begun` was not refused for its being one too many. Says whether
    /// others may now begin sooner than they were told.
    pub(crate) fn accepted(&mut self, begun: Instant, now: Instant) -> bool {
        let interval = self.interval().unwrap_or_default();
        // One that had not to wait says nothing of how many there may be.
        let in_use = self.next + interval >= now;
        let Some(learned) = &mut self.learned else {
            self.count(now);
            return false;
        };
        if begun <= learned.refused_at {
            // It was on its way with those that were refused, and counts with them.
            if self.recent.accepted == 0 {
                learned.accepted += 1;
                learned.settle();
            }
            return false;
        }
        let resumed = self.recent.accepted == 0;
        if resumed {
            learned.in_a_row = 0;
            learned.settle_after_pause(begun, &self.lately);
            learned.grown_at = now;
            self.next = now.max(begun + interval_of(learned.rate));
        }
        let quiet = now.duration_since(learned.refused_at);
        let growth = match learned.before {
            Some(before) if learned.rate >= 0.9 * before && quiet < learned.known_for => SLOWLY,
            None if quiet > MISHAP => BACK,
            _ => QUICKLY,
        };
        let grown = now.duration_since(learned.grown_at).min(SHORTEST_COUNT);
        learned.grown_at = now;
        if in_use {
            learned.rate *= 1.0 + growth * grown.as_secs_f64();
        }
        self.count(now);
        resumed
    }

    /// A request that was begun at `begun` was refused as one too many; `asked` is for how long the
    /// registry asked for none, where it said.
    pub(crate) fn refused(&mut self, begun: Instant, now: Instant, asked: Option<Duration>) {
        if let Some(asked) = asked {
            self.hold(asked, now);
        }
        if self.learned.as_ref().is_some_and(|learned| begun <= learned.refused_at) {
            return;
        }
        let pause = match &mut self.learned {
            Some(learned) if self.recent.accepted == 0 => {
                // The last pause was too short; of the rate that says nothing.
                learned.in_a_row += 1;
                learned.refused_at = now;
                let doubled = 1_u32.checked_shl(learned.in_a_row).unwrap_or(u32::MAX);
                self.pauses.first.saturating_mul(doubled).min(self.pauses.longest)
            }
            learned => {
                let before = learned.as_ref().map(|learned| learned.rate);
                let known_for = learned.as_ref().map_or(KNOWN_FOR, |learned| learned.known_for);
                let learned = learned.insert(Learned {
                    rate: 0.0,
                    before,
                    refused_at: now,
                    counted: self.recent.time(now),
                    accepted: self.recent.accepted,
                    counted_until: now,
                    in_a_row: 0,
                    known_for,
                    grown_at: now,
                });
                learned.settle();
                self.recent.accepted = 0;
                match before {
                    None => self.pauses.first,
                    Some(rate) => self.pauses.first.min(interval_of(rate).saturating_mul(2)),
                }
            }
        };
        if asked.is_none() {
            self.hold(pause, now);
        }
        // A rate is what comes while the registry is asked, not while it is left alone.
        self.recent.since = self.held_until;
        self.next = self.held_until;
    }

    /// The registry wants no requests for so long.
    pub(crate) fn hold(&mut self, delay: Duration, now: Instant) {
        // A date that lies beyond what the clock can hold is as good as a year.
        let delay = delay.min(Duration::from_secs(365 * 24 * 60 * 60));
        self.held_until = self.held_until.max(now + delay);
    }

    fn count(&mut self, now: Instant) {
        self.recent.add(now, RECENT);
        self.lately.add(now, LATELY);
    }

    fn interval(&self) -> Option<Duration> {
        let rates = [self.most, self.learned()];
        rates.into_iter().flatten().reduce(f64::min).map(interval_of)
    }
}

impl Count {
    /// Counts one, and forgets half of them where they reach back further than `longest`.
    fn add(&mut self, now: Instant, longest: Duration) {
        if self.time(now) > longest {
            self.since = now.checked_sub(longest / 2).unwrap_or(now);
            self.accepted /= 2;
        }
        self.accepted += 1;
    }

    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Learned {
    /// The rate after a burst, from what was accepted before it.
    fn settle(&mut self) {
        let measured = self.accepted as f64 / self.counted.max(SHORTEST_COUNT).as_secs_f64();
        self.rate = match self.before {
            None => (0.95 * measured).max(FIRST_GUESS),
            // Too short a time says nothing, but that the last step was too small.
            Some(before) if self.counted < SHORTEST_COUNT => (0.8 * before).max(SLOWEST),
            Some(before) => measured.clamp(0.7 * before, 0.9 * before).max(SLOWEST),
        };
    }

    /// The rate after the pause that ended with the request begun at `begun`.
    fn settle_after_pause(&mut self, begun: Instant, lately: &Count) {
        let pause = begun.duration_since(self.counted_until);
        if pause > LONG_PAUSE && lately.accepted >= TELLING {
            let average = lately.accepted as f64 / lately.time(begun).as_secs_f64();
            self.rate = self.rate.min(0.9 * average).max(SLOWEST);
            self.before = Some(self.rate);
            self.known_for = KNOWN_FOR.max(2 * pause);
        }
    }
}

fn interval_of(rate: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::from_secs(3600))
}
