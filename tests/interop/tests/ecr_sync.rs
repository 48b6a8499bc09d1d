//! What ecr-sync's users do, through the built binary: a folder of ECR repositories with their images and
//! charts. AWS's API is moto's; behind ECR's host name is a registry of this machine with ECR's manners
//! (`Personality::ecr`). boto3 edits by hand, reads back and counts calls.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider};
use interop::{AwsFront, ImageSyncer, Listening, Output, Run, Workbench};
use oci::EcrRegistry;
use serde_json::{Value, json};
use testkit::image::{self, MadeImage};
use testkit::{Auth, Fault, MadeChart, Personality, Registry, RetryAfter, chart_repository, path};

const PYTHON: &str = "key-services-python";
const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";
const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
/// What moto's tokens have for a password.
const TOKEN: &str = "123456789012-auth-token";
const SECRET: &str = "S3cret-of-AWS";
/// The second is the base64 of `AWS:`, with which ECR's tokens begin.
const SECRETS: [&str; 3] = ["S3cret", "QVdTOj", "auth-token"];

/// The repositories of the folder.
const TEN: [&str; 10] = [
    "team/app-0",
    "team/app-1",
    "team/app-2",
    "team/app-3",
    "team/app-4",
    "nginx",
    "charts/demo",
    "charts/cache",
    "team/strict",
    "team/empty",
];
/// Those that tests add.
const MORE: [&str; 3] = ["team/new", "made/app", "team/plain"];

/// Everything that a test talks to.
struct Cloud {
    bench: Workbench,
    moto: Listening,
    /// What stands before it in some tests.
    front: Option<Arc<AwsFront>>,
    /// What is behind [`HOST`].
    ecr: Arc<Registry>,
    /// Where images and a chart come from.
    hub: Registry,
    /// A classic repository of charts, at `/stable`.
    shelf: Registry,
    folder: PathBuf,
}

impl Cloud {
    async fn start(suite: &str) -> Option<Self> {
        let bench = Workbench::with_image_syncer(suite, &[PYTHON])?;
        let mut command = bench.command(PYTHON);
        command
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .env("MOTO_RECORDER_FILEPATH", bench.folder().join("requests"))
            // Who is not known is let in until a test turns IAM on.
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "1000000");
        let moto = Listening::start(command);
        let auth = Auth::basic("AWS", TOKEN);
        let ecr = Registry::builder().personality(Personality::ecr()).auth(auth).start().await;
        let ecr = Arc::new(ecr);
        bridge(&ecr, &moto.url);
        let charts = [
            MadeChart::new("nginx", "15.0.2", ""),
            MadeChart::new("demo", "1.0.0", ""),
            MadeChart::new("demo", "1.1.0", ""),
        ];
        let shelf = chart_repository("/stable", &charts, |_| None);
        let shelf = Registry::builder().serve(shelf).start().await;
        let folder = bench.folder().join("repositories");
        let hub = Registry::start().await;
        let cloud = Self { bench, moto, front: None, ecr, hub, shelf, folder };
        cloud.fill_hub().await;
        cloud.write_folder();
        Some(cloud)
    }

    /// With tokens of which each is another one, as AWS's are.
    async fn start_with_front(suite: &str) -> Option<(Self, Arc<AwsFront>)> {
        let mut cloud = Self::start(suite).await?;
        let front = Arc::new(AwsFront::start(&cloud.moto.url).await);
        cloud.ecr.set_password("AWS", &AwsFront::password(1));
        cloud.front = Some(Arc::clone(&front));
        Some((cloud, front))
    }

    async fn fill_hub(&self) {
        for number in 0..5 {
            let image = image::index(number);
            for tag in ["1.0", "2.0"] {
                self.add(&format!("app-{number}"), tag, &image).await;
            }
        }
        self.add("nginx", "1.27", &image::index(27)).await;
        self.add("nginx", "1.26", &image::docker(26)).await;
        self.add("strict", "1", &image::with_attestations(7)).await;
        let cache = MadeChart::new("cache", "2.0.0+build.3", "");
        let cache = charts::Chart::from_archive(cache.archive, None).unwrap().image().unwrap();
        let tag = cache.tag.to_string();
        let cache = MadeImage {
            root: cache.manifest.descriptor(),
            manifests: vec![cache.manifest],
            blobs: cache.blobs,
        };
        self.add("charts/cache", &tag, &cache).await;
    }

    async fn add(&self, repository: &str, tag: &str, image: &MadeImage) {
        self.hub.add(&repository.parse().unwrap(), &tag.parse().unwrap(), image).await;
    }

    /// As ecr-sync's users have it: lists with and without the key, policies of their own or by default.
    fn write_folder(&self) {
        let (hub, shelf) = (self.hub.host(), self.shelf.host());
        let apps = (0..5).map(|number| {
            format!(
                "- {{ name: team/app-{number}, image: {{ pull_url: \"{hub}/app-{number}:1.0\", tags: [\"1.0\"] }} }}\n"
            )
        });
        self.write("apps.yaml", &self.list(&apps.collect::<String>()));
        let bare = format!(
            r#"
  - name: nginx                        # Both of them.
    image:
      pull_url: "{hub}/nginx:1.27"
      tags: ["1.27", "1.26"]
    chart:
      pull_url: "http://{shelf}/stable/nginx"
      tags: ["15.0.2"]
  - name: charts/demo
    chart:
      pull_url: "http://{shelf}/stable"
      tags: ["1.0.0", "1.1.0"]
  - name: charts/cache
    chart:
      pull_url: "oci://{hub}/charts"
      tags: ["2.0.0+build.3"]
  - name: team/strict
    image: {{ pull_url: "{hub}/strict:1", tags: ["1"] }}
    mutability: {{mode: immutable, except: ["latest"]}}
    scanOnPush: true
    resourceTags: {{ team: strict }}
    permissionPolicy: {}
    lifecyclePolicy: {}
  - name: team/empty
"#,
            permission("ecr:BatchGetImage"),
            lifecycle(3),
        );
        self.write("others.yml", &bare);
        self.write("ecr-lifecycle.json", &lifecycle(10).to_string());
        let pull = permission("ecr:GetDownloadUrlForLayer");
        self.write("ecr-permissions.json", &pull.to_string());
        self.write("default_resource_tags.json", r#"{"team": "web", "made-by": "folder"}"#);
    }

    /// A file of the folder.
    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(&self.folder).unwrap();
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// A file outside of the folder, and the flag that names it.
    fn beside(&self, name: &str, text: &str) -> String {
        let folder = self.bench.folder().join("beside");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
        format!("--images-file={}", folder.join(name).display())
    }

    /// With where [`HOST`] is.
    fn list(&self, repositories: &str) -> String {
        format!("{}repositories:\n{repositories}", self.registries())
    }

    fn registries(&self) -> String {
        format!("registries: {{ \"{HOST}\": {{ endpoint: \"{}\" }} }}\n", self.ecr.url())
    }

    /// A run over the folder.
    fn run(&self, arguments: &[&str]) -> Ran {
        let config = format!("--config={}", self.folder.display());
        self.run_as(&[arguments, &[&config]].concat(), ["testing", SECRET])
    }

    /// A run with ecr-sync's variables, and what it asked and wrote.
    fn run_as(&self, arguments: &[&str], keys: [&str; 2]) -> Ran {
        let run = self.program(arguments, keys).run();
        self.ran(run, keys)
    }

    /// The same, about to be started. What is recorded begins here.
    fn program(&self, arguments: &[&str], [id, secret]: [&str; 2]) -> ImageSyncer {
        self.boto3("record", &[]);
        self.ecr.log().clear();
        let json = format!("--report=json={}", self.report_file().display());
        let variables = [
            ("ECR_ACCOUNT_ID", ACCOUNT),
            ("ECR_REGION", REGION),
            ("CONTAINER_RUNTIME", "podman"),
            ("DRY_RUN", "false"),
            ("LOG_LEVEL", "DEBUG"),
            ("MAX_PARALLEL_OPERATIONS", "5"),
            ("AWS_ENDPOINT_URL", self.front.as_ref().map_or(&self.moto.url, |front| &front.url)),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let program = self.bench.image_syncer();
        let program =
            variables.iter().fold(program, |program, (name, value)| program.env(name, value));
        let program = arguments.iter().fold(program, |program, argument| program.args([*argument]));
        program.args(["-v", "--debug", &json])
    }

    fn report_file(&self) -> PathBuf {
        self.bench.folder().join("report.json")
    }

    /// What a run that is over did.
    fn ran(&self, run: Run, [_, secret]: [&str; 2]) -> Ran {
        let report = std::fs::read_to_string(self.report_file());
        let report = report.unwrap_or_else(|_| panic!("{}", run.text()));
        for hidden in SECRETS.iter().chain([&secret]) {
            for text in [&run.stdout, &run.stderr, &report] {
                assert!(!text.contains(hidden), "{hidden} is shown:\n{text}");
            }
        }
        let report: Value = serde_json::from_str(&report).unwrap();
        let schema = include_str!("../../../schema/report.schema.json");
        let schema = serde_json::from_str(schema).unwrap();
        let problems: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, [""; 0]);
        let calls = serde_json::from_str(&self.boto3("recorded", &[])).unwrap();
        Ran { run, report, calls, pushes: self.ecr.log().writes().len() }
    }

    /// The outsider.
    fn boto3(&self, command: &str, arguments: &[&str]) -> String {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/key-services/moto_ecr.py");
        let python =
            self.bench.tool(PYTHON).args([script.to_str().unwrap(), command, &self.moto.url]);
        python.args(arguments).succeed()
    }

    fn show(&self, names: &[&str]) -> Value {
        serde_json::from_str(&self.boto3("show", &[&[REGION], names].concat())).unwrap()
    }

    fn put(&self, name: &str, kind: &str, text: &str) {
        self.boto3("put", &[REGION, name, kind, text]);
    }

    async fn has(&self, repository: &str, tag: &str) -> bool {
        self.ecr.resolve(&repository.parse().unwrap(), &tag.parse().unwrap()).await.is_some()
    }
}

/// What a run did.
struct Ran {
    run: Run,
    report: Value,
    /// What AWS was asked, by action.
    calls: BTreeMap<String, u32>,
    /// How often the registry was asked to change something.
    pushes: usize,
}

impl Ran {
    #[track_caller]
    fn expect_code(self, code: i32) -> Self {
        let Self { run, .. } = self;
        Self { run: run.expect_code(code), ..self }
    }

    /// The calls of AWS that change something.
    fn writes(&self) -> BTreeMap<&str, u32> {
        let is_reading = |action: &str| {
            ["Describe", "Get", "List"].iter().any(|start| action.starts_with(start))
        };
        let calls = self.calls.iter().map(|(action, count)| (action.as_str(), *count));
        calls.filter(|(action, _)| !is_reading(action)).collect()
    }

    #[track_caller]
    fn expect_no_writes(self) -> Self {
        assert_eq!((self.writes(), self.pushes), (BTreeMap::new(), 0), "{}", self.run.stdout);
        self
    }

    /// An item of the report.
    #[track_caller]
    fn item(&self, kind: &str, target: &str) -> &Value {
        let target = format!("{HOST}/{target}");
        let items = self.report["items"].as_array().unwrap();
        let mut found =
            items.iter().filter(|item| item["kind"] == kind && item["target"] == target);
        found.next().unwrap_or_else(|| panic!("no {kind} {target}:\n{:#}", self.report))
    }

    /// The outcomes of all items of a kind, each with its number.
    fn outcomes(&self, kind: &str) -> BTreeMap<&str, usize> {
        let mut outcomes = BTreeMap::new();
        for item in self.report["items"].as_array().unwrap() {
            if item["kind"] == kind {
                *outcomes.entry(item["outcome"].as_str().unwrap()).or_default() += 1;
            }
        }
        outcomes
    }

    /// ecr-sync's summary, from its figures on.
    fn figures(&self) -> &str {
        let (_, text) = self.run.stdout.split_once("Repositories Processed").expect("the summary");
        text.split_once("=====").expect("the summary's end").0
    }
}

/// A repository that moto has is one that the registry knows: before an upload is looked at, moto is asked.
fn bridge(registry: &Arc<Registry>, moto: &str) {
    let credentials = Credentials::new("testing", "testing", None, None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(moto)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let account = EcrRegistry::new(ACCOUNT, REGION).unwrap();
    let client = Arc::new(ecr::Client::new(&config, account, ecr::Options::default()));
    let all: Vec<ecr::Wanted> = TEN
        .iter()
        .chain(&MORE)
        .map(|name| ecr::Wanted { creation_only: true, ..ecr::Wanted::new(name.parse().unwrap()) })
        .collect();
    let registry_itself = Arc::downgrade(registry);
    let ask = Fault::hook(move || {
        let (client, all, registry) = (Arc::clone(&client), all.clone(), registry_itself.clone());
        async move {
            for (name, observed) in client.observe(&all).await {
                if let (Ok(Some(_)), Some(registry)) = (observed, registry.upgrade()) {
                    registry.create_repository(&name);
                }
            }
        }
    });
    registry.inject(ask.on("POST", path::UPLOADS));
}

fn permission(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "AllowPull",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": [action],
    }]})
}

fn lifecycle(number: u32) -> Value {
    json!({"rules": [{
        "rulePriority": 1,
        "description": "Keep the last images",
        "selection": {
            "tagStatus": "any",
            "countType": "imageCountMoreThan",
            "countNumber": number,
        },
        "action": {"type": "expire"},
    }]})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_folder_of_ten_is_made_filled_and_then_left_alone() {
    let Some(cloud) = Cloud::start("ecr-sync ten").await else { return };

    let plan = cloud.run(&["--dry-run"]).expect_code(0).expect_no_writes();
    assert_eq!(plan.outcomes("repository"), [("would-create", 10)].into());
    assert_eq!(plan.outcomes("image"), [("would-copy", 8)].into());
    assert_eq!(plan.outcomes("chart"), [("would-copy", 4)].into());

    // What ECR does on a busy day.
    let busy = [
        Fault::too_many_requests(RetryAfter::Unsaid).on("POST", path::UPLOADS).times(2),
        Fault::throttling_exception().on("PUT", path::MANIFESTS).nth(5),
    ];
    let busy = busy.map(|fault| cloud.ecr.inject(fault));
    let first = cloud.run(&[]).expect_code(0);
    assert_eq!(busy.map(|fault| fault.hits()), [2, 1]);
    let expected =
        [("CreateRepository", 10), ("PutLifecyclePolicy", 10), ("SetRepositoryPolicy", 10)];
    assert_eq!(first.writes(), expected.into());
    // ECR refuses parts below 5 MiB, so none is sent: an upload is one PUT.
    assert_eq!(cloud.ecr.log().count("PATCH", path::UPLOADS), 0, "{}", cloud.ecr.log());
    assert_eq!(first.calls["GetAuthorizationToken"], 1, "for all images");
    assert_eq!(first.outcomes("repository"), [("created", 10)].into());
    assert_eq!(first.outcomes("image"), [("copied", 8)].into());
    assert_eq!(first.outcomes("chart"), [("copied", 4)].into());
    assert_eq!(
        first.figures(),
        ": 10\n├── Created: 10\n├── Updated: 0\n└── Skipped: 0\n\n\
         Artifacts Synchronized:\n├── Container Images: 8\n└── Helm Charts: 4\n\n\
         Policies Applied: 20\n\nOverall Success Rate: 100.0%\n"
    );
    for (repository, tag) in [
        ("team/app-4", "1.0"),
        ("nginx", "1.26"),
        ("nginx", "15.0.2"),
        ("charts/demo", "1.1.0"),
        ("charts/cache", "2.0.0_build.3"),
    ] {
        assert!(cloud.has(repository, tag).await, "{repository}:{tag}");
    }
    let shown = cloud.show(&["team/app-0", "team/strict"]);
    assert_eq!(shown["team/app-0"]["lifecyclePolicy"], lifecycle(10));
    let pull = permission("ecr:GetDownloadUrlForLayer");
    assert_eq!(shown["team/app-0"]["permissionPolicy"], pull);
    assert_eq!(shown["team/app-0"]["tags"], json!({"team": "web", "made-by": "folder"}));
    assert_eq!(
        shown["team/strict"],
        json!({
            "arn": "arn:aws:ecr:eu-west-1:123456789012:repository/team/strict",
            "mutability": "IMMUTABLE_WITH_EXCLUSION",
            "exceptions": ["latest"],
            "scanOnPush": true,
            "encryption": {"encryptionType": "AES256"},
            "tags": {"team": "strict", "made-by": "folder"},
            "permissionPolicy": permission("ecr:BatchGetImage"),
            "lifecyclePolicy": lifecycle(3),
        })
    );

    let second = cloud.run(&[]).expect_code(0).expect_no_writes();
    assert_eq!(second.outcomes("repository"), [("up-to-date", 10)].into());
    assert_eq!(
        second.figures(),
        ": 10\n├── Created: 0\n├── Updated: 0\n└── Skipped: 10\n\n\
         Artifacts Synchronized:\n├── Container Images: 0\n└── Helm Charts: 0\n\n\
         Policies Applied: 0\n\nOverall Success Rate: 100.0%\n"
    );
    cloud.run(&["verify"]).expect_code(0).expect_no_writes();
    cloud.run(&["plan", "--exit-code"]).expect_code(0).expect_no_writes();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_policy_that_was_edited_by_hand_is_shown_and_put_back() {
    let Some(cloud) = Cloud::start("ecr-sync edited").await else { return };
    let missing = cloud.run(&["verify"]).expect_code(1).expect_no_writes();
    assert_eq!(missing.outcomes("repository"), [("would-create", 10)].into());
    cloud.run(&[]).expect_code(0);
    cloud.put("team/app-1", "permission", &permission("ecr:*").to_string());
    // The same, spelled otherwise.
    cloud.put(
        "team/app-2",
        "lifecycle",
        r#"{"rules":[{"action":{"type":"expire"},"selection":{"countNumber":10,
            "countType":"imageCountMoreThan","tagStatus":"any"},
            "description":"Keep the last images","rulePriority":1}]}"#,
    );

    let plan = cloud.run(&["plan", "--exit-code"]).expect_code(6).expect_no_writes();
    let expected = [("would-update", 1), ("up-to-date", 9)];
    assert_eq!(plan.outcomes("repository"), expected.into());
    for line in
        [r#"-       "Action": "ecr:*""#, r#"+       "Action": "ecr:GetDownloadUrlForLayer""#]
    {
        assert!(plan.run.stdout.contains(line), "{line}\n{}", plan.run.stdout);
    }
    let change = plan.item("repository", "team/app-1")["changes"][0].as_str().unwrap();
    assert!(change.starts_with("~ permission policy"), "{change}");
    cloud.run(&["plan"]).expect_code(0).expect_no_writes();
    cloud.run(&["verify"]).expect_code(3).expect_no_writes();

    let sync = cloud.run(&["sync"]).expect_code(0);
    assert_eq!((sync.writes(), sync.pushes), ([("SetRepositoryPolicy", 1)].into(), 0));
    assert!(sync.figures().contains("├── Updated: 1\n└── Skipped: 9\n"), "{}", sync.figures());
    assert!(sync.figures().contains("Policies Applied: 1\n"), "{}", sync.figures());
    let shown = cloud.show(&["team/app-1"]);
    let pull = permission("ecr:GetDownloadUrlForLayer");
    assert_eq!(shown["team/app-1"]["permissionPolicy"], pull);
    cloud.run(&["verify"]).expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_plan_of_ten_is_carried_out_or_nothing_of_it() {
    let Some(cloud) = Cloud::start("ecr-sync plan").await else { return };
    let plan = cloud.bench.folder().join("plan.json");
    let plan = plan.to_str().unwrap();
    let apply = || cloud.run_as(&["apply", plan], ["testing", SECRET]);

    cloud.run(&["plan", "-o", plan]).expect_code(0).expect_no_writes();
    let first = apply().expect_code(0);
    assert_eq!(first.outcomes("repository"), [("created", 10)].into());
    assert_eq!(first.outcomes("image"), [("copied", 8)].into());
    assert_eq!(first.outcomes("chart"), [("copied", 4)].into());
    apply().expect_code(0).expect_no_writes();

    // What a hand has changed after the plan is not what was looked at.
    cloud.put("team/app-1", "permission", &permission("ecr:*").to_string());
    cloud.run(&["plan", "-o", plan]).expect_code(0).expect_no_writes();
    cloud.put("team/app-1", "permission", &permission("ecr:BatchGetImage").to_string());
    let stopped = apply().expect_code(1).expect_no_writes();
    let says = "what would be changed is not what is planned";
    assert!(stopped.run.stderr.contains(says), "{}", stopped.run.stderr);
    cloud.put("team/app-1", "permission", &permission("ecr:*").to_string());
    let done = apply().expect_code(0);
    assert_eq!((done.writes(), done.pushes), ([("SetRepositoryPolicy", 1)].into(), 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_policy_that_no_file_has_is_told_and_pruned_when_asked() {
    let Some(cloud) = Cloud::start("ecr-sync prune").await else { return };
    let plain = cloud.beside("plain.yaml", &cloud.list("- name: team/plain\n"));
    let run =
        |arguments: &[&str]| cloud.run_as(&[arguments, &[&plain]].concat(), ["testing", SECRET]);
    run(&[]).expect_code(0);
    cloud.put("team/plain", "permission", &permission("ecr:*").to_string());
    let told = run(&[]).expect_code(0).expect_no_writes();
    let note = &told.item("repository", "team/plain")["notes"][0];
    assert!(note.as_str().unwrap().contains("--prune-policies"), "{note}");
    run(&["plan", "--exit-code", "--prune-policies"]).expect_code(6).expect_no_writes();
    let pruned = run(&["--prune-policies"]).expect_code(0);
    assert_eq!(pruned.writes(), [("DeleteRepositoryPolicy", 1)].into());
    assert!(pruned.figures().contains("Policies Applied: 1\n"), "{}", pruned.figures());
    assert_eq!(cloud.show(&["team/plain"])["team/plain"]["permissionPolicy"], Value::Null);
    run(&["--prune-policies"]).expect_code(0).expect_no_writes();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn nothing_is_pushed_to_what_may_not_be_created() {
    let Some(cloud) = Cloud::start("ecr-sync denied").await else { return };
    cloud.run(&[]).expect_code(0);
    let (hub, shelf) = (cloud.hub.host(), cloud.shelf.host());
    let more = format!(
        "- name: team/new\n  \
           image: {{ pull_url: \"{hub}/app-3:1.0\", tags: [\"1.0\"] }}\n  \
           chart: {{ pull_url: \"http://{shelf}/stable/demo\", tags: [\"1.0.0\"] }}\n"
    );
    cloud.write("more.yaml", &more);
    let images = format!(
        "images:\n- {{ source: \"{hub}/app-0:2.0\", destination: \"{HOST}/team/app-0:2.0\" }}\n"
    );
    cloud.write("images.yaml", &images);
    let key: Value = serde_json::from_str(&cloud.boto3("user", &[])).unwrap();
    let reader = ["id", "secret"].map(|name| key[name].as_str().unwrap());
    let config = format!("--config={}", cloud.folder.display());
    let run = cloud.run_as(&[&config], reader).expect_code(4);

    let repository = run.item("repository", "team/new");
    assert_eq!(repository["outcome"], "failed");
    assert_eq!(repository["error"]["class"], "denied");
    let hint = repository["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("allow ecr:CreateRepository"), "{hint}");
    for (kind, target) in [("image", "team/new:1.0"), ("chart", "team/new:1.0.0")] {
        let item = run.item(kind, target);
        assert_eq!(item["outcome"], "failed", "{item}");
        let message = item["error"]["message"].as_str().unwrap();
        assert!(message.contains("ecr:CreateRepository"), "{message}");
    }
    let asked = cloud.ecr.log().count("*", "/v2/team/new/*");
    assert_eq!(asked, 0, "{}", cloud.ecr.log());
    assert_eq!(run.item("image", "team/app-0:2.0")["outcome"], "copied");
    assert!(cloud.has("team/app-0", "2.0").await);
    // 10 of 11 repositories and 13 of 15 tags.
    let expected = "├── Skipped: 10\n└── Failed: 1\n";
    assert!(run.figures().contains(expected), "{}", run.figures());
    assert!(run.figures().contains("Overall Success Rate: 88.4%\n"), "{}", run.figures());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn an_image_may_ask_for_its_repository() {
    let Some(cloud) = Cloud::start("ecr-sync create").await else { return };
    let hub = cloud.hub.host();
    let list = |name: &str, ecr: &str| {
        let destination = format!("{HOST}/{name}:1.0");
        let image =
            format!("{{ source: \"{hub}/app-0:1.0\", destination: \"{destination}\"{ecr} }}");
        format!("{}images:\n- {image}\n", cloud.registries())
    };
    let run = |file: &str| cloud.run_as(&[file], ["testing", SECRET]);
    let made = list("made/app", ", ecr: { create: true, scanOnPush: true }");
    let made = cloud.beside("made.yaml", &made);
    let first = run(&made).expect_code(0);
    assert_eq!(first.writes(), [("CreateRepository", 1)].into());
    assert!(cloud.has("made/app", "1.0").await);
    assert_eq!(cloud.show(&["made/app"])["made/app"]["scanOnPush"], true);
    // From then on it is somebody else's.
    cloud.put("made/app", "permission", &permission("ecr:*").to_string());
    let second = run(&made).expect_code(0).expect_no_writes();
    assert!(second.item("repository", "made/app")["notes"].is_null());

    let unlisted = run(&cloud.beside("unlisted.yaml", &list("nobody/lists", ""))).expect_code(1);
    assert_eq!(unlisted.writes(), BTreeMap::new());
    let hint = unlisted.item("image", "nobody/lists:1.0")["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("ECR creates no repository on push"), "{hint}");
    assert!(hint.contains("ecr: { create: true }"), "{hint}");
    assert!(!unlisted.run.stdout.contains("ECR SYNC SUMMARY"), "{}", unlisted.run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_token_that_expires_in_the_middle_of_a_run_is_asked_for_again() {
    let Some((cloud, front)) = Cloud::start_with_front("ecr-sync expired").await else { return };
    let ecr = Arc::downgrade(&cloud.ecr);
    let at_its_end = Fault::hook(move || {
        let (front, ecr) = (Arc::clone(&front), ecr.clone());
        async move {
            front.first_token_ends().await;
            if let Some(ecr) = ecr.upgrade() {
                ecr.set_password("AWS", &AwsFront::password(2));
            }
        }
    });
    let at_its_end = cloud.ecr.inject(at_its_end.on("PUT", path::MANIFESTS).nth(4).before_auth());
    let run = cloud.run(&[]).expect_code(0);
    assert_eq!(at_its_end.hits(), 1);
    assert_eq!(run.outcomes("image"), [("copied", 8)].into());
    assert_eq!(run.outcomes("chart"), [("copied", 4)].into());
    assert_eq!(run.calls["GetAuthorizationToken"], 2);
    let mut registries = run.report["registries"].as_array().unwrap().iter();
    let ecr = registries.find(|one| one["registry"] == HOST && one["side"] == "target").unwrap();
    assert!(ecr["answers"]["403"].as_u64() > Some(0), "{ecr:#}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_signal_lets_what_is_begun_be_finished_and_begins_no_repository() {
    let Some((mut cloud, front)) = Cloud::start_with_front("ecr-sync signal").await else { return };
    let keys = ["testing", SECRET];
    front.hold("CreateRepository");
    let config = format!("--config={}", cloud.folder.display());
    let running = cloud.program(&[&config], keys).start();
    front.wait_for(5).await;
    running.terminate();
    front.release();
    let Output { code, stdout, stderr } = running.end();
    let run = cloud.ran(Run { code: code.unwrap(), stdout, stderr }, keys).expect_code(143);
    assert_eq!(run.outcomes("repository"), [("created", 5), ("deferred", 5)].into());
    let expected = [("CreateRepository", 5), ("PutLifecyclePolicy", 5), ("SetRepositoryPolicy", 5)];
    assert_eq!((run.writes(), run.pushes), (expected.into(), 0));
    assert_eq!(run.outcomes("image"), [("deferred", 8)].into());
    // The next run ends it.
    cloud.front = None;
    cloud.ecr.set_password("AWS", TOKEN);
    let again = cloud.run(&[]).expect_code(0);
    let expected = [("up-to-date", 5), ("created", 5)];
    assert_eq!(again.outcomes("repository"), expected.into());
    assert_eq!(again.outcomes("image"), [("copied", 8)].into());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn more_tags_than_ecr_lists_at_once_are_listed_page_by_page() {
    let Some(cloud) = Cloud::start("ecr-sync pages").await else { return };
    let name = "team/app-0".parse().unwrap();
    cloud.ecr.create_repository(&name);
    let image = image::single(1);
    for minor in 0..1001 {
        cloud.ecr.add(&name, &format!("1.{minor}.0").parse().unwrap(), &image).await;
    }
    let mirror = cloud.bench.folder().join("mirror");
    let list = format!(
        "{}images:\n- source: \"{HOST}/team/app-0\"\n  tags: {{ semver: \"*\", latest: 2 }}\n  \
         destination: \"oci:{}/app\"\n",
        cloud.registries(),
        mirror.display()
    );
    let list = cloud.beside("pages.yaml", &list);
    let run = cloud.run_as(&[&list], ["testing", SECRET]).expect_code(0);
    let targets = run.report["items"].as_array().unwrap().iter();
    let targets: Vec<&str> = targets.map(|item| item["source"].as_str().unwrap()).collect();
    let newest = [1000, 999].map(|minor| format!("{HOST}/team/app-0:1.{minor}.0"));
    assert_eq!(targets, newest);
    assert_eq!(cloud.ecr.log().count("GET", path::TAGS), 2, "{}", cloud.ecr.log());
}
