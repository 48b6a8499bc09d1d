//! What is in a chart's archive, a `.tgz`: read once from memory, nothing written anywhere.
//!
//! What Helm refuses to load is refused (`LoadArchiveFiles` in Helm's `pkg/chart/loader/archive`),
//! and a little more: whoever pulls the chart must be able to use it, and nobody's unpacking is put
//! to the test by us.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;

use crate::error::Failure;

/// The largest archive that is read, in bytes. Registries take layers of any size; Helm reads no
/// chart with more than 100 MiB in it.
pub(crate) const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// The most that the files of a chart may have together (Helm: `MaxDecompressedChartSize`).
const MOST_UNPACKED: u64 = 100 * 1024 * 1024;
/// The same with what stands between the files.
const MOST_UNPACKED_STREAM: u64 = 128 * 1024 * 1024;
/// The most files and folders. The largest charts of the field have some hundreds.
const MOST_ENTRIES: usize = 10_000;

/// What was read of an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    /// The files that were to be kept, by their path below the chart's folder.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// When the last of its files was changed, as the archive has it.
    pub(crate) newest: Option<Timestamp>,
}

impl Archive {
    /// A kept file as text.
    pub(crate) fn text(&self, path: &str) -> Option<Result<&str, Failure>> {
        let file = self.files.get(path)?;
        Some(
            std::str::from_utf8(file)
                .map_err(|_| Failure::invalid(format!("`{path}` is not UTF-8"))),
        )
    }
}

/// Reads an archive to its end and keeps the files whose path `keep` says yes to.
///
/// What is neither file nor folder, such as a link, is passed over: Helm takes it for an empty file.
pub(crate) fn read(archive: &[u8], keep: impl Fn(&str) -> bool) -> Result<Archive, Failure> {
    let broken = |error: std::io::Error| {
        Failure::invalid(format!("the archive cannot be unpacked: {error}"))
            .hint("is there a chart at this URL? an archive begins with gzip's 1f 8b")
    };
    // Go reads all members of a gzip file, and so do we.
    let stream = MultiGzDecoder::new(archive).take(MOST_UNPACKED_STREAM);
    let mut archive = tar::Archive::new(stream);
    let mut files = BTreeMap::new();
    let (mut newest, mut unpacked) = (0, 0_u64);
    for (number, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if number >= MOST_ENTRIES {
            return Err(Failure::invalid(format!(
                "the archive has more than {MOST_ENTRIES} files"
            )));
        }
        unpacked = unpacked.saturating_add(entry.size());
        if unpacked > MOST_UNPACKED {
            let most = MOST_UNPACKED >> 20;
            return Err(Failure::invalid(format!("the archive has more than {most} MiB in it")));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() || name.ends_with('/') {
            continue;
        }
        let path = path_below(&name).map_err(|problem| {
            Failure::invalid(format!("`{}` in the archive {problem}", name.escape_debug()))
                .hint("helm does not load such an archive either; tell the chart's maintainers")
        })?;
        newest = newest.max(entry.header().mtime().unwrap_or(0));
        if keep(&path) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(broken)?;
            if content.starts_with(b"\xef\xbb\xbf") {
                content.drain(..3);
            }
            // Helm would read both, one over the other.
            if files.insert(path, content).is_some() {
                let name = name.escape_debug();
                return Err(Failure::invalid(format!("`{name}` is twice in the archive")));
            }
        }
    }
    let newest = i64::try_from(newest).ok().filter(|&seconds| seconds > 0);
    let newest = newest.and_then(|seconds| Timestamp::from_second(seconds).ok());
    Ok(Archive { files, newest })
}

/// The path below the folder that all of a chart lies in.
fn path_below(name: &str) -> Result<String, &'static str> {
    // Archives that are made on Windows may have the other slash.
    let name = if name.contains('\\') { name.replace('\\', "/") } else { name.to_owned() };
    if name.starts_with('/') || name.contains("//") {
        return Err("is an absolute path, or has an empty part");
    }
    let mut parts = name.split('/').filter(|part| *part != ".");
    if name.split('/').any(|part| part == "..") {
        return Err("leads out of the chart");
    }
    let folder = parts.next().unwrap_or_default();
    let below: Vec<&str> = parts.collect();
    if below.is_empty() {
        return Err("lies beside the chart's folder");
    }
    let drive =
        |part: &str| matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if drive(folder) || below.first().is_some_and(|part| drive(part)) {
        return Err("has the letter of a drive");
    }
    Ok(below.join("/"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use tar::{Builder, EntryType, Header};

    use super::*;

    /// An archive with these files, by their whole names, and this time of change.
    pub(crate) fn packed(files: &[(&str, &str)], changed: u64) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, content) in files {
            append(&mut builder, name, EntryType::Regular, content.as_bytes(), changed);
        }
        gzip(&builder.into_inner().unwrap())
    }

    fn append(
        builder: &mut Builder<Vec<u8>>,
        name: &str,
        kind: EntryType,
        content: &[u8],
        time: u64,
    ) {
        let mut header = Header::new_gnu();
        // `set_path` would refuse what is to be tested.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mtime(time);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_files_that_are_asked_for_are_kept() {
        let files =
            [("nginx/Chart.yaml", "\u{feff}a"), ("nginx/./values.yaml", "b"), ("nginx/x", "c")];
        let archive = read(&packed(&files, 86_400), |path| path != "x").unwrap();
        let kept: Vec<&str> = archive.files.keys().map(String::as_str).collect();
        assert_eq!(kept, ["Chart.yaml", "values.yaml"]);
        assert_eq!(archive.text("Chart.yaml").unwrap().unwrap(), "a");
        assert_eq!(archive.newest.unwrap().to_string(), "1970-01-02T00:00:00Z");
        assert_eq!(read(&packed(&files, 0), |_| false).unwrap().newest, None);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let table = [
            ("/etc/passwd", "is an absolute path"),
            ("nginx//etc/passwd", "is an absolute path"),
            ("nginx/../../x", "leads out of the chart"),
            ("../nginx/x", "leads out of the chart"),
            ("nginx\\..\\x", "leads out of the chart"),
            ("Chart.yaml", "lies beside the chart's folder"),
            ("nginx/c:/x", "has the letter of a drive"),
        ];
        for (name, expected) in table {
            let failure = read(&packed(&[(name, "")], 0), |_| true).unwrap_err();
            assert!(failure.message().contains(expected), "{name}: {failure:?}");
        }
        assert_eq!(path_below("nginx\\templates\\x.yaml").unwrap(), "templates/x.yaml");
    }

    #[test]
    fn links_and_devices_are_passed_over() {
        let mut builder = Builder::new(Vec::new());
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Directory] {
            append(&mut builder, "nginx/Chart.yaml", kind, b"", 9);
        }
        append(&mut builder, "pax_global_header", EntryType::XGlobalHeader, b"9 a=bcde\n", 9);
        let archive = read(&gzip(&builder.into_inner().unwrap()), |_| true).unwrap();
        assert!(archive.files.is_empty() && archive.newest.is_none());
    }

    #[test]
    fn a_file_that_is_read_comes_once() {
        let twice = packed(&[("a/Chart.yaml", "x"), ("b/Chart.yaml", "y")], 0);
        let failure = read(&twice, |_| true).unwrap_err();
        assert_eq!(failure.message(), "`b/Chart.yaml` is twice in the archive");
        assert!(read(&twice, |_| false).is_ok());
    }

    #[test]
    fn what_is_too_large_is_refused() {
        // A size that is only said.
        let sized = |sizes: &[u64]| {
            let mut archive = Vec::new();
            for &size in sizes {
                let mut header = Header::new_gnu();
                header.set_path("a/b").unwrap();
                header.set_size(size);
                header.set_cksum();
                archive.extend_from_slice(header.as_bytes());
                archive.extend(std::iter::repeat_n(0, usize::try_from(size.min(512)).unwrap()));
            }
            read(&gzip(&archive), |_| false).unwrap_err()
        };
        for sizes in [&[MOST_UNPACKED + 1][..], &[512, MOST_UNPACKED - 511], &[u64::MAX / 2]] {
            assert_eq!(sized(sizes).message(), "the archive has more than 100 MiB in it");
        }

        let many = vec![("a/b", ""); 10_001];
        let failure = read(&packed(&many, 0), |_| false).unwrap_err();
        assert_eq!(failure.message(), "the archive has more than 10000 files");
    }

    #[test]
    fn what_is_no_archive_says_so() {
        for bytes in [&b""[..], b"<html>", &[0x1f, 0x8b, 8, 0], &gzip(b"no tar, but text")] {
            let failure = read(bytes, |_| true).unwrap_err();
            assert!(failure.message().contains("cannot be unpacked"), "{failure:?}");
        }
    }

    proptest! {
        #[test]
        fn no_archive_panics(
            junk in proptest::collection::vec(any::<u8>(), 0..700),
            at in 0..512_usize,
            byte in any::<u8>(),
        ) {
            let _ = read(&junk, |_| true);
            let _ = read(&gzip(&junk), |_| true);
            let mut builder = Builder::new(Vec::new());
            append(&mut builder, "a/Chart.yaml", EntryType::Regular, b"name: a", 1);
            let mut archive = builder.into_inner().unwrap();
            archive[at] = byte;
            let _ = read(&gzip(&archive), |_| true);
            // With the sum of a header made right again, what is in it is read.
            let mut header = Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(&archive[..512]);
            header.set_cksum();
            archive[..512].copy_from_slice(header.as_bytes());
            let _ = read(&gzip(&archive), |_| true);
        }
    }
}
