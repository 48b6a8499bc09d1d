//! kyma's flags and variables, alone and together: which of them counts, and what is a mistake.

use testkit::{Auth, Bearer, Registry, User, image};

use crate::program::{Program, add, held};

const KEY: &str = "{\"type\": \"service_account\"}\n";
const TOKEN: &str = "ya29.token";

/// What one run is expected to end in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Copied,
    WouldCopy,
    Refused,
    /// Exit code 2, with this in the message.
    Usage(&'static str),
}

/// Variables, arguments, end. `{target}` stands for the target's host.
type Row = (&'static [(&'static str, &'static str)], &'static str, End);

const ROWS: &[Row] = &[
    // The key file and the token, as flags and as variables.
    (&[], "-i images.yaml -r {target}/m/ -t key.json", End::Copied),
    (
        &[],
        "--images-file images.yaml --target-repo-prefix {target}/m/ --access-token token",
        End::Copied,
    ),
    (
        &[],
        "--images-file=images.yaml --target-repo-prefix={target}/m --target-repo-auth-key=key.json",
        End::Copied,
    ),
    (
        &[],
        "sync -i images.yaml -r {target}/m/ -t key.json --dry-run=false --debug=false",
        End::Copied,
    ),
    (&[("SYNCER_TARGET_REPO_AUTH_KEY", "key.json")], "-i images.yaml -r {target}/m/", End::Copied),
    (&[("SYNCER_ACCESS_TOKEN", TOKEN)], "-i images.yaml -r {target}/m/", End::Copied),
    (
        &[
            ("SYNCER_IMAGES_FILE", "images.yaml"),
            ("SYNCER_TARGET_REPO_PREFIX", "{target}/m/"),
            ("SYNCER_ACCESS_TOKEN", TOKEN),
        ],
        "",
        End::Copied,
    ),
    // A flag goes before its variable; an empty variable is not set.
    (
        &[("SYNCER_IMAGES_FILE", "missing.yaml"), ("SYNCER_ACCESS_TOKEN", TOKEN)],
        "-i images.yaml -r {target}/m/",
        End::Copied,
    ),
    (
        &[("SYNCER_TARGET_REPO_PREFIX", "wrong.invalid/m/"), ("SYNCER_ACCESS_TOKEN", TOKEN)],
        "-i images.yaml -r {target}/m/",
        End::Copied,
    ),
    (&[("SYNCER_ACCESS_TOKEN", "wrong")], "-i images.yaml -r {target}/m/ -t key.json", End::Copied),
    (&[("SYNCER_ACCESS_TOKEN", "wrong")], "-i images.yaml -r {target}/m/ -a token", End::Copied),
    (
        &[("SYNCER_TARGET_REPO_AUTH_KEY", ""), ("SYNCER_ACCESS_TOKEN", TOKEN)],
        "-i images.yaml -r {target}/m/",
        End::Copied,
    ),
    (
        &[("SYNCER_DRY_RUN", ""), ("SYNCER_DEBUG", "")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Copied,
    ),
    // A key alone signs nothing; kyma's own wanted one on every run.
    (&[], "-i images.yaml -r {target}/m/ -t key.json -k hashivault://mirror", End::Copied),
    (
        &[("SYNCER_KMS_KEY", "hashivault://mirror")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Copied,
    ),
    // Dry runs.
    (&[], "-i images.yaml -r {target}/m/ -t key.json --dry-run", End::WouldCopy),
    (&[], "-i images.yaml -r {target}/m/ -t key.json --dry-run=true", End::WouldCopy),
    (&[], "-i images.yaml -r {target}/m/ -t key.json --dry-run=T --debug=1", End::WouldCopy),
    (&[("SYNCER_DRY_RUN", "true")], "-i images.yaml -r {target}/m/ -t key.json", End::WouldCopy),
    (&[("SYNCER_DRY_RUN", "1")], "-i images.yaml -r {target}/m/ -t key.json", End::WouldCopy),
    (
        &[("SYNCER_DRY_RUN", "TRUE")],
        "sync -i images.yaml -r {target}/m/ -t key.json",
        End::WouldCopy,
    ),
    (&[("DRY_RUN", "true")], "-i images.yaml -r {target}/m/ -t key.json", End::WouldCopy),
    (
        &[("SYNCER_DRY_RUN", "0"), ("DRY_RUN", "true")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Copied,
    ),
    (
        &[("SYNCER_DRY_RUN", "true")],
        "-i images.yaml -r {target}/m/ -t key.json --dry-run=false",
        End::Copied,
    ),
    (
        &[("SYNCER_DRY_RUN", "F"), ("SYNCER_DEBUG", "t")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Copied,
    ),
    // Neither is required; nobody gets in here without.
    (&[], "-i images.yaml -r {target}/m/", End::Refused),
    (&[("SYNCER_ACCESS_TOKEN", "wrong")], "-i images.yaml -r {target}/m/", End::Refused),
    // Mistakes; kyma's own ran a real push on the first three.
    (
        &[("SYNCER_DRY_RUN", "yes")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("the variable SYNCER_DRY_RUN is `yes`"),
    ),
    (
        &[("SYNCER_DRY_RUN", " true")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("the variable SYNCER_DRY_RUN is ` true`"),
    ),
    (
        &[("DRY_RUN", "on")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("the variable DRY_RUN is `on`"),
    ),
    (
        &[("SYNCER_DEBUG", "maybe")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("the variable SYNCER_DEBUG is `maybe`"),
    ),
    (
        &[],
        "-i images.yaml -r {target}/m/ -t key.json --dry-run false",
        End::Usage("write `--dry-run=false`"),
    ),
    (
        &[],
        "-i images.yaml -r {target}/m/ -t key.json --dry-run=yes",
        End::Usage("'yes' for '--dry-run"),
    ),
    (&[], "-r {target}/m/ -t key.json", End::Usage("no sync file was given")),
    (
        &[("SYNCER_IMAGES_FILE", "")],
        "-r {target}/m/ -t key.json",
        End::Usage("no sync file was given"),
    ),
    (&[], "-i images.yaml -t key.json", End::Usage("--target-repo-prefix")),
    (&[], "-i images.yaml -r {target}/m/ -t key.json -a token", End::Usage("were both given")),
    (
        &[("SYNCER_ACCESS_TOKEN", TOKEN), ("SYNCER_TARGET_REPO_AUTH_KEY", "key.json")],
        "-i images.yaml -r {target}/m/",
        End::Usage("are both set"),
    ),
    (
        &[("SYNCER_TARGET_REPO_AUTH_KEY", "missing.json")],
        "-i images.yaml -r {target}/m/",
        End::Usage("cannot read the key file `missing.json`"),
    ),
    (
        &[("SYNCER_KMS_KEY", " ")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("the variable SYNCER_KMS_KEY"),
    ),
    (
        &[("SYNCER_SIGN", "true")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("no key to sign with"),
    ),
    (
        &[("REPOSITORIES_DIR", "./repositories")],
        "-i images.yaml -r {target}/m/ -t key.json",
        End::Usage("./repositories"),
    ),
];

/// A target that knows the key and the token.
async fn target() -> Registry {
    let users = vec![User::new("_json_key", KEY)];
    let preissued = vec![TOKEN.to_owned()];
    let auth = Auth::Bearer(Bearer { users, preissued, ..Bearer::default() });
    Registry::builder().auth(auth).start().await
}

#[tokio::test]
async fn every_combination_ends_as_it_should() {
    let source = Registry::start().await;
    add(&source, "team/app", "1", &image::single(1)).await;
    // A few at a time: each is a process and a server.
    for rows in ROWS.chunks(6) {
        futures::future::join_all(rows.iter().map(|row| check(row, &source))).await;
    }
}

async fn check((variables, line, expected): &Row, source: &Registry) {
    let target = target().await;
    let in_place = |text: &str| text.replace("{target}", &target.host().to_string());
    let mut program = Program::new();
    program
        .file("key.json", KEY)
        .file("images.yaml", format!("images:\n- source: {}/team/app:1\n", source.host()));
    for (name, value) in *variables {
        program.variable(name, &in_place(value));
    }
    let line = in_place(line);
    let arguments: Vec<&str> =
        line.split_whitespace().map(|word| if word == "token" { TOKEN } else { word }).collect();
    let done = program.run(&arguments).await;
    let repository = format!("m/{}/team/app", source.host().to_string().replace(':', "_"));
    let there = held(&target, &repository, "1").await == Some(image::single(1).digest());
    let case = format!("{variables:?} {line}\n{done}");
    match expected {
        End::Copied => assert_eq!((done.code, there), (Some(0), true), "{case}"),
        End::WouldCopy => {
            assert_eq!((done.code, there), (Some(0), false), "{case}");
            assert!(done.stdout.contains("would-copy"), "{case}");
            assert!(target.log().writes().is_empty(), "{case}");
        }
        End::Refused => assert_eq!((done.code, there), (Some(4), false), "{case}"),
        End::Usage(message) => {
            assert_eq!((done.code, there), (Some(2), false), "{case}");
            assert!(done.stderr.contains(message), "{case}");
            assert!(target.log().requests().is_empty(), "{case}");
        }
    }
    assert!(!done.to_string().contains(TOKEN), "{case}");
}
