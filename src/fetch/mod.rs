//! Calls to the app's own backend, made here so that the page needs no token.
//!
//! The way of a call, in the order it takes it:
//!
//! 1. **Asked for** (`ask`, `scope`, `headers`). A page says what it wants; what comes over IPC is anybody's JSON, so all
//!    of it is checked here, and the URL must be in the scope of the page's permission. The call gets a number at the
//!    `desk`, which only the webview that asked can use and nobody guesses; how many there may be, of one page and of
//!    all, is bounded (`share`).
//! 2. **The body** (`upload`). Pieces of at most 1 MiB. A whole body is kept until the call is over and can be sent again;
//!    a stream goes through as the network takes it, and cannot.
//! 3. **Sent** (`exchange`, `attach`). The session is asked for anew for every request that goes out, with a token
//!    that is good for 30 s; without one nothing goes out. A 401 buys one renewal and one more try, if the renewal
//!    brought another token and the body can be sent again.
//! 4. **Redirected** (`redirect`). Followed here, step by step, because every step must be in the scope too, and the
//!    session goes no further than the origin it was meant for.
//! 5. **Answered** (`headers`). Cookies, what belongs to the connection, and whatever has the attached secret in it do not
//!    reach the page.
//! 6. **Read** (`answer`). Unpacked, a piece when the page asks for one, so a slow page slows the server down. Then the call is over;
//!    so it is when it is cancelled, when its page goes away, and when nobody touches it for five minutes.
//!
//! Rust code has the same through [`SessionManager::authorize`](crate::SessionManager::authorize) (`authorize`) and, with
//! the feature `middleware`, a middleware for reqwest (`middleware`). Nothing here knows of Tauri; `fetch_commands` does.

mod answer;
mod ask;
mod attach;
mod authorize;
mod call;
mod desk;
mod exchange;
mod headers;
#[cfg(feature = "middleware")]
mod middleware;
mod redirect;
mod scope;
mod share;
mod upload;

pub use ask::Ask;
pub use attach::{Attach, CookieValue};
pub use desk::{Desk, IDLE, MAX_OPEN, MAX_UNDER_WAY, Owner, SPARED};
pub use exchange::{AnswerBody, Head, Kind};
#[cfg(feature = "middleware")]
pub use middleware::SessionMiddleware;
pub use scope::{Entry, Scope};
pub use share::PAGES_SHARE;
