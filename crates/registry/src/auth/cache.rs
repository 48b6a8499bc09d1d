//! What is known is not asked twice: [`Flights`], one request for all who want the same, and
//! [`Tokens`], those that still serve.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, WeakShared};
use secrecy::SecretString;
use tokio::time::Instant;

use super::scope::Scopes;
use crate::error::Failure;

/// Requests under way, each for everyone who wants its answer. One whose caller is dropped is
/// carried on by the others; without any, it ends: it may hold what these are a part of.
pub(crate) struct Flights<K, V: Clone>(Mutex<Vec<(K, WeakFlight<V>)>>);

type Flight<V> = BoxFuture<'static, Result<V, Failure>>;
type WeakFlight<V> = WeakShared<Flight<V>>;

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq, V: Clone> Flights<K, V> {
    /// Joins a request that serves, or starts one. The flag is whether it was started here.
    pub(crate) async fn join(
        &self,
        key: K,
        serves: impl Fn(&K) -> bool,
        start: impl FnOnce() -> BoxFuture<'static, Result<V, Failure>>,
    ) -> Result<V, Failure> {
        let flight = {
            let mut flights = lock(&self.0);
            flights.retain(|(_, flight)| flight.upgrade().is_some());
            let mut serving = flights.iter().filter(|(key, _)| serves(key));
            match serving.find_map(|(_, flight)| flight.upgrade()) {
                Some(flight) => flight,
                None => {
                    let flight = start().shared();
                    flights.extend(flight.downgrade().map(|weak| (key, weak)));
                    flight
                }
            }
        };
        let result = flight.clone().await;
        lock(&self.0)
            .retain(|(_, other)| other.upgrade().is_some_and(|other| !flight.ptr_eq(&other)));
        result
    }
}

/// A token and what it is good for.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    pub(crate) issuer: Issuer,
    pub(crate) scopes: Scopes,
    /// From here on it is not used for new requests, as it may expire on the way.
    pub(crate) renew_at: Instant,
}

/// Who gives tokens for which registry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Issuer {
    /// The token server's URL.
    pub(crate) realm: String,
    /// The name it knows the registry by.
    pub(crate) service: Option<String>,
}

impl Token {
    /// When a token should be renewed that lives so long: with a rest of a tenth, at most 30 s.
    pub(crate) fn renewal(now: Instant, lifetime: Duration) -> Instant {
        let margin = (lifetime / 10).min(Duration::from_secs(30));
        // A lifetime that the clock cannot hold is as good as a day.
        now.checked_add(lifetime.saturating_sub(margin))
            .unwrap_or_else(|| now + Duration::from_secs(24 * 60 * 60))
    }
}

/// The tokens that still serve, by the resources they are for.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<ByResource>);

type ByResource = HashMap<String, Vec<Arc<Token>>>;

impl Tokens {
    /// A token of this issuer that serves a request with these scopes.
    pub(crate) fn find(&self, issuer: &Issuer, scopes: &Scopes) -> Option<Arc<Token>> {
        let now = Instant::now();
        let tokens = lock(&self.0);
        let candidates = candidates(&tokens, scopes)?;
        let serves = |token: &&Arc<Token>| {
            token.renew_at > now && token.issuer == *issuer && token.scopes.cover(scopes)
        };
        candidates.iter().find(serves).cloned()
    }

    pub(crate) fn keep(&self, token: &Arc<Token>) {
        let now = Instant::now();
        let mut tokens = lock(&self.0);
        for resource in token.scopes.resources() {
            let those = tokens.entry(resource.to_owned()).or_default();
            // Each time that they have doubled, so that many cost no more each than a few.
            if those.len().is_power_of_two() {
                those.retain(|other| other.renew_at > now);
            }
            those.push(Arc::clone(token));
        }
    }

    /// Drops a token that was refused.
    pub(crate) fn forget(&self, token: &Arc<Token>) {
        let mut tokens = lock(&self.0);
        for resource in token.scopes.resources() {
            if let Some(those) = tokens.get_mut(resource) {
                those.retain(|other| !Arc::ptr_eq(other, token));
            }
        }
    }
}

/// The tokens for the resource that has the fewest of them: a repository from which many mount has one
/// for each of these.
fn candidates<'a>(tokens: &'a ByResource, scopes: &Scopes) -> Option<&'a Vec<Arc<Token>>> {
    let all: Option<Vec<_>> = scopes.resources().map(|resource| tokens.get(resource)).collect();
    all?.into_iter().min_by_key(|those| those.len())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept here is whole at any time, so a panic elsewhere does no harm to it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test(start_paused = true)]
    async fn one_flight_for_all_who_want_the_same() {
        let flights: Flights<&str, u32> = Flights::default();
        let started = Arc::new(AtomicU32::new(0));
        let ask = |key: &'static str| {
            let started = Arc::clone(&started);
            flights.join(
                key,
                move |other| *other == key,
                move || {
                    async move {
                        let number = started.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        if key == "bad" {
                            return Err(Failure::new(ErrorKind::Server, "no"));
                        }
                        Ok(number)
                    }
                    .boxed()
                },
            )
        };
        let good = join_all((0..32).map(|_| ask("good"))).await;
        assert!(good.iter().all(|result| *result.as_ref().unwrap() == 0));
        let bad = join_all((0..3).map(|_| ask("bad"))).await;
        assert!(bad.iter().all(Result::is_err));
        assert_eq!(started.load(Ordering::Relaxed), 2);
        // Neither result nor failure is kept here.
        assert_eq!(ask("good").await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_goes_on_without_who_started_it() {
        let flights: Flights<(), u32> = Flights::default();
        let ask = |value| {
            flights.join(
                (),
                |()| true,
                move || {
                    async move {
                        tokio::time::sleep(Duration::from_secs(2)).await;
                        Ok(value)
                    }
                    .boxed()
                },
            )
        };
        let first = tokio::time::timeout(Duration::from_secs(1), ask(1));
        let (first, second) = futures::join!(first, ask(2));
        assert!(first.is_err());
        assert_eq!(second.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_that_nobody_wants_any_more_is_let_go() {
        let flights: Arc<Flights<(), u32>> = Arc::default();
        let held = Arc::clone(&flights);
        let start = || {
            async move {
                let _held = held;
                std::future::pending().await
            }
            .boxed()
        };
        let joined = flights.join((), |()| true, start);
        assert!(tokio::time::timeout(Duration::from_secs(1), joined).await.is_err());
        assert_eq!(Arc::strong_count(&flights), 1);
    }

    fn token(scopes: &str, lifetime: u64) -> Arc<Token> {
        Arc::new(Token {
            secret: "x".into(),
            issuer: issuer(),
            scopes: Scopes::parse(scopes),
            renew_at: Token::renewal(Instant::now(), Duration::from_secs(lifetime)),
        })
    }

    fn issuer() -> Issuer {
        Issuer { realm: "https://a/token".into(), service: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_serves_until_shortly_before_its_end() {
        let tokens = Tokens::default();
        let both = token("repository:a:pull,push repository:b:pull", 60);
        tokens.keep(&both);
        for scopes in ["repository:a:pull", "repository:a:pull,push", "repository:b:pull"] {
            assert!(tokens.find(&issuer(), &Scopes::parse(scopes)).is_some(), "{scopes}");
        }
        for scopes in ["repository:b:push", "repository:c:pull"] {
            assert!(tokens.find(&issuer(), &Scopes::parse(scopes)).is_none(), "{scopes}");
        }
        let other = Issuer { service: Some("x".into()), ..issuer() };
        let pull = Scopes::parse("repository:a:pull");
        assert!(tokens.find(&other, &pull).is_none());
        tokio::time::advance(Duration::from_secs(53)).await;
        assert!(tokens.find(&issuer(), &pull).is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(tokens.find(&issuer(), &pull).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_forgotten() {
        let tokens = Tokens::default();
        let (one, two) = (token("repository:a:pull", 60), token("repository:a:pull", 60));
        tokens.keep(&one);
        tokens.keep(&two);
        tokens.forget(&one);
        let pull = Scopes::parse("repository:a:pull");
        assert!(Arc::ptr_eq(&tokens.find(&issuer(), &pull).unwrap(), &two));
        tokens.forget(&two);
        assert!(tokens.find(&issuer(), &pull).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_not_looked_for_among_those_of_all_who_mount_from_one_repository() {
        let scopes = |number| format!("repository:a:pull repository:to{number}:pull,push");
        let tokens = Tokens::default();
        let kept: Vec<_> = (0..500).map(|number| token(&scopes(number), 60)).collect();
        kept.iter().for_each(|token| tokens.keep(token));
        for (number, token) in kept.iter().enumerate() {
            let scopes = Scopes::parse(&scopes(number));
            let found = tokens.find(&issuer(), &scopes).unwrap();
            assert!(Arc::ptr_eq(&found, token));
            assert_eq!(candidates(&lock(&tokens.0), &scopes).unwrap().len(), 1);
        }
        // What has expired goes when there are twice as many.
        tokio::time::advance(Duration::from_secs(60)).await;
        (0..600).for_each(|number| tokens.keep(&self::token(&scopes(number), 60)));
        assert_eq!(lock(&tokens.0).get("repository:a").map(Vec::len), Some(600));
    }

    #[test]
    fn absurd_lifetimes_do_no_harm() {
        let now = Instant::now();
        assert!(Token::renewal(now, Duration::MAX) > now);
        assert_eq!(Token::renewal(now, Duration::ZERO), now);
    }
}
