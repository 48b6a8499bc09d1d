//! [`Auth`]: who we are at a registry.

use std::path::PathBuf;

use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::secret::{self, Secret, arn};
use crate::yaml::{Content, Node};

/// Who we are at a registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// Nobody, whatever other places say.
    Anonymous,
    /// A name and a password.
    Basic {
        /// The name.
        username: Secret,
        /// The password.
        password: Secret,
    },
    /// A token that is sent as it is.
    Token(Secret),
    /// Whom this file, written as Docker or Kubernetes writes it, has for the registry.
    DockerConfig(PathBuf),
    /// Whom the Secret of Kubernetes has that is mounted in this folder.
    Kubernetes(PathBuf),
    /// Who we are to AWS: a token of ECR.
    Aws(AwsAuth),
    /// Who we are to Google: a token for its registries.
    Google(GoogleAuth),
    /// Who we are to Azure: a token for its registries.
    Azure(AzureAuth),
}

/// Who we are to AWS, where its default chain does not fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AwsAuth {
    /// The ARN of a role to take on.
    pub assume_role: Option<String>,
    /// What the role's owner wants to be told.
    pub external_id: Option<String>,
    /// What the session is called in the owner's logs.
    pub session_name: Option<String>,
    /// A profile of AWS's configuration files.
    pub profile: Option<String>,
    /// An access key, instead of what the default chain would find.
    pub access_key: Option<AwsAccessKey>,
}

/// An access key of AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsAccessKey {
    /// Its id.
    pub id: Secret,
    /// Its secret.
    pub secret: Secret,
}

/// Who we are to Google, where its application default credentials do not fit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GoogleAuth {
    /// The service account, by its e-mail address, that is acted as.
    pub impersonate: Option<String>,
    /// A file of credentials, of any type.
    pub credentials_file: Option<PathBuf>,
}

/// Who we are to Azure, where the environment does not fit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AzureAuth {
    /// The application, or the managed identity.
    pub client_id: Option<String>,
    /// The tenant.
    pub tenant_id: Option<String>,
}

/// The keys of which one says it all.
const WHOLE: [&str; 6] = ["token", "dockerConfig", "kubernetes", "aws", "google", "azure"];

/// Reads the value of `auth`.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Auth> {
    if let Content::Scalar { text, .. } = &field.node.content
        && text == "anonymous"
    {
        return Some(Auth::Anonymous);
    }
    let mut keys = Mapping::open(reader, field.node, "`auth`")?;
    let span = keys.span();
    let whole: Vec<Field<'_>> = WHOLE.into_iter().filter_map(|key| keys.get(key)).collect();
    let (username, password) = match whole.is_empty() {
        // With another key, these two are not missing.
        false => (keys.get("username"), keys.get("password")),
        true => (keys.require("username"), keys.require("password")),
    };
    let found: Vec<Option<Auth>> = whole.iter().map(|field| one(reader, *field)).collect();
    let mut read = |field: Option<Field<'_>>| field.and_then(|field| secret::read(reader, field));
    let (username_read, password_read) = (read(username), read(password));
    keys.close(reader);
    let ways = whole.len() + usize::from(username.is_some() || password.is_some());
    if ways > 1 {
        let message = match whole.first() {
            Some(Field { key: "token", .. }) if whole.len() == 1 => {
                "`auth` is a `token`, or a `username` and a `password`, not both".to_owned()
            }
            Some(Field { key, .. }) => format!("`auth` has something else beside `{key}`"),
            None => "`auth` has two ways to log in".to_owned(),
        };
        reader.push(reader.error(Code::ConflictingKeys, span, message));
        return None;
    }
    match found.into_iter().next() {
        Some(found) => found,
        None => Some(Auth::Basic { username: username_read?, password: password_read? }),
    }
}

/// Reads the value of a key that says it all.
fn one(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Auth> {
    let path = |reader: &mut Reader<'_>, field| {
        reader.text(field).map(|path| reader.text.resolve(path.value.as_ref()))
    };
    match field.key {
        "token" => secret::read(reader, field).map(Auth::Token),
        "dockerConfig" => path(reader, field).map(Auth::DockerConfig),
        "kubernetes" => path(reader, field).map(Auth::Kubernetes),
        _ if field.node.is_null() => Some(empty(field.key)),
        "aws" => aws(reader, field.node).map(Auth::Aws),
        "google" => {
            let mut keys = Mapping::open(reader, field.node, "`google`")?;
            let impersonate = text(reader, keys.get("impersonate"));
            let credentials_file = keys.get("credentialsFile").map(|field| path(reader, field));
            let complete = keys.close(reader);
            let credentials_file = credentials_file.map_or(Some(None), |file| file.map(Some))?;
            complete.then_some(Auth::Google(GoogleAuth { impersonate, credentials_file }))
        }
        _ => {
            let mut keys = Mapping::open(reader, field.node, "`azure`")?;
            let client_id = text(reader, keys.get("clientId"));
            let tenant_id = text(reader, keys.get("tenantId"));
            keys.close(reader).then_some(Auth::Azure(AzureAuth { client_id, tenant_id }))
        }
    }
}

/// A cloud without anything that differs.
fn empty(key: &str) -> Auth {
    match key {
        "aws" => Auth::Aws(AwsAuth::default()),
        "google" => Auth::Google(GoogleAuth::default()),
        _ => Auth::Azure(AzureAuth::default()),
    }
}

fn aws(reader: &mut Reader<'_>, node: &Node) -> Option<AwsAuth> {
    let mut keys = Mapping::open(reader, node, "`aws`")?;
    let (external_id, session_name) = (keys.get("externalId"), keys.get("sessionName"));
    let role = match external_id.or(session_name) {
        Some(_) => keys.require("assumeRole"),
        None => keys.get("assumeRole"),
    };
    let role = role.and_then(|field| {
        let text = reader.text(field)?;
        if arn(&text.value, "iam").is_some_and(|parts| parts.resource.starts_with("role/")) {
            return Some(text.value);
        }
        let message = format!("`{}` is no ARN of a role", field.key);
        let error = reader.error(Code::InvalidArn, text.span, message);
        reader.push(error.help("write it as `arn:aws:iam::ACCOUNT:role/NAME`"));
        None
    });
    let (profile, id, secret) =
        (keys.get("profile"), keys.get("accessKeyId"), keys.get("secretAccessKey"));
    match (id, secret) {
        (Some(_), None) => _ = keys.require("secretAccessKey"),
        (None, Some(_)) => _ = keys.require("accessKeyId"),
        _ => {}
    }
    if let (Some(profile), Some(_)) = (profile, id.or(secret)) {
        let message = "an access key is who we are, and so is a `profile`";
        reader.push(reader.error(Code::ConflictingKeys, profile.key_span, message));
    }
    let mut read = |field: Option<Field<'_>>| field.and_then(|field| secret::read(reader, field));
    let (id, secret) = (read(id), read(secret));
    let access_key = id.zip(secret).map(|(id, secret)| AwsAccessKey { id, secret });
    let profile = text(reader, profile);
    let (external_id, session_name) = (text(reader, external_id), text(reader, session_name));
    let complete = keys.close(reader);
    complete.then_some(AwsAuth {
        assume_role: role,
        external_id,
        session_name,
        profile,
        access_key,
    })
}

fn text(reader: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<String> {
    field.and_then(|field| reader.text(field)).map(|text| text.value)
}
