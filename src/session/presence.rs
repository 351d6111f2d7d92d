//! Whether a process of the app has the session: it can write anew what rots in the keychain.

use std::{
    fs::File,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::lock::is_held;
use crate::lock_file::open;

/// A lock that processes share while they show a session. The operating system lets go of it however its holder dies.
#[derive(Debug)]
pub(super) struct Presence {
    path: Option<PathBuf>,
    held: Mutex<Option<File>>,
}

impl Presence {
    pub(super) fn at(path: Option<PathBuf>) -> Self {
        // One app is one process there, and iOS ends an app that keeps a lock while it is suspended.
        let path = path.filter(|_| !cfg!(any(target_os = "ios", target_os = "android")));
        Self { path, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Option<File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_told(&self) -> bool {
        self.held().is_some()
    }

    /// Tells the other processes what `shown` says of this one by now. Where the lock cannot be had nobody hears of it.
    pub(super) fn tell(&self, shown: impl FnOnce() -> bool) {
        let mut held = self.held();
        *held = match held.take() {
            _ if !shown() => None,
            None => self.path.as_deref().and_then(|path| {
                let file = open(path).ok()?;
                // Somebody may be asking at this very moment: the next look tries again.
                file.try_lock_shared().ok().map(|()| file)
            }),
            held => held,
        };
    }

    /// Whether a process shows a session, asked by one that shows none.
    pub(super) fn of_another(&self) -> bool {
        is_held(self.path.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_a_session_is_seen_until_it_shows_none_or_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let process = || Presence::at(Some(dir.path().join("new/session.lock")));
        let (one, two, starting) = (process(), process(), process());
        assert!(!starting.of_another());
        one.tell(|| true);
        two.tell(|| true);
        assert!(one.is_told() && two.is_told() && starting.of_another());
        one.tell(|| true);
        one.tell(|| false);
        assert!(!one.is_told() && starting.of_another());
        drop(two);
        assert!(!starting.of_another());
        let nowhere = Presence::at(None);
        nowhere.tell(|| true);
        assert!(!nowhere.is_told() && !nowhere.of_another());
    }
}
