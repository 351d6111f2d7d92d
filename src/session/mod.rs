//! The life of a session, in the order a user lives it.
//!
//! 1. **Restore** (`restore`). The app starts; the keychain is asked on a thread of its own while the app's window
//!    opens. What it holds is checked like any other input. A keychain that is locked or silent is not "signed out":
//!    the session stays `restoring` until it answers.
//! 2. **Sign-in** (`sign_in`, `vetting`). The page hands over what the OTPless SDK gave it. Both tokens are verified, stored,
//!    read back, and only then is anybody told. A session that was there before is revoked, never merged.
//! 3. **Being signed in** (`task`, `schedule`, `activity`). A loop that sleeps until something is due: renew the
//!    token in its last fifth, warn before inactivity ends the session, ask the server now and then after real
//!    activity. Every deadline is kept by the server's time, as far as it is known, and is checked at every look, so a
//!    machine that slept through its timers is right the moment anyone asks; `sleep` gives its network time to come back. `budget` bounds what may be asked of the
//!    server whatever goes wrong; `verify` and `details` are the questions, `credential` is what calls to the app's own
//!    backend carry.
//! 4. **Refresh** (`refresh`, `rotated`, `adopt`, `lock`). One exchange at a time, in this process and among its peers, detached from
//!    whoever asked, stored before it is used. What it brings and cannot be verified yet has a way back (`proven`).
//! 5. **The end** (`revocation`). By the user, a deadline or the server's verdict (7414, 7415), and nothing else.
//!    A new generation begins, so nothing under way can bring the old session back; the keychain is erased; the
//!    server is told now or as soon as it can be, also after a restart.
//!
//! Several processes of one app share one session: the keychain, lock files, and lines of text in files (`peers`, `shared_time`,
//! `damage`) that say what the keychain holds and whether it was found damaged, when the user was last active and when they
//! signed out, which sessions are over, and what time it is. Who reads one of these lines looks at the keychain again or ends the
//! session; no line can bring a session about.
//!
//! `state` holds the session and every change it may go through, without I/O, `upcoming` what it has ahead of it, `server_time` what it knows of
//! the time; `manager`, which is made of `parts`, is its only writer;
//! `snapshot` is what the world may see and `shown` what it sees. Nothing here knows of Tauri.

pub mod activity;
mod adopt;
mod budget;
pub(crate) mod credential;
mod damage;
pub(crate) mod details;
mod live;
pub(crate) mod lock;
pub(crate) mod manager;
mod parts;
mod peers;
mod presence;
mod proven;
mod refresh;
mod remembered;
mod restore;
mod retry;
mod revocation;
mod rotated;
mod said;
pub(crate) mod schedule;
mod server_time;
mod shared_time;
mod shown;
mod sign_in;
mod sleep;
pub mod snapshot;
mod state;
mod task;
mod under_way;
mod upcoming;
mod verify;
mod vetting;

pub use manager::{MIN_EXCHANGE_INTERVAL, RESTORE_WAIT, SessionManager};
pub use parts::{MakeStore, Parts};
pub use verify::{DEFAULT_MIN_VALIDITY, ValidToken};
