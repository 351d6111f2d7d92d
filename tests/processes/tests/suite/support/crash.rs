//! GNOME Keyring's own crash: it looks a client up that it has not noted yet when a new connection's first message is
//! `OpenSession`, and traps (its issues 190, 196 and 199). On a desktop systemd starts it again; here the scene is played
//! again from its beginning, and only for this signal.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
};

use super::{Desktop, Display};

const SIGTRAP: i32 = 5;
const TAKES: usize = 3;

tokio::task_local! {
    static CRASHED: Arc<AtomicBool>;
}

/// Told by a desktop whose keychain service runs in the scene that [`play`] plays.
#[derive(Clone, Debug)]
pub(super) struct Crash(Option<Arc<AtomicBool>>);

impl Crash {
    pub(super) fn of_this_scene() -> Self {
        Self(CRASHED.try_with(Arc::clone).ok())
    }

    pub(super) fn note(&self, status: ExitStatus) {
        use std::os::unix::process::ExitStatusExt;

        if let Some(crashed) = &self.0
            && status.signal() == Some(SIGTRAP)
        {
            crashed.store(true, Ordering::Relaxed);
        }
    }
}

async fn caught(mut playing: Pin<&mut impl Future<Output = ()>>) -> thread::Result<()> {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| playing.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Plays `scene`, and once more if it failed because the keychain service crashed by itself.
pub(crate) async fn play(scene: impl AsyncFn()) {
    for take in 1..=TAKES {
        let crashed = Arc::new(AtomicBool::new(false));
        let playing = CRASHED.scope(crashed.clone(), scene());
        match caught(pin!(playing)).await {
            Ok(()) => return,
            Err(_) if crashed.load(Ordering::Relaxed) && take < TAKES => {
                eprintln!("The keychain service crashed by itself; the scene is played again.");
            }
            Err(panic) => resume_unwind(panic),
        }
    }
}

#[tokio::test]
async fn a_scene_is_played_again_after_a_crash_of_the_keychain_service_and_for_no_other_reason() {
    let takes = AtomicUsize::new(0);
    play(async || {
        let mut desktop = Desktop::start(Display::None);
        if takes.fetch_add(1, Ordering::Relaxed) == 0 {
            desktop.crash_keyring();
            panic!("the scene needs a keychain");
        }
    })
    .await;
    assert_eq!(takes.into_inner(), 2);

    let takes = AtomicUsize::new(0);
    let failing = play(async || {
        let mut desktop = Desktop::start(Display::None);
        takes.fetch_add(1, Ordering::Relaxed);
        desktop.kill_keyring();
        panic!("a failure of ours");
    });
    assert!(caught(pin!(failing)).await.is_err());
    assert_eq!(takes.into_inner(), 1);
}
