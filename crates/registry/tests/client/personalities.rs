//! One image through every kind of registry, as a copy would send it.

use oci::Selector;
use registry::{Settings, Upload};
use testkit::{Auth, Personality, Registry, image, personality};

use crate::{Known, basic, by_tag, client, content, repository, settings, tag};

#[tokio::test]
async fn an_index_goes_to_every_kind_of_registry_and_comes_back() {
    for personality in Personality::all() {
        let name = personality.name;
        let username = match &personality.auth {
            Auth::Basic { username, .. } => username.clone(),
            Auth::Open | Auth::Bearer(_) => personality::USERNAME.to_owned(),
        };
        let registry = Registry::builder().personality(personality).start().await;
        registry.create_repository(&repository("team/app"));
        let known = Known::new([basic(&username, personality::PASSWORD)]);
        let app = client(Settings { attempts: 3, ..settings() }, known)
            .repository(&registry.host(), &repository("team/app"));
        let image = image::with_attestations(1);
        assert!(app.resolve(&by_tag("1")).await.unwrap().is_none(), "{name}");
        for (blob, content) in &image.blobs {
            let mut result = crate::uploads::upload(&app, blob.digest, content.clone()).await;
            if result.as_ref().is_err_and(registry::Error::is_temporary) {
                result = crate::uploads::upload(&app, blob.digest, content.clone()).await;
            }
            assert!(result.is_ok(), "{name}: {result:?}\n{}", registry.log());
        }
        for manifest in image.manifests.iter().filter(|one| one.digest() != image.digest()) {
            let selector = Selector::from(manifest.digest());
            let put = app.put_manifest(&selector, manifest).await;
            assert!(put.is_ok(), "{name}: {put:?}\n{}", registry.log());
        }
        // Twice: where tags are immutable the same content is still no error.
        for _ in 0..2 {
            let put = app.put_manifest(&by_tag("1"), image.manifest()).await;
            assert!(put.is_ok(), "{name}: {put:?}\n{}", registry.log());
        }
        let other = image::single(9);
        let moved = app.put_manifest(&by_tag("1"), other.manifest()).await;
        if moved.is_ok() {
            app.put_manifest(&by_tag("1"), image.manifest()).await.unwrap();
        }
        assert_eq!(app.resolve(&by_tag("1")).await.unwrap(), Some(image.root.clone()), "{name}");
        for manifest in &image.manifests {
            let found = app.manifest(&Selector::from(manifest.digest())).await.unwrap();
            assert_eq!(found.as_ref(), Some(manifest), "{name}");
        }
        for (blob, expected) in &image.blobs {
            let reader = app.read_blob(&blob.digest, Some(blob.size)).await.unwrap();
            assert_eq!(content(reader).await.unwrap(), expected, "{name}");
            assert_eq!(app.blob_size(&blob.digest).await.unwrap(), Some(blob.size), "{name}");
        }
        let list = app.tags().await.unwrap().unwrap();
        assert_eq!(list.tags, [tag("1")], "{name}");
        let told = (name == "gar").then(|| (tag("1"), image.digest()));
        assert_eq!(list.digests, told.into_iter().collect(), "{name}");
        let referrers = app.referrers(&image.digest()).await.unwrap();
        assert!(referrers.manifests.is_empty(), "{name}: {referrers:?}");
    }
}

#[tokio::test]
async fn a_missing_repository_comes_with_the_way_out() {
    // The profile is found by name, so the registry is given the name of one.
    let registry = Registry::builder().personality(Personality::ecr()).start().await;
    let host: oci::Host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com".parse().unwrap();
    let endpoint = Some(registry.url().parse().unwrap());
    let of_it = registry::RegistrySettings { endpoint, ..Default::default() };
    let settings = Settings { registries: [(host.clone(), of_it)].into(), ..settings() };
    let known = Known::new([basic("AWS", personality::PASSWORD)]);
    let new = client(settings, known).repository(&host, &repository("new"));
    let error = new.start_upload(&oci::Digest::sha256(b""), None).await.err().unwrap();
    assert_eq!(error.kind(), registry::ErrorKind::NotFound, "{error}");
    assert_eq!(error.code(), Some("NAME_UNKNOWN"));
    assert!(error.hint().unwrap().contains("ecr: { create: true }"), "{:?}", error.hint());
}

#[tokio::test]
async fn mounts_within_every_kind_of_registry() {
    for personality in Personality::all() {
        let name = personality.name;
        let username = match &personality.auth {
            Auth::Basic { username, .. } => username.clone(),
            Auth::Open | Auth::Bearer(_) => personality::USERNAME.to_owned(),
        };
        let registry = Registry::builder().personality(personality).start().await;
        registry.create_repository(&repository("to"));
        let single = image::single(1);
        registry.add(&repository("from"), &tag("1"), &single).await;
        let known = Known::new([basic(&username, personality::PASSWORD)]);
        let to = client(settings(), known).repository(&registry.host(), &repository("to"));
        let layer = single.layers()[0].digest;
        let upload = to.start_upload(&layer, Some(&repository("from"))).await.unwrap();
        if matches!(upload, Upload::Mounted) {
            assert!(to.blob_size(&layer).await.unwrap().is_some(), "{name}");
        }
    }
}
