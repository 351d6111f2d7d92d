//! One call that is not over: what its page does with it, a piece at a time.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use super::{
    answer::Answer,
    ask::Ask,
    desk::{Owner, Shares},
    exchange::{Exchange, Head},
    scope::Scope,
    upload::{MAX_PIECE, Piece, Source, Upload},
};
use crate::{
    SessionManager,
    api::http::HttpClient,
    error::{Error, ErrorKind, Result},
};

/// A call between being asked for and being over.
pub(crate) struct Call {
    owner: Owner,
    shares: Arc<Shares>,
    ended: watch::Sender<bool>,
    /// Whether its request has its place among those under way.
    under_way: watch::Sender<bool>,
    use_: Mutex<Use>,
    /// Apart from the stage, because a stream is written while its request is under way.
    upload: tokio::sync::Mutex<Upload>,
    stage: tokio::sync::Mutex<Stage>,
}

/// When the page last did something with it.
#[derive(Debug)]
struct Use {
    at: Instant,
    /// Whether the page is waiting for something: then it is not idle, however long that takes.
    waiting: usize,
}

enum Stage {
    Asked(Box<Asked>),
    Answered(Box<Answer>),
    Over,
}

struct Asked {
    ask: Ask,
    scope: Scope,
    /// `None` for a whole body, which comes from the upload when it is complete.
    source: Option<Source>,
    /// The session that was there; `None` if there was none.
    session: Option<u64>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Call {
    pub(crate) fn new(
        owner: Owner,
        ask: Ask,
        scope: Scope,
        session: Option<u64>,
        shares: Arc<Shares>,
    ) -> Self {
        let (upload, source) = Upload::new(ask.body, &shares.bodies);
        Self {
            owner,
            shares,
            ended: watch::Sender::new(false),
            under_way: watch::Sender::new(false),
            use_: Mutex::new(Use { at: Instant::now(), waiting: 0 }),
            upload: tokio::sync::Mutex::new(upload),
            stage: tokio::sync::Mutex::new(Stage::Asked(Box::new(Asked { ask, scope, source, session }))),
        }
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Takes the next piece of the body; an empty one is its end. Waits for the network with a stream.
    pub(crate) async fn write(&self, piece: &[u8]) -> Result<()> {
        if piece.len() > MAX_PIECE {
            return Err(Error::invalid_argument(
                "a piece of the body is larger than 1 MiB; send it in smaller ones",
            ));
        }
        let mut upload = self.upload.try_lock().map_err(|_| one_at_a_time("written"))?;
        // No waiting in the sense of `idle`: the page waits for the answer meanwhile, or for nothing that will ever come.
        let _touched = Touched(self);
        match &mut *upload {
            Upload::Over | Upload::Complete(_) => {
                Err(Error::invalid_argument("the request has no body, or all of it has been written"))
            }
            Upload::Whole(_) if piece.is_empty() => {
                if let Upload::Whole(whole) = mem::replace(&mut *upload, Upload::Over) {
                    *upload = Upload::Complete(whole.complete());
                }
                Ok(())
            }
            Upload::Whole(whole) => whole.push(piece),
            Upload::Stream(pieces) => {
                let over = piece.is_empty();
                let taken = tokio::select! {
                    biased;
                    () = self.ended() => return Err(ended()),
                    taken = async {
                        // Until then nobody takes it, and what is not taken stays out of memory.
                        self.until_under_way().await;
                        let piece = if over { Piece::End } else { Piece::Bytes(Bytes::copy_from_slice(piece)) };
                        pieces.send(piece).await
                    } => taken,
                };
                if over || taken.is_err() {
                    *upload = Upload::Over;
                }
                taken.map_err(|_| {
                    Error::new(ErrorKind::Network, "nobody takes the body any more: the request is over")
                        .with_code("9101")
                })
            }
        }
    }

    /// Makes the request, when it is its page's turn.
    pub(crate) async fn send(&self, manager: &SessionManager, http: &HttpClient) -> Result<Head> {
        let mut stage = self.stage.try_lock().map_err(|_| one_at_a_time("sent"))?;
        let Stage::Asked(asked) = &mut *stage else {
            return Err(Error::invalid_argument("the request has been sent already"));
        };
        let source = match asked.source.take() {
            Some(source) => source,
            None => self.collected()?,
        };
        let Stage::Asked(asked) = mem::replace(&mut *stage, Stage::Over) else { return Err(ended()) };
        let Asked { ask, scope, session, .. } = *asked;
        let _waiting = self.waiting();
        let outcome = tokio::select! {
            biased;
            () = self.ended() => return Err(ended()),
            outcome = async {
                let place = self.shares.under_way.take(1).await;
                self.under_way.send_replace(true);
                Exchange::new(manager, http, scope, ask.redirect, source, session, place).run(ask).await
            } => outcome,
        };
        let (head, answer) = outcome?;
        if let Some(answer) = answer {
            *stage = Stage::Answered(Box::new(answer));
        }
        Ok(head)
    }

    fn collected(&self) -> Result<Source> {
        let incomplete = || Error::invalid_argument("the body is not complete; nothing was sent");
        let mut upload = self.upload.try_lock().map_err(|_| incomplete())?;
        match mem::replace(&mut *upload, Upload::Over) {
            Upload::Complete(source) => Ok(source),
            other => {
                *upload = other;
                Err(incomplete())
            }
        }
    }

    /// The next piece of the answer's body, empty at its end.
    pub(crate) async fn read(&self) -> Result<Vec<u8>> {
        let mut stage = self.stage.try_lock().map_err(|_| one_at_a_time("read"))?;
        let Stage::Answered(answer) = &mut *stage else {
            return Err(Error::invalid_argument("there is no answer to read; send the request first"));
        };
        let _waiting = self.waiting();
        let piece = tokio::select! {
            biased;
            () = self.ended() => return Err(ended()),
            piece = answer.next_piece() => piece,
        };
        if !matches!(&piece, Ok(piece) if !piece.is_empty()) {
            *stage = Stage::Over;
        }
        piece
    }

    /// Whether there is nothing more to be had of it, and nothing more to be sent: an answer may come before its request is
    /// complete.
    pub(crate) fn is_over(&self) -> bool {
        // Whoever holds a lock has not done with it.
        self.stage.try_lock().is_ok_and(|stage| matches!(*stage, Stage::Over))
            && self.upload.try_lock().is_ok_and(|upload| upload.is_over())
    }

    /// Whatever is under way for it stops, and nothing begins any more.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    // The senders are ours, so there is always somebody to hear from.

    async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    async fn until_under_way(&self) {
        let _ = self.under_way.subscribe().wait_for(|under_way| *under_way).await;
    }

    /// For how long its page has done nothing with it and waited for nothing.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        let used = self.used();
        if used.waiting > 0 { Duration::ZERO } else { now.saturating_duration_since(used.at) }
    }

    fn used(&self) -> MutexGuard<'_, Use> {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> Waiting<'_> {
        self.used().waiting += 1;
        Waiting(self)
    }
}

struct Waiting<'a>(&'a Call);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut used = self.0.used();
        used.waiting -= 1;
        used.at = Instant::now();
    }
}

/// Something is done with it, and then has been.
struct Touched<'a>(&'a Call);

impl Drop for Touched<'_> {
    fn drop(&mut self) {
        self.0.used().at = Instant::now();
    }
}

fn one_at_a_time(what: &str) -> Error {
    Error::invalid_argument(format!("a call is {what} one step at a time: wait for the one before"))
}

/// The call was ended from outside while something was waited for.
fn ended() -> Error {
    Error::new(
        ErrorKind::Network,
        "the call was given up: it was cancelled, its page went away, or nobody touched it for five minutes",
    )
}
