//! One step on the keychain at a time among the processes of one app, because "read, compare, write" on a keychain is three
//! calls.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use super::StoreError;
use crate::lock_file;

/// How long a step waits for another process to finish its own: a thousand times what one takes.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Between two tries. The system has no wait with a bound for this lock; its holder needs milliseconds.
const POLL: Duration = Duration::from_millis(5);

/// Held while it lives; the operating system lets go of it when the process dies, however it dies.
pub(super) struct StoreLock(#[expect(dead_code, reason = "dropping it unlocks")] Option<File>);

impl StoreLock {
    /// Without a path there is only this process. A directory that cannot be written leaves it alone, too, which is no reason to
    /// lose its session.
    pub(super) fn take(path: Option<&PathBuf>) -> Result<Self, StoreError> {
        let Some(file) = path.and_then(|path| lock_file::open(path).ok()) else { return Ok(Self(None)) };
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(Some(file))),
                Err(TryLockError::Error(_)) => return Ok(Self(None)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(StoreError::Unavailable(
                        "another process of this app is using it and does not finish",
                    ));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(POLL),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_finish_is_said_and_who_is_gone_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/store.lock");
        let held = StoreLock::take(Some(&path)).unwrap();
        assert!(matches!(StoreLock::take(Some(&path)), Err(StoreError::Unavailable(_))));
        drop(held);
        assert!(StoreLock::take(Some(&path)).is_ok() && StoreLock::take(None).is_ok());
        std::fs::write(dir.path().join("way"), "").unwrap();
        assert!(StoreLock::take(Some(&dir.path().join("way/store.lock"))).is_ok(), "no place for the file");
    }
}
