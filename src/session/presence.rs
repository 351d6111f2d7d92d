//! Whether a process of the app has the session: it can write anew what rots in the keychain.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::lock::is_held;
use crate::lock_file::open;

/// A lock that processes share while they show a session. The operating system lets go of it however its holder dies.
#[derive(Debug)]
pub(super) struct Presence {
    path: Option<PathBuf>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
enum Told {
    #[default]
    Nothing,
    /// That a session is shown, for as long as this lives.
    Shown(#[expect(dead_code, reason = "dropping it unlocks")] File),
    /// There is no way to tell: this process counts as one that shows none.
    Nobody,
}

impl Presence {
    pub(super) fn at(path: Option<PathBuf>) -> Self {
        // One app is one process there, and iOS ends an app that keeps a lock while it is suspended.
        let path = path.filter(|_| !cfg!(any(target_os = "ios", target_os = "android")));
        Self { path, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is nothing to [`tell`](Self::tell) of a process that shows a session or, without `shown`, none.
    pub(super) fn is_told(&self, shown: bool) -> bool {
        shown != matches!(*self.told(), Told::Nothing)
    }

    /// Tells the other processes what `shown` says of this one by now.
    pub(super) fn tell(&self, shown: impl FnOnce() -> bool) {
        let mut told = self.told();
        if !shown() {
            *told = Told::Nothing;
        } else if let Told::Nothing = *told {
            let file = self.path.as_deref().map(open);
            *told = match file {
                Some(Ok(file)) => match file.try_lock_shared() {
                    Ok(()) => Told::Shown(file),
                    // Somebody is asking at this very moment: the next look tells.
                    Err(TryLockError::WouldBlock) => Told::Nothing,
                    Err(TryLockError::Error(_)) => Told::Nobody,
                },
                Some(Err(_)) | None => Told::Nobody,
            };
        }
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
        assert!(one.is_told(true) && two.is_told(true) && starting.of_another());
        one.tell(|| true);
        one.tell(|| false);
        assert!(one.is_told(false) && !one.is_told(true) && starting.of_another());
        drop(two);
        assert!(!starting.of_another());
        let nowhere = Presence::at(None);
        nowhere.tell(|| true);
        assert!(nowhere.is_told(true) && !nowhere.of_another(), "and it is not tried again and again");
        // Who asks and who tells at the same moment.
        let asking = open(starting.path.as_deref().unwrap()).unwrap();
        asking.try_lock().unwrap();
        one.tell(|| true);
        assert!(!one.is_told(true));
        drop(asking);
        one.tell(|| true);
        assert!(one.is_told(true) && starting.of_another());
    }
}
