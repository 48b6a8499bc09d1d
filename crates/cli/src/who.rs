//! Who runs the program, as far as it is known without asking anybody over the network: for the audit
//! log. All of it is what the surroundings say, and none of it is proved: a token's claims are read, not
//! checked. No secret is among it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use report::Who;
use serde_json::Value;

use crate::environment::Environment;

/// Where a pod finds the token of its service account
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
const KUBERNETES_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The longest value that is taken over, in bytes.
const VALUE_AT_MOST: usize = 512;

/// What is known of who runs this process.
pub(crate) fn of_this_process(environment: &Environment) -> Who {
    who(environment, |path| std::fs::read_to_string(path).ok())
}

/// The same, where files are read by `read`.
fn who(environment: &Environment, read: impl Fn(&Path) -> Option<String>) -> Who {
    let mut known = Known { environment, claims: BTreeMap::new(), name: None };
    known.github();
    known.gitlab();
    known.aws(&read);
    known.google(&read);
    known.azure();
    known.kubernetes(&read);
    known.system(&read);
    Who { name: known.name.unwrap_or_else(|| "unknown".to_owned()), claims: known.claims }
}

struct Known<'a> {
    environment: &'a Environment,
    claims: BTreeMap<String, String>,
    name: Option<String>,
}

impl Known<'_> {
    /// Takes over what these variables say, under `prefix`; what each says.
    fn variables<const N: usize>(
        &mut self,
        prefix: &str,
        names: [(&str, &str); N],
    ) -> [Option<String>; N] {
        names.map(|(name, variable)| {
            let value = self.environment.get(variable)?.to_str()?.to_owned();
            self.claim(&format!("{prefix}.{name}"), &value);
            Some(value)
        })
    }

    fn claim(&mut self, name: &str, value: &str) {
        let end = value.floor_char_boundary(VALUE_AT_MOST);
        let value = value.get(..end).unwrap_or_default();
        self.claims.insert(name.to_owned(), value.to_owned());
    }

    /// The first one, from the most telling to the least, is the name.
    fn named(&mut self, name: Option<String>) {
        self.name = self.name.take().or(name);
    }

    fn is(&self, variable: &str, value: &str) -> bool {
        self.environment.get(variable).is_some_and(|found| found == value)
    }

    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>
    fn github(&mut self) {
        if !self.is("GITHUB_ACTIONS", "true") {
            return;
        }
        let [workflow, repository, actor, ..] = self.variables(
            "github",
            [
                ("workflowRef", "GITHUB_WORKFLOW_REF"),
                ("repository", "GITHUB_REPOSITORY"),
                ("actor", "GITHUB_ACTOR"),
                ("triggeringActor", "GITHUB_TRIGGERING_ACTOR"),
                ("event", "GITHUB_EVENT_NAME"),
                ("ref", "GITHUB_REF"),
                ("sha", "GITHUB_SHA"),
                ("run", "GITHUB_RUN_ID"),
                ("attempt", "GITHUB_RUN_ATTEMPT"),
                ("server", "GITHUB_SERVER_URL"),
            ],
        );
        let what = workflow.or(repository);
        self.named(what.map(|what| format!("github-actions {what}{}", by(actor))));
    }

    /// <https://docs.gitlab.com/ci/variables/predefined_variables/>
    fn gitlab(&mut self) {
        if !self.is("GITLAB_CI", "true") {
            return;
        }
        let [project, user, ..] = self.variables(
            "gitlab",
            [
                ("project", "CI_PROJECT_PATH"),
                ("user", "GITLAB_USER_LOGIN"),
                ("ref", "CI_COMMIT_REF_NAME"),
                ("sha", "CI_COMMIT_SHA"),
                ("pipeline", "CI_PIPELINE_ID"),
                ("pipelineSource", "CI_PIPELINE_SOURCE"),
                ("job", "CI_JOB_ID"),
                ("server", "CI_SERVER_URL"),
            ],
        );
        self.named(project.map(|project| format!("gitlab-ci {project}{}", by(user))));
    }

    /// The role that the SDK is told to take on with a token, and whose the token is
    /// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>).
    fn aws(&mut self, read: impl Fn(&Path) -> Option<String>) {
        let [role, ..] = self.variables(
            "aws",
            [("roleArn", "AWS_ROLE_ARN"), ("roleSessionName", "AWS_ROLE_SESSION_NAME")],
        );
        if let Some(file) = self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let subject = read(Path::new(file)).and_then(|token| subject_of(&token));
            subject.inspect(|subject| self.claim("aws.webIdentitySubject", subject));
        }
        self.named(role.map(|role| format!("aws {role}")));
    }

    /// The file of application default credentials (<https://google.aip.dev/auth/4110>).
    fn google(&mut self, read: impl Fn(&Path) -> Option<String>) {
        let Some(file) = self.environment.get("GOOGLE_APPLICATION_CREDENTIALS") else { return };
        let read = read(Path::new(file)).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let Some(file) = read else { return };
        let text = |name: &str| file.get(name).and_then(Value::as_str).map(str::to_owned);
        // `…/serviceAccounts/NAME:generateAccessToken`
        let impersonated = text("service_account_impersonation_url").and_then(|url| {
            let (_, account) = url.rsplit_once('/')?;
            account.split(':').next().map(str::to_owned)
        });
        let account = text("client_email").or(impersonated);
        if let Some(account) = &account {
            self.claim("google.serviceAccount", account);
        }
        self.named(account.map(|account| format!("google {account}")));
    }

    /// What workload identity sets
    /// (<https://azure.github.io/azure-workload-identity/docs/quick-start.html>).
    fn azure(&mut self) {
        let [client, ..] = self
            .variables("azure", [("clientId", "AZURE_CLIENT_ID"), ("tenantId", "AZURE_TENANT_ID")]);
        self.named(client.map(|client| format!("azure {client}")));
    }

    /// The subject that the pod's token claims, such as `system:serviceaccount:NAMESPACE:NAME`.
    fn kubernetes(&mut self, read: impl Fn(&Path) -> Option<String>) {
        if self.environment.get("KUBERNETES_SERVICE_HOST").is_none() {
            return;
        }
        let subject = read(Path::new(KUBERNETES_TOKEN)).and_then(|token| subject_of(&token));
        if let Some(subject) = &subject {
            self.claim("kubernetes.subject", subject);
        }
        self.named(subject.map(|subject| format!("kubernetes {subject}")));
    }

    /// The user and the host, as the system has them.
    fn system(&mut self, read: impl Fn(&Path) -> Option<String>) {
        let user = ["USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| self.environment.get(name)?.to_str().map(str::to_owned));
        let host = read(Path::new("/proc/sys/kernel/hostname"))
            .or_else(|| self.environment.get("HOSTNAME")?.to_str().map(str::to_owned))
            .map(|host| host.trim().to_owned());
        let uid = read(Path::new("/proc/self/status")).and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
            line.split_whitespace().next().map(str::to_owned)
        });
        for (name, value) in [("system.user", &user), ("system.host", &host), ("system.uid", &uid)]
        {
            if let Some(value) = value {
                self.claim(name, value);
            }
        }
        let user = user.or_else(|| uid.map(|uid| format!("uid {uid}")));
        let at = host.map(|host| format!("@{host}")).unwrap_or_default();
        self.named(user.map(|user| format!("user {user}{at}")));
    }
}

fn by(who: Option<String>) -> String {
    who.map(|who| format!(" by {who}")).unwrap_or_default()
}

/// The subject that a JSON Web Token claims (RFC 7519, section 4.1.2). Nobody checked its signature.
fn subject_of(token: &str) -> Option<String> {
    let payload = token.trim().split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    payload.get("sub").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Who {
        let environment = variables.iter().copied().collect();
        who(&environment, |path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(file.1.to_owned())
        })
    }

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_most_telling_is_the_name_and_all_is_kept() {
        let pod = token(r#"{"sub":"system:serviceaccount:mirror:syncer","aud":"x"}"#);
        let google =
            r#"{"type":"service_account","client_email":"s@p.iam","private_key":"SECRET"}"#;
        let impersonating = r#"{"service_account_impersonation_url":"https://iam/v1/projects/-/serviceAccounts/t@p.iam:generateAccessToken"}"#;
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_WORKFLOW_REF", "o/r/.github/workflows/sync.yml@refs/heads/main"),
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_TOKEN", "SECRET"),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/mirror"),
        ];
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let table: [(Pairs<'_>, Pairs<'_>, &str, &str); 8] = [
            (
                &github,
                &[],
                "github-actions o/r/.github/workflows/sync.yml@refs/heads/main by octocat",
                "aws.roleArn",
            ),
            (
                &[("GITLAB_CI", "true"), ("CI_PROJECT_PATH", "g/p"), ("CI_JOB_TOKEN", "SECRET")],
                &[],
                "gitlab-ci g/p",
                "gitlab.project",
            ),
            (
                &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
                &[(KUBERNETES_TOKEN, &pod)],
                "kubernetes system:serviceaccount:mirror:syncer",
                "kubernetes.subject",
            ),
            (
                &[("AWS_ROLE_ARN", "arn:a"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")],
                &[("/t", &pod)],
                "aws arn:a",
                "aws.webIdentitySubject",
            ),
            (
                &[("GOOGLE_APPLICATION_CREDENTIALS", "/g")],
                &[("/g", google)],
                "google s@p.iam",
                "google.serviceAccount",
            ),
            (
                &[("GOOGLE_APPLICATION_CREDENTIALS", "/g")],
                &[("/g", impersonating)],
                "google t@p.iam",
                "google.serviceAccount",
            ),
            (
                &[("USER", "ann")],
                &[("/proc/sys/kernel/hostname", "box\n")],
                "user ann@box",
                "system.host",
            ),
            (
                &[],
                &[("/proc/self/status", "Name:\tx\nUid:\t1000\t1000\n")],
                "user uid 1000",
                "system.uid",
            ),
        ];
        for (variables, files, name, claim) in table {
            let who = found(variables, files);
            assert_eq!(who.name, name);
            assert!(who.claims.contains_key(claim), "{claim}: {who:?}");
            assert!(!format!("{who:?}").contains("SECRET"), "{who:?}");
        }
        assert_eq!(found(&[], &[]).name, "unknown");
    }

    #[test]
    fn what_is_no_token_claims_nothing() {
        for text in ["", "a", "a.b.c", "..", "a.e30.c", "a.W10.c"] {
            assert_eq!(subject_of(text), None, "{text}");
        }
        assert_eq!(subject_of(&token(r#"{"sub":"x"}"#)).as_deref(), Some("x"));
    }
}
