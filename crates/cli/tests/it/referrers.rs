//! Referrers and signatures travel with an image, as far as the flags say.

use testkit::{Fault, Registry, image};

use crate::program::{Program, add, assert_done, held};

/// Two registries; in the first an image with a referrer and a signature.
async fn begin() -> (Registry, Registry, Program) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let image = image::index(1);
    add(&source, "app", "1", &image).await;
    add(&source, "app", &signature(), &image::artifact(2)).await;
    let sbom = image::referrer_of(&image.root, 3);
    sbom.write_to(&source.layout(&"app".parse().unwrap())).await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222");
    let list = format!(
        "images:\n- source: {}/app:1\n  destination: {}/app\n",
        source.host(),
        target.host()
    );
    program.file("images.yaml", list);
    (source, target, program)
}

fn signature() -> String {
    format!("sha256-{}.sig", image::index(1).digest().hex())
}

async fn referrers(target: &Registry) -> usize {
    let layout = target.layout(&"app".parse().unwrap());
    layout.referrers(&image::index(1).digest()).await.unwrap().len()
}

#[tokio::test]
async fn what_was_left_out_comes_late() {
    let (_source, target, program) = begin().await;
    let sync = ["sync", "-i", "images.yaml"];
    let first = program.run(&[&sync[..], &["--referrers", "none"]].concat()).await;
    assert_eq!(first.code, Some(0), "{first}");
    assert_eq!((referrers(&target).await, held(&target, "app", &signature()).await), (0, None));
    let sbom = ["--referrers", "application/vnd.example.sbom.v1+json"];
    let off = ["--late-referrers", "off"];
    for extra in [&off[..], &[]] {
        let done = program.run(&[&sync[..], &sbom, extra].concat()).await;
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(referrers(&target).await, usize::from(extra.is_empty()));
    }
    assert_eq!(held(&target, "app", &signature()).await, None);
    let plan = program.run(&["plan", "-i", "images.yaml"]).await;
    assert_eq!(held(&target, "app", &signature()).await, None);
    let last = program.run(&sync).await;
    assert_eq!(held(&target, "app", &signature()).await, Some(image::artifact(2).digest()));
    assert_done!(format!("{plan}{last}"));
}

#[tokio::test]
async fn required_fails_where_best_effort_notes() {
    let (source, target, mut program) = begin().await;
    source.inject(Fault::deny_referrers());
    program.variable("SYNCER_REFERRERS_REQUIRED", "true");
    let required = program.run(&["sync", "-i", "images.yaml"]).await;
    assert_eq!(required.code, Some(4), "{required}");
    assert_eq!(held(&target, "app", "1").await, None);
    let noted = program.run(&["sync", "-i", "images.yaml", "--referrers-required=false"]).await;
    assert_eq!(noted.code, Some(0), "{noted}");
    assert_eq!(held(&target, "app", "1").await, Some(image::index(1).digest()));
    assert_done!(format!("{required}{noted}"));
}
