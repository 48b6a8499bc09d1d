//! The part of sync files that a run is for: all that some files want, and what comes from where
//! something was pushed.

use oci::Location;
use syncfile::{Chart, ChartSource, Image, Origin, SyncFile, TagSelection};
use watch::{Moved, Request};

/// Whether something comes from there.
pub(super) fn wants(sync_file: &SyncFile, moved: &Moved) -> bool {
    let one = |moved: &Moved| {
        sync_file.images.iter().any(|image| moved.concerns(&image.source))
            || sync_file.selections.iter().any(|one| moved.concerns_repository(&one.source))
            || sync_file.charts.iter().any(|chart| is_chart_from(chart, moved))
    };
    one(moved)
}

/// What is asked for. Registries and rules hold for all files, so they stay.
pub(super) fn of(sync_file: &SyncFile, request: &Request) -> SyncFile {
    let is_due = |origin: &Origin| request.files.contains(&origin.file);
    let has_moved = |concerned: &dyn Fn(&Moved) -> bool| request.moved.iter().any(concerned);
    let image =
        |image: &&Image| is_due(&image.origin) || has_moved(&|moved| moved.concerns(&image.source));
    let selection = |one: &&TagSelection| {
        is_due(&one.origin) || has_moved(&|moved| moved.concerns_repository(&one.source))
    };
    let chart =
        |chart: &&Chart| is_due(&chart.origin) || has_moved(&|moved| is_chart_from(chart, moved));
    SyncFile {
        images: sync_file.images.iter().filter(image).cloned().collect(),
        selections: sync_file.selections.iter().filter(selection).cloned().collect(),
        charts: sync_file.charts.iter().filter(chart).cloned().collect(),
        // A push moves no settings.
        repositories: {
            let due = sync_file.repositories.iter().filter(|one| is_due(&one.origin));
            due.cloned().collect()
        },
        registries: sync_file.registries.clone(),
        verify: sync_file.verify.clone(),
        notices: sync_file.notices.clone(),
    }
}

/// Whether a chart comes from there; those of classic repositories do not.
fn is_chart_from(chart: &Chart, moved: &Moved) -> bool {
    chart.sources.iter().any(|source| match source {
        ChartSource::Registry(location @ Location::Registry { .. }) => {
            moved.concerns_repository(location)
        }
        ChartSource::Registry(_) | ChartSource::Repository { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use oci::Reference;
    use syncfile::{Defaults, Input, load};

    use super::*;

    fn moved(text: &str) -> Moved {
        let reference: Reference = text.parse().unwrap();
        let Location::Registry { host, repository } = reference.location else { panic!("{text}") };
        Moved { host, repository, tag: reference.tag, digest: reference.digest }
    }

    fn sources(part: &SyncFile) -> Vec<String> {
        let images = part.images.iter().map(|image| image.written.clone());
        let selections = part.selections.iter().map(|one| one.written.clone());
        let charts = part.charts.iter().map(|chart| chart.written.clone());
        images.chain(selections).chain(charts).collect()
    }

    #[test]
    fn a_run_is_for_files_and_for_what_moved() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let one = file(
            "one.yaml",
            "targetRepoPrefix: t.io/m\nimages:\n- source: a.io/x:1\n- source: a.io/x:2\n\
             registries: { a.io: { concurrency: 1 } }\n",
        );
        let two = file(
            "two.yaml",
            "targetRepoPrefix: t.io/m\nimages:\n- source: a.io/y\n  tags: { include: '*' }\n\
             charts:\n- { source: 'oci://a.io/charts/z', versions: 1.0.0 }\n",
        );
        let inputs = [Input::Path(one.clone()), Input::Path(two)];
        let all = load(&inputs, &Defaults::default()).unwrap().sync_file;
        let part = |files: &[&PathBuf], pushed: &[&str]| {
            let files = files.iter().map(|file| (*file).clone()).collect::<BTreeSet<_>>();
            let moved = pushed.iter().map(|text| moved(text)).collect();
            let part = of(&all, &Request { files, moved });
            assert_eq!(part.registries.len(), 1);
            sources(&part)
        };
        assert_eq!(part(&[&one], &[]), ["a.io/x:1", "a.io/x:2"]);
        assert_eq!(part(&[], &["a.io/x:2"]), ["a.io/x:2"]);
        assert_eq!(part(&[], &["a.io/y:7"]), ["a.io/y"]);
        assert_eq!(part(&[], &["a.io/charts/z:1.0.0"]), ["oci://a.io/charts/z"]);
        assert_eq!(part(&[&one], &["a.io/y:7"]), ["a.io/x:1", "a.io/x:2", "a.io/y"]);
        assert_eq!(part(&[], &["b.io/x:1"]), [""; 0]);
        for (text, wanted) in [("a.io/x:1", true), ("a.io/x:3", false), ("a.io/y:1", true)] {
            assert_eq!(wants(&all, &moved(text)), wanted, "{text}");
        }
    }
}
