//! Layers of made-up images: tar archives with one file of random bytes.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::random::Random;

/// The size of the file in a layer, in bytes: more than one chunk of most readers, and small.
const FILE_SIZE: usize = 20_000;

/// A gzip layer, and the tar archive in it.
pub(crate) fn gzip(seed: u64) -> (Bytes, Bytes) {
    let content = Random::new(seed).bytes(FILE_SIZE);
    let mut archive = tar::Builder::new(Vec::new());
    let name = format!("layer-{seed}.bin");
    let written = archive.append_data(&mut header(content.len() as u64), name, content.as_slice());
    written.expect("writing to memory");
    let unpacked = archive.into_inner().expect("writing to memory");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&unpacked).expect("writing to memory");
    (packed.finish().expect("writing to memory").into(), unpacked.into())
}

/// The header of a file with nothing in it that changes from run to run.
pub(crate) fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    header
}
