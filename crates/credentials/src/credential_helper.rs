//! [`Helpers`]: the programs `docker-credential-NAME`, asked as Docker asks them.
//!
//! The protocol (docker/docker-credential-helpers): `get`, the server on standard input; JSON on
//! standard output, or a message and a failure. A helper may need a second and a network, so its
//! answer is kept for a minute, and many who ask at once wait for one answer.

use std::collections::HashMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::Instant;

use crate::environment::Environment;
use crate::{Credential, Error};

/// How long a helper may take: some ask a cloud, none should ask a person.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long an answer is kept. Short, because nothing says how long its token lives.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How much of what a helper writes is read, in bytes.
const OUTPUT_LIMIT: u64 = 256 * 1024;

/// What a helper said: a credential, or that it has none.
type Answer = Result<Option<Credential>, Error>;
/// The answer to one question and when it came; held while the helper is asked.
type Kept = Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>;

/// The helpers, and what they said lately. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Helpers {
    /// By program and server.
    kept: Arc<Mutex<HashMap<(String, String), Kept>>>,
}

impl Helpers {
    /// Asks the helper `name` for the credential it keeps for `server`; `named_by` says in errors
    /// where the helper is named.
    pub(crate) async fn get(
        &self,
        name: &str,
        server: &str,
        named_by: &str,
        environment: &Environment,
    ) -> Answer {
        let question = (name.to_owned(), server.to_owned());
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(question)
            .or_default()
            .clone();
        let mut kept = kept.lock().await;
        if let Some((when, answer)) = &*kept
            && when.elapsed() < KEPT_FOR
        {
            return answer.clone();
        }
        let answer = ask(name, server, named_by, environment).await;
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn ask(name: &str, server: &str, named_by: &str, environment: &Environment) -> Answer {
    let program = format!("docker-credential-{name}");
    // A name that is a path would run anything.
    if name.contains(['/', '\\']) {
        return Err(Error::Invalid {
            place: named_by.to_owned(),
            problem: format!("`{name}` is not the name of a credential helper"),
            hint: "write only what follows `docker-credential-`".to_owned(),
        });
    }
    let Some(path) = environment.program(&program) else {
        return Err(Error::HelperMissing {
            program,
            named_by: named_by.to_owned(),
            server: server.to_owned(),
        });
    };
    let failed = |problem: String| Error::Helper {
        program: program.clone(),
        server: server.to_owned(),
        problem,
    };
    match tokio::time::timeout(TIME_LIMIT, run(&path, server)).await {
        Err(_) => Err(failed(format!("gave no answer within {} seconds", TIME_LIMIT.as_secs()))),
        Ok(Err(error)) => Err(failed(format!("could not be run: {error}"))),
        Ok(Ok(output)) => output.answer().map_err(failed),
    }
}

/// What a helper that ran to its end left.
struct Output {
    status: ExitStatus,
    stdout: SecretString,
    stderr: String,
}

/// Runs the helper to its end. Dropped before that, it kills it.
async fn run(program: &Path, server: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A helper may answer without reading; then the pipe is closed, and that is fine.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
    };
    let ((), stdout, stderr) = tokio::join!(write, read(stdout), read(stderr));
    let (stdout, stderr) = (SecretString::from(stdout?), stderr?);
    Ok(Output { status: child.wait().await?, stdout, stderr })
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut content = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT_LIMIT).read_to_end(&mut content).await?;
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// A helper's answer; `ServerURL` is left alone.
#[derive(Deserialize)]
struct Found {
    #[serde(default, rename = "Username")]
    username: String,
    #[serde(default, rename = "Secret")]
    secret: String,
}

impl Output {
    /// What the helper said, or what is wrong with it.
    fn answer(&self) -> Result<Option<Credential>, String> {
        let stdout = self.stdout.expose_secret().trim();
        if !self.status.success() {
            // "credentials not found in native keychain" goes to standard output; the ECR helper
            // writes it to the other.
            let says_none = |text: &str| text.to_lowercase().contains("credentials not found");
            if says_none(stdout) || says_none(&self.stderr) {
                return Ok(None);
            }
            // The protocol's place for a message is standard output; what has a `{` is an answer.
            let message = [self.stderr.trim(), stdout]
                .into_iter()
                .find(|text| !text.is_empty() && !text.contains('{'))
                .map_or("it said nothing".to_owned(), without_secrets);
            return Err(format!("failed ({}): {message}", self.status));
        }
        let found: Found = serde_json::from_str(stdout)
            .map_err(|_| "did not answer with the JSON object of a credential".to_owned())?;
        Ok(match (found.username.as_str(), found.secret) {
            (_, secret) if secret.is_empty() => None,
            ("<token>", secret) => Some(Credential::IdentityToken(SecretString::from(secret))),
            (username, secret) => Some(Credential::Basic {
                username: username.to_owned(),
                password: SecretString::from(secret),
            }),
        })
    }
}

/// The beginning of a message on one line, without what may be a secret in it: what stands after
/// `token=` and its like, and words that look as only keys and tokens do.
fn without_secrets(message: &str) -> String {
    const LONGEST: usize = 400;
    let mut hide_next = false;
    let words = message.split_whitespace().map(|word| {
        let lower = word.to_lowercase();
        let is_about_secrets = [
            "password",
            "passwd",
            "secret",
            "token",
            "apikey",
            "api_key",
            "authorization",
            "bearer",
        ]
        .iter()
        .any(|name| lower.contains(name));
        let hidden = hide_next || looks_like_a_secret(word);
        hide_next = is_about_secrets && lower.ends_with([':', '=']) || lower == "bearer";
        match word.find(['=', ':']) {
            _ if hidden => "***".to_owned(),
            Some(end) if is_about_secrets && end + 1 < word.len() => {
                format!("{}***", &word[..=end])
            }
            _ => without_userinfo(word),
        }
    });
    words.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// Whether the word is long and mixes lower case, upper case and digits as no prose does.
fn looks_like_a_secret(word: &str) -> bool {
    word.len() >= 20
        && !word.contains("://")
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_digit())
}

/// `https://user:password@host` as `https://***@host`.
fn without_userinfo(word: &str) -> String {
    match word.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, rest)))) => format!("{scheme}://***@{rest}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
#[cfg(unix)]
pub(crate) mod tests {
    use super::*;
    use crate::credential::exposed;

    /// Writes a shell script. A child does it, because a file that this process has open for writing
    /// may be open as well in what another thread just forked, and then cannot be run (ETXTBSY).
    pub(crate) fn write_program(path: &Path, script: &str) {
        let status = std::process::Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\""])
            .args([path.as_os_str(), script.as_ref()])
            .status();
        assert!(status.unwrap().success());
    }

    /// A folder with one helper, `docker-credential-test`, whose body is a shell script.
    struct Helper {
        folder: tempfile::TempDir,
    }

    impl Helper {
        fn new(script: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let script = format!("cd \"${{0%/*}}\"\n{script}");
            write_program(&folder.path().join("docker-credential-test"), &script);
            Self { folder }
        }

        fn environment(&self) -> Environment {
            Environment { path: Some(self.folder.path().into()), ..Environment::default() }
        }

        async fn ask(&self, server: &str) -> Result<String, Error> {
            let found =
                ask("test", server, "config.json (credsStore)", &self.environment()).await?;
            Ok(found.map_or("none".to_owned(), |credential| exposed(&credential)))
        }
    }

    #[tokio::test]
    async fn it_is_asked_by_the_protocol_and_understood() {
        let table = [
            (
                // The server comes without a line end, for which `read` fails.
                r#"read -r server; echo "{\"ServerURL\":\"$server\",\"Username\":\"$1\",\"Secret\":\"$server\"}""#,
                "basic get:r.io",
            ),
            (r#"echo '{"Username":"<token>","Secret":"t"}'"#, "identity t"),
            (r#"echo '{"Username":"","Secret":""}'"#, "none"),
            ("echo credentials not found in native keychain; exit 1", "none"),
            ("echo credentials not found in native keychain >&2; exit 1", "none"),
        ];
        for (script, expected) in table {
            assert_eq!(Helper::new(script).ask("r.io").await.unwrap(), expected, "{script}");
        }
    }

    #[tokio::test]
    async fn errors_say_what_it_said_without_secrets() {
        let table = [
            ("echo keyring is locked >&2; exit 3", "failed (exit status: 3): keyring is locked"),
            ("echo 'gpg: no key'; exit 1", "gpg: no key"),
            ("exit 1", "it said nothing"),
            (r#"echo '{"Secret":"hunter2"}'; exit 1"#, "it said nothing"),
            ("echo hunter2", "did not answer with the JSON object"),
            (r#"echo '{"Username":{"hunter2":1}}'"#, "did not answer with the JSON object"),
            ("echo 'token=hunter2 was refused' >&2; exit 1", "token=*** was refused"),
            ("echo 'Password: hunter2' >&2; exit 1", "Password: ***"),
            ("echo 'GET https://me:hunter2@h/x' >&2; exit 1", "GET https://***@h/x"),
            ("echo 'sent Zm9vYmFyMTIzNDU2Nzg5MDEyhunter2' >&2; exit 1", "sent ***"),
        ];
        for (script, expected) in table {
            let error = Helper::new(script).ask("r.io").await.unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("credential helper docker-credential-test, asked for r.io"));
            assert!(text.contains(expected), "{script}: {text}");
            assert!(!format!("{error:?} {text} {}", error.hint()).contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn one_that_is_not_there_says_who_named_it() {
        let environment = Environment { path: Some("/nowhere".into()), ..Environment::default() };
        let error = ask("gone", "r.io", "c.json (credsStore)", &environment).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "credential helper docker-credential-gone is not in PATH; \
             c.json (credsStore) names it for r.io"
        );
        let error = ask("../x", "r.io", "c.json (credsStore)", &environment).await.unwrap_err();
        assert!(error.to_string().contains("`../x` is not the name"), "{error}");
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_answer() {
        let helper = Helper::new(r#"echo x >> calls; echo '{"Username":"u","Secret":"s"}'"#);
        let (helpers, environment) = (Helpers::default(), helper.environment());
        let ask = || helpers.get("test", "r.io", "c", &environment);
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        helpers.get("test", "other.io", "c", &environment).await.unwrap();
        let calls = std::fs::read_to_string(helper.folder.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), 2, "one for each server");
    }

    #[tokio::test]
    async fn one_that_hangs_is_given_up_and_killed() {
        // It replaces itself by a program that never ends, so that its id is the one to look at.
        let helper = Helper::new("echo $$ > pid.new; mv pid.new pid; exec sleep 600");
        let environment = helper.environment();
        let pid_file = helper.folder.path().join("pid");
        let path = environment.program("docker-credential-test").unwrap();
        let started = async {
            while !pid_file.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = run(&path, "r.io") => panic!("it ended"),
            () = started => {}
        }
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
        if Path::new("/proc/self").exists() {
            let gone = async {
                while process.exists() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it was not killed");
        }
    }
}
