//! A lease that is a lock on a file (`flock`): the kernel keeps it as long as we have the file open, and
//! lets go of it however we end.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long until the lock is asked for again: nobody tells when it is free.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    identity: String,
}

impl Lock {
    pub(crate) fn open(path: PathBuf, identity: &str) -> io::Result<Self> {
        let file =
            File::options().create(true).read(true).write(true).truncate(false).open(&path)?;
        Ok(Self { file, path, identity: identity.to_owned() })
    }

    fn is_had(&self) -> bool {
        match self.file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "the lease `{}` cannot be locked", self.path.display());
                false
            }
        }
    }

    /// Who has it, for people who look into the file.
    fn sign(&self) {
        let mut file = &self.file;
        let signed = self.file.set_len(0).and_then(|()| writeln!(file, "{}", self.identity));
        if let Err(error) = signed {
            tracing::debug!(%error, "the holder's name was not written into the lease");
        }
    }
}

pub(crate) async fn keep(lock: Lock, leads: watch::Sender<bool>, stop: CancellationToken) {
    while !lock.is_had() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
    lock.sign();
    super::tell(&leads, true);
    stop.cancelled().await;
    // The lock goes with the file.
    drop(lock);
}

#[cfg(test)]
mod tests {
    use crate::lease::Keeper;

    #[tokio::test(start_paused = true)]
    async fn one_has_it_and_the_next_gets_it_when_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let one = Keeper::of_file(path.clone(), "one").unwrap();
        let mut leads = one.leads();
        leads.wait_for(|leads| *leads).await.unwrap();
        let two = Keeper::of_file(path.clone(), "two").unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert!(!*two.leads().borrow());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        one.release().await;
        let mut leads = two.leads();
        leads.wait_for(|leads| *leads).await.unwrap();
        two.release().await;
        assert!(Keeper::of_file(folder.path().join("no/lease"), "x").is_err());
    }
}
