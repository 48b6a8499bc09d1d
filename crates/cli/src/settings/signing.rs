//! [`SigningSettings`]: whether and how what was copied is signed. What an image says of itself goes
//! first; then flags, variables, and what its sync file says of all its images.

use std::path::PathBuf;

use report::PlanSettings;
use signing::KeyReference;
use syncfile::{Outside, SignatureFormat, Signing};

use crate::arguments::{self, KeyArguments, SigningArguments};
use crate::environment::{self, Environment, Variable};
use crate::error::CliError;

/// Reads the name of a key.
///
/// # Errors
/// What is wrong with it, without quoting what may be secret.
pub(crate) fn key_reference(text: &str) -> Result<KeyReference, String> {
    text.trim().parse::<KeyReference>().map_err(|error| error.to_string())
}

/// The same for the name of a key in a sync file, whose paths begin at the folder of the file.
pub(crate) fn key_of_file(key: &syncfile::Key) -> Result<KeyReference, CliError> {
    let invalid = |message: String| CliError::finished(key.invalid(message).render(false));
    Ok(match key_reference(key.as_str()).map_err(invalid)? {
        KeyReference::File(path) => KeyReference::File(key.resolve(&path)),
        other => other,
    })
}

/// What flags and variables say about signing.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct SigningSettings {
    key: Option<KeyReference>,
    /// Where there are any, they stand for those of the file.
    former: Vec<KeyReference>,
    sign: Option<bool>,
    format: Option<SignatureFormat>,
    recursively: Option<bool>,
    attest: Option<bool>,
    log_url: Option<String>,
    log_key: Option<PathBuf>,
    /// Where cosign finds the log's key, if nothing else says it.
    log_key_of_cosign: Option<PathBuf>,
    /// The flags that were typed and say how something is signed. A variable may be meant for another list.
    typed_how: Vec<&'static str>,
}

/// A transparency log.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct LogSettings {
    /// Where it is.
    pub(crate) url: String,
    /// The file with its public key, or with a trusted root.
    pub(crate) key: PathBuf,
}

/// How an image is signed, with nothing left to decide.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ImageSigning {
    /// With which key.
    pub(crate) key: KeyReference,
    /// The keys that signed before it.
    pub(crate) former: Vec<KeyReference>,
    /// How the signature is written.
    pub(crate) format: SignatureFormat,
    /// Whether the children of an index are signed as well.
    pub(crate) recursively: bool,
    /// Whether a statement about the mirroring is written as well.
    pub(crate) attest: bool,
    /// The log that is told of it first.
    pub(crate) log: Option<LogSettings>,
}

impl SigningSettings {
    pub(crate) fn new(
        typed: &SigningArguments,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let said = |typed: Option<bool>, variable: Variable| match typed {
            Some(typed) => Ok(Some(typed)),
            None => environment.boolean(variable),
        };
        let format: Option<arguments::SignatureFormat> = match typed.signature_format {
            Some(typed) => Some(typed),
            None => environment.choice(environment::SIGNATURE_FORMAT)?,
        };
        Ok(Self {
            key: key(&typed.key, environment)?,
            former: former(&typed.former_key, environment)?,
            sign: said(typed.sign, environment::SIGN)?,
            format: format.map(SignatureFormat::from),
            recursively: said(typed.sign_recursively, environment::SIGN_RECURSIVELY)?,
            attest: said(typed.attest, environment::ATTEST)?,
            log_url: match &typed.log.rekor_url {
                Some(typed) => Some(typed.clone()),
                None => environment.text(environment::REKOR_URL)?.map(|found| found.value),
            },
            log_key: match &typed.log.rekor_key {
                Some(typed) => Some(typed.clone()),
                None => environment.os_text(environment::REKOR_KEY).map(|found| found.value.into()),
            },
            log_key_of_cosign: environment
                .get(environment::SIGSTORE_REKOR_PUBLIC_KEY)
                .map(PathBuf::from),
            typed_how: typed_how(typed),
        })
    }

    /// What flags and variables say about whether an image is signed that says nothing of it itself.
    pub(crate) fn sign(&self) -> Option<bool> {
        self.sign
    }

    /// The flags that were typed and say how something is signed.
    pub(crate) fn typed_how(&self) -> &[&'static str] {
        &self.typed_how
    }

    /// What `check` has to know of it.
    pub(crate) fn of_check(
        key: &KeyArguments,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let typed = SigningArguments { key: key.clone(), ..SigningArguments::default() };
        Self::new(&typed, environment)
    }

    /// What a plan has of it.
    pub(super) fn record(&self) -> PlanSettings {
        PlanSettings {
            kms_key: self.key.as_ref().map(ToString::to_string),
            former_keys: self.former.iter().map(written).collect(),
            sign: self.sign,
            signature_format: self.format.map(|format| word(format).to_owned()),
            sign_recursively: self.recursively,
            attest: self.attest,
            rekor_url: self.log_url.clone(),
            rekor_key: self.log_key.as_ref().map(|file| file.display().to_string()),
            ..PlanSettings::default()
        }
    }

    /// The same again.
    pub(crate) fn planned(
        plan: &PlanSettings,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let wrong = |problem: String| CliError::usage(format!("the plan's key: {problem}"));
        let format = plan.signature_format.as_deref().map(|format| {
            let all = [SignatureFormat::Legacy, SignatureFormat::Bundle, SignatureFormat::Both];
            let known = all.into_iter().find(|one| word(*one) == format);
            known.ok_or_else(|| CliError::usage(format!("the plan signs as `{format}`")))
        });
        Ok(Self {
            key: plan.kms_key.as_deref().map(key_reference).transpose().map_err(wrong)?,
            former: plan
                .former_keys
                .iter()
                .map(|text| key_reference(text).map_err(wrong))
                .collect::<Result<_, _>>()?,
            sign: plan.sign,
            format: format.transpose()?,
            recursively: plan.sign_recursively,
            attest: plan.attest,
            log_url: plan.rekor_url.clone(),
            log_key: plan.rekor_key.as_ref().map(PathBuf::from),
            log_key_of_cosign: environment
                .get(environment::SIGSTORE_REKOR_PUBLIC_KEY)
                .map(PathBuf::from),
            typed_how: Vec::new(),
        })
    }

    /// For a command that signs nothing, whatever the sync file says.
    pub(crate) fn of_nothing() -> Self {
        let key = Some(KeyReference::Variable("SYNCER_KMS_KEY".to_owned()));
        Self { key, ..Self::default() }
    }

    /// What a sync file's own check has to know of it.
    pub(crate) fn outside(&self) -> Outside {
        Outside { sign: self.sign, has_key: self.key.is_some() }
    }

    /// How an image of a sync file is signed; nothing where it is not.
    pub(crate) fn of_image(&self, signing: &Signing) -> Result<Option<ImageSigning>, CliError> {
        if !signing.signs(self.sign) {
            return Ok(None);
        }
        let defaults = &signing.defaults;
        let key = match (&signing.key, &self.key, &defaults.key) {
            (Some(key), _, _) | (None, None, Some(key)) => key_of_file(key)?,
            (None, Some(key), _) => key.clone(),
            (None, None, None) => return Err(no_key()),
        };
        let former = match self.former.as_slice() {
            [] => defaults.former_keys.iter().map(key_of_file).collect::<Result<_, _>>()?,
            said => said.to_vec(),
        };
        Ok(Some(ImageSigning {
            key,
            former,
            format: self.format.or(defaults.format).unwrap_or_default(),
            recursively: self.recursively.or(defaults.recursively).unwrap_or_default(),
            attest: self.attest.or(defaults.attest).unwrap_or_default(),
            log: self.log(defaults.log_url.as_deref(), defaults.log_key.as_ref())?,
        }))
    }

    /// How the image of `copy` is signed; nothing where it is not. There is no file to ask for it, so
    /// the key does.
    pub(crate) fn of_copy(&self) -> Result<Option<ImageSigning>, CliError> {
        match (self.sign.unwrap_or(self.key.is_some()), &self.key) {
            (false, _) => Ok(None),
            (true, None) => Err(no_key()),
            (true, Some(key)) => Ok(Some(ImageSigning {
                key: key.clone(),
                former: self.former.clone(),
                format: self.format.unwrap_or_default(),
                recursively: self.recursively.unwrap_or_default(),
                attest: self.attest.unwrap_or_default(),
                log: self.log(None, None)?,
            })),
        }
    }

    /// The log, of which a file says this.
    fn log(
        &self,
        url: Option<&str>,
        key: Option<&PathBuf>,
    ) -> Result<Option<LogSettings>, CliError> {
        let Some(url) = self.log_url.as_deref().or(url) else { return Ok(None) };
        let key = self.log_key.as_ref().or(key).or(self.log_key_of_cosign.as_ref());
        let key = key.ok_or_else(|| {
            CliError::usage(format!("by what key is the transparency log {url} to be believed?"))
                .hint("give --rekor-key, a file with the log's public key or a trusted root")
        })?;
        Ok(Some(LogSettings { url: url.to_owned(), key: key.clone() }))
    }
}

fn typed_how(typed: &SigningArguments) -> Vec<&'static str> {
    [
        ("--former-key", !typed.former_key.is_empty()),
        ("--signature-format", typed.signature_format.is_some()),
        ("--sign-recursively", typed.sign_recursively == Some(true)),
        ("--attest", typed.attest == Some(true)),
        ("--rekor-url", typed.log.rekor_url.is_some()),
        ("--rekor-key", typed.log.rekor_key.is_some()),
    ]
    .into_iter()
    .filter_map(|(flag, says_how)| says_how.then_some(flag))
    .collect()
}

fn word(format: SignatureFormat) -> &'static str {
    match format {
        SignatureFormat::Legacy => "legacy",
        SignatureFormat::Bundle => "bundle",
        SignatureFormat::Both => "both",
    }
}

/// The key that was typed, else that of its variable.
fn key(typed: &KeyArguments, environment: &Environment) -> Result<Option<KeyReference>, CliError> {
    let (name, text) = match (&typed.kms_key, environment.text(environment::KMS_KEY)?) {
        (Some(text), _) => ("--kms-key".to_owned(), text.clone()),
        (None, Some(found)) => (format!("the variable {}", found.name), found.value),
        (None, None) => return Ok(None),
    };
    let invalid = |problem: String| CliError::usage(format!("{name}: {problem}"));
    key_reference(&text).map(Some).map_err(invalid)
}

/// The former keys that were typed, else that of their variable.
fn former(typed: &[String], environment: &Environment) -> Result<Vec<KeyReference>, CliError> {
    let (name, texts) = match (typed, environment.text(environment::FORMER_KEY)?) {
        ([], None) => return Ok(Vec::new()),
        ([], Some(found)) => (format!("the variable {}", found.name), vec![found.value]),
        (typed, _) => ("--former-key".to_owned(), typed.to_vec()),
    };
    let invalid = |problem: String| CliError::usage(format!("{name}: {problem}"));
    texts.iter().map(|text| key_reference(text).map_err(invalid)).collect()
}

/// A key as it can be read again.
fn written(key: &KeyReference) -> String {
    match key {
        KeyReference::Inline(pem) => pem.clone(),
        other => other.to_string(),
    }
}

fn no_key() -> CliError {
    CliError::usage("signatures are asked for, but there is no key to sign with")
        .hint("give --kms-key or the variable SYNCER_KMS_KEY")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use syncfile::{Defaults, Input};

    use super::*;
    use crate::arguments::{Arguments, Command};

    /// What a line and variables say.
    fn settings(line: &str, variables: &[(&str, &str)]) -> Result<SigningSettings, CliError> {
        let words = ["image-syncer", "verify"].into_iter().chain(line.split_whitespace());
        let Some(Command::Verify(typed)) = Arguments::try_parse_from(words).unwrap().command else {
            panic!("{line}");
        };
        SigningSettings::new(&typed.signing, &variables.iter().copied().collect())
    }

    /// What the image of a file says, whose top and whose own keys are given.
    fn image(top: &str, own: &str) -> Signing {
        let text = format!("{top}\nimages: [{{ source: 'a:1', destination: r.example/a {own} }}]");
        let loaded = syncfile::load(&[Input::Stdin(text)], &Defaults::default()).unwrap();
        loaded.sync_file.images[0].signing.clone()
    }

    /// A line, variables, the top of a file, what an image says: how it is signed.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str, Option<ImageSigning>);

    #[test]
    fn flags_go_before_variables_and_both_before_the_file() {
        let all =
            "sign: true\nkmsKey: f\nsignatureFormat: bundle\nsignRecursively: true\nattest: true";
        let signed = |key: &str, format, recursively, attest| {
            let key = key_reference(key).unwrap();
            Some(ImageSigning { key, former: Vec::new(), format, recursively, attest, log: None })
        };
        use SignatureFormat::{Both, Bundle, Legacy};
        let variables = [
            ("SYNCER_KMS_KEY", "v"),
            ("SYNCER_SIGNATURE_FORMAT", "both"),
            ("SYNCER_SIGN_RECURSIVELY", "false"),
            ("SYNCER_ATTEST", "false"),
        ];
        let table: [Row<'_>; 11] = [
            ("", &[], "", "", None),
            ("-k k", &variables, "", "", None),
            ("-k k --sign", &[], "", "", signed("k", Legacy, false, false)),
            ("-k k", &[("SYNCER_SIGN", "true")], "", "", signed("k", Legacy, false, false)),
            ("-k k --sign=false", &[("SYNCER_SIGN", "true")], all, "", None),
            ("", &[], all, "", signed("f", Bundle, true, true)),
            ("", &variables, all, "", signed("v", Both, false, false)),
            (
                "-k k --signature-format bundle --sign-recursively --attest",
                &variables,
                all,
                "",
                signed("k", Bundle, true, true),
            ),
            ("-k k --sign", &variables, all, ", sign: false", None),
            ("-k k --sign=false", &[], all, ", key: i", signed("i", Bundle, true, true)),
            ("-k k", &[], "", ", sign: true", signed("k", Legacy, false, false)),
        ];
        for (line, variables, top, own, expected) in table {
            let settings = settings(line, variables).unwrap();
            let told = settings.of_image(&image(top, own)).unwrap();
            assert_eq!(told, expected, "{line} {variables:?} {top} {own}");
        }
    }

    #[test]
    fn a_copy_is_signed_where_there_is_a_key() {
        let signs = |line: &str| settings(line, &[]).unwrap().of_copy().map(|it| it.is_some());
        assert!(!signs("").unwrap());
        assert!(signs("-k k").unwrap());
        assert!(!signs("-k k --sign=false").unwrap());
        assert!(signs("--sign").unwrap_err().message().contains("no key"));
    }

    #[test]
    fn a_log_is_told_where_one_is_named_and_has_a_key() {
        let of_file = "sign: true\nkmsKey: f\nrekorUrl: 'https://f'\nrekorKey: f.pub";
        let url = ("SYNCER_REKOR_URL", "https://v");
        let key = ("SYNCER_REKOR_KEY", "v.pub");
        let cosign = ("SIGSTORE_REKOR_PUBLIC_KEY", "c.pub");
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Option<(&'a str, &'a str)>);
        let table: [Row<'_>; 7] = [
            ("-k k --sign", &[key, cosign], "", None),
            ("-k k --sign --rekor-url https://t", &[cosign], "", Some(("https://t", "c.pub"))),
            ("-k k --sign", &[url, key, cosign], "", Some(("https://v", "v.pub"))),
            ("-k k --sign --rekor-key t.pub", &[url, key], "", Some(("https://v", "t.pub"))),
            ("", &[], of_file, Some(("https://f", "f.pub"))),
            ("", &[cosign], of_file, Some(("https://f", "f.pub"))),
            ("--rekor-url https://t", &[url, key], of_file, Some(("https://t", "v.pub"))),
        ];
        for (line, variables, top, expected) in table {
            let told = settings(line, variables).unwrap().of_image(&image(top, "")).unwrap();
            let expected =
                expected.map(|(url, key)| LogSettings { url: url.to_owned(), key: key.into() });
            assert_eq!(told.unwrap().log, expected, "{line} {variables:?} {top}");
        }
        let settings = settings("-k k --sign --rekor-url https://t", &[]).unwrap();
        let missing = settings.of_image(&image("", "")).unwrap_err();
        assert!(missing.message().contains("https://t"), "{}", missing.message());
        assert!(settings.of_copy().is_err());
    }

    #[test]
    fn former_keys_that_are_said_stand_for_those_of_the_file_and_a_plan_keeps_them() {
        let of_file = "sign: true\nkmsKey: f\nformerKeys: [f1, 'hashivault://f2']";
        let variable = ("SYNCER_FORMER_KEY", "v");
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
        let table: [Row<'_>; 5] = [
            ("-k k --sign", &[], "", &[]),
            ("", &[], of_file, &["f1", "hashivault://f2"]),
            ("", &[variable], of_file, &["v"]),
            ("--former-key t1 --former-key t2", &[variable], of_file, &["t1", "t2"]),
            ("-k k --sign --former-key t1", &[], "", &["t1"]),
        ];
        for (line, variables, top, expected) in table {
            let settings = settings(line, variables).unwrap();
            let expected: Vec<_> = expected.iter().map(|key| key_reference(key).unwrap()).collect();
            let planned =
                SigningSettings::planned(&settings.record(), &Environment::default()).unwrap();
            for settings in [settings, planned] {
                let told = settings.of_image(&image(top, "")).unwrap().unwrap();
                assert_eq!(told.former, expected, "{line} {variables:?} {top}");
            }
        }
        let pem =
            KeyReference::Inline("-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----".into());
        assert_eq!(key_reference(&written(&pem)), Ok(pem));
    }

    #[test]
    fn what_is_wrong_names_the_flag_or_the_variable() {
        let wrong = |line: &str, name: &str, value: &str| {
            settings(line, &[(name, value)]).unwrap_err().message().to_owned()
        };
        assert!(wrong("", "SYNCER_KMS_KEY", " ").starts_with("the variable SYNCER_KMS_KEY: "));
        assert!(wrong("-k=", "SYNCER_KMS_KEY", "v").starts_with("--kms-key: "));
        assert!(
            wrong("", "SYNCER_FORMER_KEY", " ").starts_with("the variable SYNCER_FORMER_KEY: ")
        );
        assert!(wrong("--former-key=", "SYNCER_FORMER_KEY", "v").starts_with("--former-key: "));
        assert!(wrong("", "SYNCER_SIGN", "yes").contains("SYNCER_SIGN is `yes`"));
        assert!(wrong("", "SYNCER_SIGNATURE_FORMAT", "x").contains("`legacy`, `bundle`, `both`"));
        let no_key = settings("--sign", &[]).unwrap().of_image(&image("", "")).unwrap_err();
        assert!(no_key.message().contains("no key"), "{}", no_key.message());
    }
}
