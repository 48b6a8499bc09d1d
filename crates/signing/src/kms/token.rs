//! [`Tokens`]: a token that is kept until shortly before it expires.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::SigningError;

/// A token and its end.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    value: SecretString,
    end: Instant,
}

/// The last token, asked for by one at a time.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Option<Token>>);

/// How long before its end a token is not used any more: a request may wait, clocks may differ.
const MARGIN: Duration = Duration::from_secs(120);
/// Longer than any run; what is said to last longer is asked for again all the same.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Token {
    pub(crate) fn new(value: SecretString, lifetime: Duration) -> Self {
        Self { value, end: Instant::now() + lifetime.min(LONGEST) }
    }

    pub(crate) fn value(&self) -> &SecretString {
        &self.value
    }
}

impl Tokens {
    /// The token that is kept, or a new one.
    pub(crate) async fn get(
        &self,
        fetch: impl Future<Output = Result<Token, SigningError>>,
    ) -> Result<SecretString, SigningError> {
        let mut kept = self.0.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() + MARGIN < token.end) {
            return Ok(token.value.clone());
        }
        let token = fetch.await?;
        let value = token.value.clone();
        *kept = Some(token);
        Ok(value)
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
        assert_eq!(get(60).await, "token 1");
        assert_eq!(get(u64::MAX).await, "token 2", "the first one is near its end");
        assert_eq!(get(3600).await, "token 2");
    }
}
