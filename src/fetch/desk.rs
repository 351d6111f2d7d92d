//! Every call that is not over, and whose it is; how many there may be (requirement D9).
//!
//! A table of our own and not Tauri's resource table, because a call can end without its page: when the page is left, when
//! nobody touches it, when there are too many. Its entry must go then, and Tauri's table neither says who has what nor
//! drops anything before its window is closed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::{
    ask::Ask,
    call::Call,
    exchange::{Head, NO_PROGRESS},
    scope::Scope,
    share::{PAGES_SHARE, Share, Supply},
    upload::MAX_KEPT_KIB,
};
use crate::{
    SessionManager,
    api::http::HttpClient,
    error::{Error, ErrorKind, Result},
};

/// Calls that there may be at a time in the whole app, half of them one page's: far more than a page has use for, and few
/// enough for the system's open sockets (1,024 on many).
pub const MAX_OPEN: usize = 256;

/// Requests at a time that wait for their answer or of which some is still to be sent, half of them one page's; others wait
/// their turn. A browser has six for a host.
pub const MAX_UNDER_WAY: usize = 32;

/// A call that its page neither uses nor waits on is dropped after this, and its connection with it.
pub const IDLE: Duration = NO_PROGRESS;

/// If there are too many, the one that has been idle longest makes room, but not before this. A page that looks only at
/// `response.ok` leaves the body unread, and a browser would collect it as garbage.
pub const SPARED: Duration = Duration::from_secs(10);

/// How often idle calls are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// Whose a call is: a webview, by its label and its window's.
///
/// Frames in a page are the page to Tauri on some systems, so a call's number is also what only those know who were told:
/// it is drawn at random. A webview that is closed while its window stays is not heard of; its calls end when they are over
/// or have been idle for [`IDLE`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The window's label.
    pub window: String,
    /// The webview's label.
    pub webview: String,
}

/// Where the calls of all pages are.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    manager: SessionManager,
    http: HttpClient,
    calls: Mutex<Calls>,
    under_way: Supply,
    bodies: Supply,
}

/// What the calls of one page have together.
#[derive(Debug)]
pub(crate) struct Shares {
    pub(crate) under_way: Share,
    /// In KiB.
    pub(crate) bodies: Share,
}

impl Shares {
    fn are_whole(&self) -> bool {
        self.under_way.is_whole() && self.bodies.is_whole()
    }
}

#[derive(Debug, Default)]
struct Calls {
    open: BTreeMap<u64, Arc<Call>>,
    /// Of the pages that have calls, or have had one of which some is still being sent.
    shares: HashMap<Owner, Arc<Shares>>,
    /// Whether somebody looks for idle ones.
    swept: bool,
}

impl Desk {
    /// A desk without calls.
    pub fn new(manager: SessionManager, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            manager,
            http,
            calls: Mutex::default(),
            under_way: Supply::new(MAX_UNDER_WAY),
            bodies: Supply::new(MAX_KEPT_KIB),
        }))
    }

    /// Takes a call in; answers its number, which is good for `owner` alone. In a tokio runtime.
    ///
    /// # Errors
    ///
    /// `NotPermitted` if its URL is not in the scope, `RateLimited` if there are too many.
    pub fn open(&self, owner: Owner, ask: Ask, scope: Scope) -> Result<u64> {
        scope.check(&ask.url)?;
        let session = self.0.manager.session_here();
        let mut calls = self.0.calls();
        if calls.open.values().filter(|call| *call.owner() == owner).count() >= MAX_OPEN / PAGES_SHARE {
            calls.make_room(|call| *call.owner() == owner)?;
        }
        if calls.open.len() >= MAX_OPEN {
            calls.make_room(|_| true)?;
        }
        let number = calls.new_number()?;
        let shares = self.0.shares(&mut calls, &owner);
        calls.open.insert(number, Arc::new(Call::new(owner, ask, scope, session, shares)));
        if !std::mem::replace(&mut calls.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
        Ok(number)
    }

    /// Takes the next piece of a request's body, at most 1 MiB; an empty one is its end. Waits for the network with a
    /// stream.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if there is no such call or nothing more to write, `RateLimited` if bodies take up too much memory,
    /// `Network` if nobody takes the piece.
    pub async fn write(&self, owner: &Owner, number: u64, piece: &[u8]) -> Result<()> {
        let call = self.call(owner, number)?;
        let outcome = call.write(piece).await;
        self.forget_if_over(&call, number);
        outcome
    }

    /// Makes the request; answers the head of its answer.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if there is no such call or it cannot be sent; `NotSignedIn` before anything is sent;
    /// `SessionChanged` if another session began since the call was asked for; `Network` without an answer;
    /// `NotPermitted` and `Server` for redirects that cannot be followed.
    pub async fn send(&self, owner: &Owner, number: u64) -> Result<Head> {
        let call = self.call(owner, number)?;
        let outcome = call.send(&self.0.manager, &self.0.http).await;
        self.forget_if_over(&call, number);
        outcome
    }

    /// The next piece of an answer's body, empty at its end.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if there is no such call or no answer yet; `Network` if the body breaks off.
    pub async fn read(&self, owner: &Owner, number: u64) -> Result<Vec<u8>> {
        let call = self.call(owner, number)?;
        let outcome = call.read().await;
        self.forget_if_over(&call, number);
        outcome
    }

    /// Gives a call up, whatever is under way for it. One that is over already is none the worse for it.
    pub fn cancel(&self, owner: &Owner, number: u64) {
        if self.call(owner, number).is_ok() {
            self.forget(number);
        }
    }

    /// Gives up the calls of a webview whose page is being left.
    pub fn page_left(&self, webview: &str) {
        self.end_those(|call, _| call.owner().webview == webview);
    }

    /// Gives up the calls of a window that is gone.
    pub fn window_closed(&self, window: &str) {
        self.end_those(|call, _| call.owner().window == window);
    }

    fn call(&self, owner: &Owner, number: u64) -> Result<Arc<Call>> {
        let calls = self.0.calls();
        calls.open.get(&number).filter(|call| call.owner() == owner).cloned().ok_or_else(|| {
            Error::invalid_argument(
                "there is no such call: it is over, was cancelled, or nobody touched it for five minutes",
            )
        })
    }

    fn forget_if_over(&self, call: &Call, number: u64) {
        if call.is_over() {
            self.forget(number);
        }
    }

    fn forget(&self, number: u64) {
        if let Some(call) = self.0.calls().open.remove(&number) {
            call.end();
        }
    }

    fn end_those(&self, which: impl Fn(&Call, Instant) -> bool) {
        self.0.calls().end_those(which);
    }
}

impl Inner {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shares(&self, calls: &mut Calls, owner: &Owner) -> Arc<Shares> {
        if let Some(shares) = calls.shares.get(owner) {
            return shares.clone();
        }
        calls.shares.retain(|_, shares| Arc::strong_count(shares) > 1 || !shares.are_whole());
        let shares = Shares { under_way: self.under_way.share(), bodies: self.bodies.share() };
        let shares = Arc::new(shares);
        calls.shares.insert(owner.clone(), shares.clone());
        shares
    }
}

impl Calls {
    fn end_those(&mut self, which: impl Fn(&Call, Instant) -> bool) {
        let now = Instant::now();
        self.open.retain(|_, call| {
            let over = which(call, now);
            if over {
                call.end();
            }
            !over
        });
    }

    /// A number that nobody guesses and that JavaScript keeps: its integers are exact below 2⁵³.
    fn new_number(&self) -> Result<u64> {
        loop {
            let mut bytes = [0; 8];
            SystemRandom::new()
                .fill(&mut bytes)
                .map_err(|_| Error::internal("the system has no random numbers; nothing was sent"))?;
            let number = u64::from_le_bytes(bytes) >> (64 - 53);
            if !self.open.contains_key(&number) {
                return Ok(number);
            }
        }
    }

    /// Ends the call that has been idle longest of those.
    fn make_room(&mut self, of: impl Fn(&Call) -> bool) -> Result<()> {
        let now = Instant::now();
        let idle =
            self.open.iter().filter(|(_, call)| of(call)).map(|(number, call)| (call.idle(now), *number));
        match idle.max() {
            Some((idle, number)) if idle >= SPARED => {
                if let Some(call) = self.open.remove(&number) {
                    call.end();
                }
                Ok(())
            }
            _ => Err(Error::new(
                ErrorKind::RateLimited,
                format!(
                    "{} calls to your backend are open in this window, or {MAX_OPEN} in the app, and all of them are in \
                     use; nothing was sent. Wait until some are over, read answers to their end, or cancel them",
                    MAX_OPEN / PAGES_SHARE
                ),
            )),
        }
    }
}

/// Drops idle calls for as long as there are any calls.
async fn sweep(desk: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(desk) = desk.upgrade() else { return };
        let mut calls = desk.calls();
        calls.end_those(|call, now| call.idle(now) >= IDLE);
        if calls.open.is_empty() {
            calls.swept = false;
            return;
        }
    }
}
