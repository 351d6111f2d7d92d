//! One refresher at a time among the processes of one app (requirement A7).
//!
//! An operating system's file lock and nothing cleverer: it is let go of however its holder dies.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    error::{Error, ErrorKind, Result},
    lock_file::open,
};

/// Longest wait for another process's refresh: longer than an exchange may take, so only a process that is frozen or
/// broken is given up on.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(45);

/// Between two tries: a refresh takes a few tenths of a second, and who comes next is in no hurry.
const POLL: Duration = Duration::from_millis(50);

/// How long a lock file that cannot be opened is tried again: a process that is out of file descriptors for a moment must
/// not refresh beside another. Where it can never be opened each refresh is this much later, and nothing else.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// Held while it lives.
#[derive(Debug)]
pub(crate) struct RefreshLock(#[expect(dead_code, reason = "dropping it unlocks")] Option<File>);

impl RefreshLock {
    /// Waits for the lock without blocking a thread. Without a path, or where the file system knows no locks or has had
    /// no place for the file for [`OPEN_PATIENCE`], there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// `Network`, retryable, if another process holds it for longer than [`LOCK_TIMEOUT`].
    pub(crate) async fn acquire(path: Option<PathBuf>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let opened = tokio::time::timeout(OPEN_PATIENCE, async {
            loop {
                match open(&path) {
                    Ok(file) => return file,
                    Err(_) => tokio::time::sleep(POLL).await,
                }
            }
        });
        let Ok(file) = opened.await else {
            tracing::warn!(
                "the refresh lock cannot be opened; other processes of this app are not waited for"
            );
            return Ok(Self(None));
        };
        let waited = tokio::time::timeout(LOCK_TIMEOUT, async {
            loop {
                match file.try_lock() {
                    Ok(()) | Err(TryLockError::Error(_)) => return,
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
                }
            }
        });
        match waited.await {
            Ok(()) => Ok(Self(Some(file))),
            Err(_) => Err(Error::new(
                ErrorKind::Network,
                "another process of this app has been refreshing the session for too long; \
                 the session is kept and will be tried again",
            )),
        }
    }
}

/// Whether somebody holds the lock at `path`: refreshes, or has tokens that the keychain has not taken.
pub(crate) fn is_held(path: Option<&Path>) -> bool {
    let file = path.and_then(|path| open(path).ok());
    file.is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a7_the_second_waits_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().join("new/refresh.lock"));
        assert!(!is_held(path.as_deref()) && !is_held(None));
        let first = RefreshLock::acquire(path.clone()).await.unwrap();
        assert!(is_held(path.as_deref()));
        let mut second = Box::pin(RefreshLock::acquire(path.clone()));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut second).await.is_err());
        drop(first);
        drop(second.await.unwrap());
        assert!(!is_held(path.as_deref()));
    }

    #[tokio::test(start_paused = true)]
    async fn a7_a_lock_file_that_cannot_be_opened_for_a_moment_is_waited_for_and_one_that_never_can_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (in_the_way, path) = (dir.path().join("way"), dir.path().join("way/refresh.lock"));
        std::fs::write(&in_the_way, "").unwrap();
        drop(RefreshLock::acquire(Some(path.clone())).await.expect("a refresh does not wait for ever"));

        let mut waiting = Box::pin(RefreshLock::acquire(Some(path.clone())));
        assert!(tokio::time::timeout(OPEN_PATIENCE / 2, &mut waiting).await.is_err());
        std::fs::remove_file(in_the_way).unwrap();
        let _held = waiting.await.unwrap();
        assert!(is_held(Some(&path)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_holder_is_given_up_on_and_the_error_can_be_retried() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().join("refresh.lock"));
        let _frozen = RefreshLock::acquire(path.clone()).await.unwrap();
        assert!(RefreshLock::acquire(path).await.unwrap_err().is_retryable());
    }
}
