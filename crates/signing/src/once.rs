//! [`Once`]: what is asked for once in a run, by whoever needs it first.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Mutex;

use crate::{SigningError, SigningErrorKind};

/// A value that is made when it is first needed. All who want it meanwhile wait for the one attempt
/// and share its end; a failure that may pass is tried again by who comes later.
#[derive(Debug)]
pub(crate) struct Once<T> {
    end: Mutex<Option<Result<T, SigningError>>>,
    attempts: AtomicUsize,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { end: Mutex::default(), attempts: AtomicUsize::default() }
    }
}

impl<T: Clone> Once<T> {
    pub(crate) async fn get(
        &self,
        make: impl Future<Output = Result<T, SigningError>>,
    ) -> Result<T, SigningError> {
        let attempts = self.attempts.load(Ordering::SeqCst);
        let mut end = self.end.lock().await;
        match &*end {
            Some(Ok(value)) => return Ok(value.clone()),
            Some(Err(error)) => {
                let waited_for_it = self.attempts.load(Ordering::SeqCst) != attempts;
                if waited_for_it || error.kind() != SigningErrorKind::Unreachable {
                    return Err(error.clone());
                }
            }
            None => {}
        }
        let result = make.await;
        self.attempts.fetch_add(1, Ordering::SeqCst);
        *end = Some(result.clone());
        result
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::join_all;

    use super::*;

    /// Eight who ask at once, after these ends of earlier attempts; what they get, and all attempts.
    async fn ask(ends: &[Result<u32, SigningErrorKind>]) -> (Vec<Option<u32>>, usize) {
        let (once, attempts) = (Once::default(), Cell::new(0));
        let get = || {
            once.get(async {
                let end = ends[attempts.get().min(ends.len() - 1)];
                attempts.set(attempts.get() + 1);
                tokio::task::yield_now().await;
                end.map_err(|kind| SigningError::new(kind, "failed"))
            })
        };
        for _ in 1..ends.len() {
            let _ = get().await;
        }
        let got = join_all((0..8).map(|_| get())).await;
        (got.into_iter().map(Result::ok).collect(), attempts.get())
    }

    #[tokio::test]
    async fn all_share_one_attempt() {
        use SigningErrorKind::{Denied, Unreachable};
        assert_eq!(ask(&[Ok(7)]).await, (vec![Some(7); 8], 1));
        assert_eq!(ask(&[Err(Unreachable)]).await, (vec![None; 8], 1));
        assert_eq!(ask(&[Err(Unreachable), Ok(7)]).await, (vec![Some(7); 8], 2));
        assert_eq!(ask(&[Err(Denied), Ok(7)]).await, (vec![None; 8], 1));
    }
}
