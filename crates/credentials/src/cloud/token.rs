//! [`Kept`]: what was fetched, until shortly before it expires. [`Tokens`] keeps a token.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::CloudError;

/// Something that is good for some time.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    value: T,
    since: Instant,
    /// From here on another one is fetched.
    until: Instant,
}

/// A token and its end.
pub type Token = Timed<SecretString>;

/// How long before its end nothing is used any more, at most: a request may wait, clocks may differ.
const MARGIN: Duration = Duration::from_secs(300);
/// Longer than any run; what is said to last longer is asked for again all the same.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// What is newer than this and was refused is refused for another reason than its age.
const NEW: Duration = Duration::from_secs(60);

impl<T> Timed<T> {
    /// Something that was fetched just now, and is good for so long. It is used for most of that time: all
    /// but the last fifth, or the last five minutes.
    pub fn new(value: T, lifetime: Duration) -> Self {
        let since = Instant::now();
        let lifetime = lifetime.min(LONGEST);
        Self { value, since, until: since + lifetime - (lifetime / 5).min(MARGIN) }
    }

    /// The thing itself.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The same for something else that is good for as long.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Timed<U> {
        Timed { value: map(self.value), since: self.since, until: self.until }
    }
}

/// The last one of something, asked for by one at a time.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<Option<Timed<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Kept<T> {
    /// What is kept, or a new one. A failure is not kept.
    pub(crate) async fn get<E>(
        &self,
        fetch: impl Future<Output = Result<Timed<T>, E>>,
    ) -> Result<T, E> {
        let mut kept = self.0.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return Ok(kept.value.clone());
        }
        let fetched = fetch.await?;
        let value = fetched.value.clone();
        *kept = Some(fetched);
        Ok(value)
    }

    /// Keeps it no longer, unless it is new: it was refused.
    pub(crate) async fn refused(&self) {
        self.refused_at(Instant::now()).await;
    }

    async fn refused_at(&self, now: Instant) {
        let mut kept = self.0.lock().await;
        if kept.as_ref().is_some_and(|kept| now.duration_since(kept.since) >= NEW) {
            *kept = None;
        }
    }
}

/// The last token.
#[derive(Debug, Default)]
pub struct Tokens(Kept<SecretString>);

impl Tokens {
    /// The token that is kept, or a new one.
    ///
    /// # Errors
    /// What `fetch` ended with.
    pub async fn get(
        &self,
        fetch: impl Future<Output = Result<Token, CloudError>>,
    ) -> Result<SecretString, CloudError> {
        self.0.get(fetch).await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn a_token_is_asked_for_again_shortly_before_its_end() {
        let tokens = Tokens::default();
        let asked = Cell::new(0);
        let get = async |lifetime: u64| {
            let fetch = async {
                asked.set(asked.get() + 1);
                let value = SecretString::from(format!("token {}", asked.get()));
                Ok(Token::new(value, Duration::from_secs(lifetime)))
            };
            tokens.get(fetch).await.unwrap().expose_secret().to_owned()
        };
        assert_eq!(get(0).await, "token 1");
        assert_eq!(get(u64::MAX).await, "token 2", "the first one is at its end");
        assert_eq!(get(3600).await, "token 2");
    }

    #[test]
    fn the_last_part_of_a_lifetime_is_not_used() {
        let used = |lifetime: u64| {
            let timed = Timed::new((), Duration::from_secs(lifetime));
            (timed.until - timed.since).as_secs()
        };
        let table = [(0, 0), (60, 48), (300, 240), (3600, 3300), (43_200, 42_900)];
        for (lifetime, expected) in table {
            assert_eq!(used(lifetime), expected, "{lifetime}");
        }
        assert_eq!(used(u64::MAX), 24 * 3600 - 300);
    }

    #[tokio::test]
    async fn what_is_refused_is_fetched_again_once_it_is_not_new() {
        let kept = Kept::default();
        let get = async |value: u32| {
            let fetch = async { Ok::<_, ()>(Timed::new(value, LONGEST)) };
            kept.get(fetch).await.unwrap()
        };
        assert_eq!(get(1).await, 1);
        kept.refused().await;
        assert_eq!(get(2).await, 1, "a new one would be refused as well");
        kept.refused_at(Instant::now() + NEW).await;
        assert_eq!(get(3).await, 3);
    }
}
