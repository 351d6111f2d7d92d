//! The body of a request, on its way from the page to the network.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::mpsc, time::Instant};

use super::{
    ask::BodyKind,
    share::{PAGES_SHARE, Place, Share, Taken},
};
use crate::error::{Error, ErrorKind, Result};

/// Largest piece that a page hands over at a time, in bytes.
pub(crate) const MAX_PIECE: usize = 1024 * 1024;

/// Largest body that is kept so that it can be sent again; a larger one has to be a stream.
pub(crate) const MAX_WHOLE: usize = 64 * 1024 * 1024;

/// How much of such bodies there is at a time in the whole app, in KiB: 256 MiB, four of the largest. A stream takes none of it:
/// of one that is under way three pieces are here at most, of one that waits for its turn the one its page is writing.
pub(crate) const MAX_KEPT_KIB: usize = 256 * 1024;

/// What a body is cut into for the network, so that it shows how far it has got.
const SLICE: usize = 64 * 1024;

/// A page's end of a body.
#[derive(Debug)]
pub(crate) enum Upload {
    /// There is none, or all of it has been handed over.
    Over,
    Whole(Whole),
    /// All of it is here and nobody has asked for it yet.
    Complete(Source),
    /// Bounded, so that a page waits for the network.
    Stream(mpsc::Sender<Piece>),
}

/// A body that is being collected.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: Vec<u8>,
    room: Share,
    taken: Vec<Taken>,
}

/// A body that is here as a whole, with the room it takes: the network lets go of it when it has been sent or its connection
/// is over, which may be long after the answer.
struct Kept {
    bytes: Vec<u8>,
    _taken: Vec<Taken>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What goes through a stream. Its end is said, because a page that goes away is not one.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    End,
}

/// The network's end of a body.
#[derive(Debug)]
pub(crate) enum Source {
    None,
    Whole(Bytes),
    Stream(Option<mpsc::Receiver<Piece>>),
}

impl Upload {
    /// Both ends of a body of that kind. A whole one has its other end when it is complete.
    pub(crate) fn new(kind: BodyKind, room: &Share) -> (Self, Option<Source>) {
        match kind {
            BodyKind::None => (Self::Over, Some(Source::None)),
            BodyKind::Whole => {
                (Self::Whole(Whole { bytes: Vec::new(), room: room.clone(), taken: Vec::new() }), None)
            }
            BodyKind::Stream => {
                let (sender, receiver) = mpsc::channel(1);
                (Self::Stream(sender), Some(Source::Stream(Some(receiver))))
            }
        }
    }
}

impl Upload {
    /// Whether there is nothing more to be written, or nobody takes it any more.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Over => true,
            Self::Stream(pieces) => pieces.is_closed(),
            Self::Whole(_) | Self::Complete(_) => false,
        }
    }
}

impl Whole {
    /// # Errors
    ///
    /// `InvalidArgument` if the body becomes too large, `RateLimited` if there are too many of them.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<()> {
        if self.bytes.len() + piece.len() > MAX_WHOLE {
            return Err(Error::invalid_argument(format!(
                "the body is larger than {} MiB; one that large must be a stream. Nothing was sent",
                MAX_WHOLE / (1024 * 1024)
            )));
        }
        let Some(taken) = self.room.try_take(kib(piece)) else {
            return Err(Error::new(
                ErrorKind::RateLimited,
                format!(
                    "the bodies that are being sent are more than {} MiB in this window or {} MiB in the app; wait \
                     until some have been sent, or send streams. Nothing was sent",
                    MAX_KEPT_KIB / PAGES_SHARE / 1024,
                    MAX_KEPT_KIB / 1024
                ),
            ));
        };
        self.taken.push(taken);
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    pub(crate) fn complete(self) -> Source {
        Source::Whole(Bytes::from_owner(Kept { bytes: self.bytes, _taken: self.taken }))
    }
}

/// The room that a piece takes.
fn kib(piece: &[u8]) -> u32 {
    u32::try_from(piece.len().div_ceil(1024)).unwrap_or(u32::MAX)
}

impl Source {
    /// Whether [`body`](Self::body) gives the same body another time.
    pub(crate) fn can_be_sent_again(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }

    /// The body as the HTTP client takes it, which keeps `place` until it lets go of it; a stream is one that breaks off if it
    /// is asked for twice.
    pub(crate) fn body(&mut self, progress: &Progress, place: &Arc<Place>) -> Option<reqwest::Body> {
        let inner = match self {
            Self::None => return None,
            Self::Whole(bytes) => Inner::Whole(bytes.clone()),
            Self::Stream(receiver) => receiver.take().map_or(Inner::Broken, Inner::Stream),
        };
        Some(reqwest::Body::wrap(Outgoing { inner, progress: progress.clone(), _place: place.clone() }))
    }
}

/// When the network last took something.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For as long as somebody makes any.
    pub(crate) fn of_body(&self) -> ProgressOfBody {
        ProgressOfBody(Arc::downgrade(&self.0))
    }
}

/// The progress of a body that nobody may be sending any more.
#[derive(Debug)]
pub(crate) struct ProgressOfBody(Weak<Mutex<Instant>>);

impl ProgressOfBody {
    pub(crate) fn last(&self) -> Option<Instant> {
        self.0.upgrade().map(|last| Progress(last).last())
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Progress({:?} ago)", self.last().elapsed())
    }
}

#[derive(Debug)]
struct Outgoing {
    inner: Inner,
    progress: Progress,
    _place: Arc<Place>,
}

#[derive(Debug)]
enum Inner {
    Whole(Bytes),
    Stream(mpsc::Receiver<Piece>),
    Broken,
    Over,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let frame = match &mut this.inner {
            Inner::Whole(bytes) if bytes.is_empty() => None,
            Inner::Whole(bytes) => Some(Ok(bytes.split_to(bytes.len().min(SLICE)))),
            Inner::Stream(pieces) => match ready!(pieces.poll_recv(cx)) {
                Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
                Some(Piece::End) => None,
                None => Some(Err(io::Error::other("the page broke the body off"))),
            },
            Inner::Broken => Some(Err(io::Error::other("a stream cannot be sent twice"))),
            Inner::Over => None,
        };
        this.progress.made();
        if !matches!(frame, Some(Ok(_))) {
            this.inner = Inner::Over;
        }
        Poll::Ready(frame.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(_) | Inner::Broken => SizeHint::default(),
            Inner::Over => SizeHint::with_exact(0),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Stream(_) | Inner::Broken => false,
            Inner::Over => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;
    use crate::fetch::share::Supply;

    async fn read(body: reqwest::Body) -> std::result::Result<Vec<u8>, reqwest::Error> {
        let mut body = pin!(body);
        let mut read = Vec::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            read.extend(frame?.into_data().expect("no trailers"));
        }
        Ok(read)
    }

    fn place() -> Arc<Place> {
        Place::new(room(1).try_take(1).expect("there is one"))
    }

    /// For two pages alike.
    fn room(kib: usize) -> Share {
        Supply::new(PAGES_SHARE * kib).share()
    }

    fn whole(room: &Share) -> Whole {
        match Upload::new(BodyKind::Whole, room) {
            (Upload::Whole(whole), None) => whole,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_whole_body_says_how_long_it_is_and_can_be_sent_again() {
        let room = room(1024);
        let mut body = whole(&room);
        let content: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        for piece in content.chunks(77_777) {
            body.push(piece).unwrap();
        }
        let mut source = body.complete();
        assert!(source.can_be_sent_again());
        for _ in 0..2 {
            let body = source.body(&Progress::new(), &place()).expect("there is one");
            assert_eq!(body.size_hint().exact(), Some(200_000));
            assert_eq!(read(body).await.unwrap(), content);
        }
        let sent = source.body(&Progress::new(), &place());
        drop(source);
        assert!(room.try_take(1024).is_none(), "it is still being sent");
        drop(sent);
        assert!(room.try_take(1024).is_some());
    }

    #[test]
    fn d9_what_is_kept_is_bounded() {
        let room = room(3);
        let (mut one, mut other) = (whole(&room), whole(&room));
        one.push(&[0; 2048]).unwrap();
        assert_eq!(other.push(&[0; 2048]).unwrap_err().kind(), ErrorKind::RateLimited);
        drop(one);
        other.push(&[0; 2048]).unwrap();
        let piece = vec![0; MAX_WHOLE + 1];
        assert_eq!(other.push(&piece).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[tokio::test]
    async fn a_stream_waits_for_the_network_and_its_end_is_said() {
        let (Upload::Stream(pieces), Some(mut source)) = Upload::new(BodyKind::Stream, &room(0)) else {
            panic!("a stream has two ends");
        };
        assert!(!source.can_be_sent_again());
        pieces.try_send(Piece::Bytes(Bytes::from_static(b"one "))).unwrap();
        assert!(pieces.try_send(Piece::End).is_err(), "nobody has taken the first");
        let body = source.body(&Progress::new(), &place()).expect("there is one");
        assert_eq!(body.size_hint().exact(), None);
        let reading = tokio::spawn(read(body));
        pieces.send(Piece::Bytes(Bytes::from_static(b"two"))).await.unwrap();
        pieces.send(Piece::End).await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), b"one two");
        let again = source.body(&Progress::new(), &place()).expect("there is one");
        assert!(read(again).await.is_err(), "what is gone does not look like an empty body");
    }

    #[tokio::test]
    async fn a_page_that_goes_away_is_not_the_end_of_its_body() {
        let (Upload::Stream(pieces), Some(mut source)) = Upload::new(BodyKind::Stream, &room(0)) else {
            panic!("a stream has two ends");
        };
        let body = source.body(&Progress::new(), &place()).expect("there is one");
        pieces.try_send(Piece::Bytes(Bytes::from_static(b"half"))).unwrap();
        drop(pieces);
        assert!(read(body).await.is_err());
    }
}
