//! Whatever is left to be done, every form of the report says that something is, and the exit code does.

use testkit::{KeyPair, Registry, image};

use crate::notices::Receiver;
use crate::program::{Done, Program, add};

/// What is left to be done for an image.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Nothing,
    Copy,
    Sign,
    LateReferrer,
}

async fn prepared(left: Left, receiver: &Receiver) -> (Program, [Registry; 2]) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let image = image::single(1);
    add(&source, "app", "1", &image).await;
    if left != Left::Copy {
        add(&target, "app", "1", &image).await;
    }
    if left == Left::LateReferrer {
        let sbom = image::referrer_of(&image.root, 3);
        sbom.write_to(&source.layout(&"app".parse().unwrap())).await;
    }
    let mut program = Program::new();
    program.file("mirror.key", &KeyPair::new().private);
    program.file(
        "images.yaml",
        format!(
            "kmsKey: mirror.key\nsign: {}\nimages:\n- source: {}/app:1\n  destination: {}/app\n\
             notices:\n- {{ slack: {{ env: PENDING }}, on: pending }}\n\
             - {{ slack: {{ env: CHANGE }}, on: change }}\n",
            left == Left::Sign,
            source.host(),
            target.host()
        ),
    );
    program
        .variable("PENDING", &receiver.at(&format!("{left:?}-pending/200")))
        .variable("CHANGE", &receiver.at(&format!("{left:?}-change/200")));
    (program, [source, target])
}

async fn run(program: &Program, command: &str) -> Done {
    let line = format!("{command} -i images.yaml --report r.md --report r.html --report r.xml");
    program.run(&line.split(' ').collect::<Vec<_>>()).await
}

fn file(program: &Program, name: &str) -> String {
    std::fs::read_to_string(program.folder().join(name)).unwrap()
}

#[tokio::test]
async fn every_form_says_what_is_pending_and_then_what_has_changed() {
    let receiver = Receiver::start().await;
    for (left, would, done) in [
        (Left::Nothing, None, None),
        (Left::Copy, Some("1 would-copy"), Some("1 copied")),
        (Left::Sign, Some("1 would be signed"), Some("1 signed")),
        (
            Left::LateReferrer,
            Some("1 late referrer or signature would be copied"),
            Some("1 late referrer or signature copied"),
        ),
    ] {
        let (program, _registries) = prepared(left, &receiver).await;
        let notices = |occasion: &str| receiver.got(&format!("{left:?}-{occasion}/200"));
        for command in ["plan --exit-code", "plan --exit-code -o plan.json"] {
            let before = notices("pending").len();
            let plan = run(&program, command).await;
            assert_eq!(plan.code, Some(if would.is_some() { 6 } else { 0 }), "{left:?}: {plan}");
            let (markdown, html) = (file(&program, "r.md"), file(&program, "r.html"));
            assert_eq!(markdown.contains("### Would change"), would.is_some(), "{markdown}");
            assert_eq!(markdown.contains("✅"), would.is_none(), "{left:?}: {markdown}");
            assert_eq!(
                html.contains("<h1>The item would change</h1>"),
                would.is_some(),
                "{left:?}"
            );
            assert_eq!(file(&program, "r.xml").contains("<skipped"), would.is_some(), "{left:?}");
            assert_eq!(notices("pending").len() - before, usize::from(would.is_some()), "{left:?}");
            for text in [&plan.stdout, &markdown] {
                assert!(would.is_none_or(|would| text.contains(would)), "{left:?}: {text}");
            }
            assert!(would.is_some() || !plan.stdout.contains("would"), "{plan}");
        }
        let sync = run(&program, "sync").await;
        assert_eq!(sync.code, Some(0), "{left:?}: {sync}");
        let markdown = file(&program, "r.md");
        assert_eq!(markdown.contains("### Changed"), done.is_some(), "{left:?}: {markdown}");
        for text in [&sync.stdout, &markdown] {
            assert!(done.is_none_or(|done| text.contains(done)), "{left:?}: {text}");
        }
        let told = notices("change");
        assert_eq!(told.len(), usize::from(done.is_some()), "{left:?}");
        let is_named = |body: &str| body.contains("/app:1`");
        assert!(told.iter().all(|notice| is_named(&notice.body)), "{left:?}");
        let again = run(&program, "plan --exit-code").await;
        assert_eq!(again.code, Some(0), "{left:?}: {again}");
    }
}

/// What says how something is signed is of no use where nothing is.
#[tokio::test]
async fn flags_about_signatures_that_change_nothing_are_told() {
    let receiver = Receiver::start().await;
    let (mut program, [_source, target]) = prepared(Left::Nothing, &receiver).await;
    // It may be meant for another list.
    program.variable("SYNCER_SIGNATURE_FORMAT", "bundle");
    let warning = "warning: nothing is signed";
    let silent = run(&program, "sync").await;
    assert_eq!((silent.code, silent.stderr.contains(warning)), (Some(0), false), "{silent}");
    let how = "--attest --signature-format bundle";
    let told = run(&program, &format!("sync {how}")).await;
    assert_eq!(told.code, Some(0), "{told}");
    let names = format!("{warning}, so this has no effect: --signature-format, --attest");
    assert!(told.stderr.contains(&names), "{told}");
    let signed = run(&program, &format!("sync {how} --sign")).await;
    assert_eq!((signed.code, signed.stderr.contains(warning)), (Some(0), false), "{signed}");
    let copy = format!("copy {host}/app:1 {host}/app:2 {how}", host = target.host());
    let copy = copy.split(' ').collect::<Vec<_>>();
    let told = program.run(&copy).await;
    assert!(told.stderr.contains(&names), "{told}");
    let signed = program.run(&[&copy[..], &["-k", "mirror.key"]].concat()).await;
    assert_eq!((signed.code, signed.stderr.contains(warning)), (Some(0), false), "{signed}");
}
