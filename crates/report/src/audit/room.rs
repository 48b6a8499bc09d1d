//! Room for lines is taken from the file system before acts begin, so that a full disk stops a run
//! before the act that could not be recorded, and not after it.

use std::fs::File;
use std::io;

/// Takes room for a file up to `end`, from `begin` on, without making it longer. Whether the file
/// system did it: some do not know how.
#[cfg(target_os = "linux")]
pub(super) fn reserve(file: &File, begin: u64, end: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    loop {
        return match fallocate(file, FallocateFlags::KEEP_SIZE, begin, end.saturating_sub(begin)) {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
}

/// Only Linux is asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn reserve(_file: &File, _begin: u64, _end: u64) -> io::Result<bool> {
    Ok(false)
}
