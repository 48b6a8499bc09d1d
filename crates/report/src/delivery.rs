//! [`deliver`]: brings a notice, metrics or traces to a server that may be down, slow or busy, within bounds.
//!
//! The address of a webhook is a secret, so no error has it, nor what the server says about it.

use std::time::Duration;

use aws_lc_rs::rand;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

/// What is sent where. It has no `Debug`: its address and its headers may be secret.
pub struct Delivery {
    /// `POST` or `PUT`.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// Further headers.
    pub headers: HeaderMap,
    /// The media type of the body, unless the headers have another one.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// For how long it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// All attempts and pauses together.
    pub total: Duration,
    /// One attempt.
    pub attempt: Duration,
    /// The first pause at most; each further one is twice as long, up to eight times.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(30),
            attempt: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// Why something was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem} ({})", tries(*attempts))]
pub struct Undelivered {
    problem: String,
    /// How often it was sent.
    pub attempts: u32,
}

fn tries(attempts: u32) -> String {
    match attempts {
        1 => "1 attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
    }
}

/// Sends it until it is taken, and returns how often it was sent. A server that fails or is busy is asked
/// again, after as long as it wants; one that refuses is not.
///
/// # Errors
/// [`Undelivered`], when it was refused or its time is over.
pub async fn deliver(
    client: &Client,
    delivery: &Delivery,
    patience: &Patience,
) -> Result<u32, Undelivered> {
    persist(patience, || send(client, delivery)).await
}

async fn persist<Sent>(patience: &Patience, send: impl Fn() -> Sent) -> Result<u32, Undelivered>
where
    Sent: Future<Output = Result<(), Problem>>,
{
    let end = Instant::now() + patience.total;
    let left = || end.saturating_duration_since(Instant::now());
    let mut attempts = 0;
    let mut told: Option<String> = None;
    loop {
        attempts += 1;
        let limit = patience.attempt.min(left());
        let (problem, wanted) = match timeout(limit, send()).await {
            Ok(Ok(())) => return Ok(attempts),
            Ok(Err(Problem::Final(problem))) => return Err(Undelivered { problem, attempts }),
            Ok(Err(Problem::Passing { problem, pause })) => (problem, pause),
            // An attempt that the end cut short knows less than the one before it.
            Err(_) => match told.filter(|_| limit < patience.attempt) {
                Some(problem) => (problem, None),
                None => ("no answer in time".to_owned(), None),
            },
        };
        let pause = wanted.unwrap_or_else(|| pause(patience.pause, attempts));
        let is_in_time = pause < left() && {
            sleep(pause).await;
            !left().is_zero()
        };
        if !is_in_time {
            return Err(Undelivered { problem, attempts });
        }
        told = Some(problem);
    }
}

/// What went wrong with one attempt.
enum Problem {
    /// Trying again does not help.
    Final(String),
    /// It may pass; the server may have said when.
    Passing { problem: String, pause: Option<Duration> },
}

async fn send(client: &Client, delivery: &Delivery) -> Result<(), Problem> {
    let mut headers = delivery.headers.clone();
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(delivery.content_type));
    let request = client
        .request(delivery.method.clone(), delivery.url.clone())
        .headers(headers)
        .body(delivery.body.clone());
    let response = request
        .send()
        .await
        .map_err(|error| Problem::Passing { problem: reason(&error.without_url()), pause: None })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let passes = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    let pause = retry_after(response.headers(), Timestamp::now());
    let said = said(response, &delivery.url).await;
    let problem = format!("the server answered {}{said}", status.as_u16());
    Err(if passes { Problem::Passing { problem, pause } } else { Problem::Final(problem) })
}

/// An error of the client and its causes; without the address.
fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The one word that Slack says what is wrong by, such as `invalid_blocks`. Anything longer may quote the
/// address, as many servers do for what they do not have.
async fn said(mut response: Response, url: &Url) -> String {
    const LONGEST: usize = 40;
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return String::new();
        }
    }
    let word = String::from_utf8(body).unwrap_or_default();
    let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_word && !url.as_str().contains(&word) { format!(": {word}") } else { String::new() }
}

/// How long the server wants to be left alone, in seconds or up to a time (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

/// Between half of it and all of it, so that many who failed at once do not come back at once.
fn pause(first: Duration, attempts: u32) -> Duration {
    let longest = first * (1 << attempts.saturating_sub(1).min(3));
    let mut byte = [0];
    // Without chance, all of it.
    let share = match rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 1.0,
    };
    longest.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::http::{HeaderMap as Headers, Response as Answer};
    use axum::routing::post;
    use reqwest::redirect::Policy;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const SECRET: &str = "hook-secret-in-path";

    /// A server that answers the first request with the first of these, and so on, the last one for ever.
    async fn server(answers: Vec<(u16, &'static str, &'static str)>) -> (Url, Arc<AtomicU32>) {
        let hits = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&hits);
        let answer = move |headers: Headers, body: String| {
            let hit = counted.fetch_add(1, Ordering::SeqCst) as usize;
            let (status, retry_after, said) = answers[hit.min(answers.len() - 1)];
            async move {
                assert_eq!(headers["content-type"], "application/json");
                assert_eq!(headers["x-further"], "1");
                assert_eq!(body, "{}");
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                let answer = Answer::builder().status(status).header("retry-after", retry_after);
                answer.body(said.to_owned()).unwrap()
            }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/{SECRET}", listener.local_addr().unwrap());
        let app = Router::new().route(&format!("/{SECRET}"), post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url.parse().unwrap(), hits)
    }

    /// None of these times runs out.
    const PATIENT: Patience = Patience {
        total: Duration::from_secs(30),
        attempt: Duration::from_secs(10),
        pause: Duration::from_millis(10),
    };

    fn client() -> Client {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
    }

    async fn delivered(client: &Client, url: &Url, patience: Patience) -> Result<u32, Undelivered> {
        let mut headers = HeaderMap::new();
        headers.insert("x-further", "1".parse().unwrap());
        let delivery = Delivery {
            method: Method::POST,
            url: url.clone(),
            headers,
            content_type: "application/json",
            body: b"{}".to_vec(),
        };
        deliver(client, &delivery, &patience).await
    }

    #[tokio::test]
    async fn what_passes_is_waited_for() {
        let client = client();
        for (answers, attempts) in [
            (vec![(200, "", "ok")], 1),
            (vec![(500, "", ""), (503, "", ""), (204, "", "")], 3),
            (vec![(429, "0", ""), (200, "", "")], 2),
            (vec![(408, "", ""), (200, "", "")], 2),
        ] {
            let (url, hits) = server(answers.clone()).await;
            assert_eq!(delivered(&client, &url, PATIENT).await, Ok(attempts), "{answers:?}");
            assert_eq!(hits.load(Ordering::SeqCst), attempts);
        }
    }

    #[tokio::test]
    async fn who_never_answers_is_asked_again() {
        let (url, _) = server(vec![(0, "", ""), (202, "", "")]).await;
        let patience = Patience { attempt: Duration::from_millis(200), ..PATIENT };
        // A busy machine may need more than two.
        assert!(delivered(&client(), &url, patience).await.unwrap() >= 2);
    }

    #[tokio::test]
    async fn what_does_not_pass_is_given_up_and_names_no_address() {
        // Bound, so that nobody else gets the port, and not listening.
        let nobody = TcpSocket::new_v4().unwrap();
        nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let down = format!("http://{}/{SECRET}", nobody.local_addr().unwrap()).parse().unwrap();
        // The first pause is longer than anybody waits.
        let once = Patience { pause: Duration::from_secs(3600), ..PATIENT };
        let hasty = Patience { attempt: Duration::from_millis(50), ..once };
        let client = client();
        let echo = "Cannot POST /hook-secret-in-path";
        let answering = async |answers| server(answers).await.0;
        for (url, patience, said, attempts) in [
            (down, once, "error sending request", 1),
            (answering(vec![(0, "", "")]).await, hasty, "no answer in time", 1),
            // Then the server wants to be left alone for longer than anybody waits.
            (
                answering(vec![(500, "", ""), (503, "3600", "")]).await,
                PATIENT,
                "the server answered 503 (2 attempts)",
                2,
            ),
            (answering(vec![(429, "3600", "")]).await, PATIENT, "answered 429 (1 attempt)", 1),
            (answering(vec![(404, "", echo)]).await, PATIENT, "answered 404 (1 attempt)", 1),
            (answering(vec![(302, "", "")]).await, PATIENT, "answered 302", 1),
            (
                answering(vec![(400, "", "invalid_blocks")]).await,
                PATIENT,
                "answered 400: invalid_blocks",
                1,
            ),
        ] {
            let error = delivered(&client, &url, patience).await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(said), "{text}");
            assert_eq!(error.attempts, attempts, "{text}");
            assert!(!text.contains(SECRET), "{text}");
        }
    }

    #[tokio::test]
    async fn the_end_of_patience_does_not_hide_what_the_server_said() {
        for later_are_silent in [false, true] {
            let sent = Cell::new(0);
            let send = || {
                sent.set(sent.get() + 1);
                let is_silent = later_are_silent && sent.get() > 1;
                async move {
                    if is_silent {
                        std::future::pending::<()>().await;
                    }
                    Err(Problem::Passing { problem: "busy".to_owned(), pause: None })
                }
            };
            let patience = Patience { total: Duration::from_millis(200), ..PATIENT };
            let error = persist(&patience, send).await.unwrap_err();
            assert_eq!(error, Undelivered { problem: "busy".to_owned(), attempts: sent.get() });
        }
    }

    #[tokio::test]
    async fn a_time_of_ages_is_not_waited_for() {
        let send = || async {
            let pause = Some(Duration::from_secs(u64::MAX));
            Err(Problem::Passing { problem: "busy".to_owned(), pause })
        };
        assert_eq!(persist(&PATIENT, send).await.unwrap_err().attempts, 1);
    }

    #[test]
    fn a_time_to_come_back_at_is_read_in_both_forms() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, "1994-11-06T08:49:00Z".parse().unwrap())
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(read("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn pauses_grow_and_end_growing() {
        let first = Duration::from_secs(1);
        for (attempts, most) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (u32::MAX, 8)] {
            let most = Duration::from_secs(most);
            let pause = pause(first, attempts);
            assert!(pause <= most && pause >= most / 2, "{attempts}: {pause:?}");
        }
    }
}
