//! The body of an answer, on its way from the network to the page.

use std::{fmt, future::poll_fn, io, mem, pin::Pin, task::Poll};

use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::Bytes;
use http_body_util::BodyDataStream;
use reqwest::{
    Response,
    header::{CONTENT_ENCODING, HeaderMap},
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::io::{StreamReader, poll_read_buf};

use crate::error::{Error, ErrorKind, Result};

/// As much of an answer as is handed over at a time, if it is there already: IPC costs more per piece than per byte.
const READ_AT_ONCE: usize = 256 * 1024;

/// What can be unpacked, as `Accept-Encoding` says it. Not brotli: its decoder keeps a window as large as the answer
/// asks for, up to a gibibyte; with these two it is 32 KiB (RFC 1951 §2).
pub(crate) const UNPACKED: &str = "gzip, deflate";

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// `None` for what is not packed, and for what is packed in another way than was asked for: the page gets it as it
    /// is, and the header that says so.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut codings = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            // What is no text is no coding either.
            .flat_map(|value| value.to_str().unwrap_or("unknown").split(','))
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity");
        let coding = match codings.next()?.as_str() {
            // The same, by an older name (RFC 9110 §8.4.1.3).
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => return None,
        };
        codings.next().is_none().then_some(coding)
    }
}

type Packed = StreamReader<Errors<BodyDataStream<reqwest::Body>>, Bytes>;

/// An answer's body.
pub(crate) struct Answer {
    body: Body,
    /// Why it broke off, found out while there was something to hand over. It is not said a second time.
    then: Option<io::Error>,
}

enum Body {
    /// Nothing of it has been looked at.
    Packed(Packed, Coding),
    Plain(Box<dyn AsyncRead + Send + Unpin>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Answer {
    pub(crate) fn new(response: Response, coding: Option<Coding>) -> Self {
        let reader = StreamReader::new(Errors {
            pieces: BodyDataStream::new(reqwest::Body::from(response)),
            late: None,
        });
        let body = match coding {
            Some(coding) => Body::Packed(reader, coding),
            None => Body::Plain(Box::new(reader)),
        };
        Self { body, then: None }
    }

    /// Waits for a piece and takes along what else is there; empty at the end.
    ///
    /// # Errors
    ///
    /// `Network` if the connection was lost, `Server` if it cannot be unpacked.
    pub(crate) async fn next_piece(&mut self) -> Result<Vec<u8>> {
        if let Some(error) = self.then.take() {
            return Err(why(&error));
        }
        let body = self.body.open().await.map_err(|error| why(&error))?;
        let mut piece = Vec::with_capacity(READ_AT_ONCE);
        body.read_buf(&mut piece).await.map_err(|error| why(&error))?;
        while !piece.is_empty() && piece.len() < READ_AT_ONCE {
            let there = poll_fn(|cx| Poll::Ready(poll_read_buf(Pin::new(&mut *body), cx, &mut piece)));
            match there.await {
                // The end is found again.
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    self.then = Some(error);
                    break;
                }
            }
        }
        piece.shrink_to_fit();
        Ok(piece)
    }
}

impl Body {
    async fn open(&mut self) -> io::Result<&mut (dyn AsyncRead + Send + Unpin)> {
        if let Self::Packed(packed, coding) = self {
            let (first, coding) = (packed.fill_buf().await?.first().copied(), *coding);
            if let Self::Packed(packed, _) = mem::replace(self, Self::Plain(Box::new(tokio::io::empty()))) {
                *self = Self::Plain(unpacked(packed, coding, first));
            }
        }
        match self {
            Self::Plain(body) => Ok(body),
            Self::Packed(..) => Err(io::Error::other("a body that is still packed")),
        }
    }
}

fn unpacked(packed: Packed, coding: Coding, first: Option<u8>) -> Box<dyn AsyncRead + Send + Unpin> {
    match (coding, first) {
        // Nothing at all, as some servers answer where there is nothing to pack.
        (_, None) => Box::new(tokio::io::empty()),
        (Coding::Gzip, _) => {
            let mut decoder = GzipDecoder::new(packed);
            // One after the other is as good as one (RFC 1952 §2.2).
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        // RFC 1950: the lower four bits are the method, and 8 is the only one. Some servers leave that header out, which
        // every browser puts up with.
        (Coding::Deflate, Some(first)) if first & 0x0f == 8 => Box::new(ZlibDecoder::new(packed)),
        (Coding::Deflate, _) => Box::new(DeflateDecoder::new(packed)),
    }
}

/// Errors of the network, told apart from those of a decoder by what they are made of. An error comes one look later than it
/// happened: a decoder that is told of one throws away what it has unpacked just before.
struct Errors<S> {
    pieces: S,
    late: Option<io::Error>,
}

impl<S: futures_core::Stream<Item = reqwest::Result<Bytes>> + Unpin> futures_core::Stream for Errors<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(error) = self.late.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.pieces).poll_next(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.late = Some(io::Error::other(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(piece))) => Poll::Ready(Some(Ok(piece))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn why(error: &io::Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<reqwest::Error>()) {
        Error::new(
            ErrorKind::Network,
            "the connection was lost before the answer was complete; what has been read so far is all there is. The \
             session is kept",
        )
        .with_code("9101")
    } else {
        Error::new(
            ErrorKind::Server,
            "your backend's answer is not packed as its Content-Encoding says, or not completely; what has been read so \
             far is all there is. The session is kept",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Context};

    use http_body::Frame;

    use super::*;

    /// "unpacked" as gzip, as zlib's format and without its header.
    const GZIP: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 43, 205, 43, 72, 76, 206, 78, 77, 1, 0, 150, 98, 47, 202, 8, 0, 0, 0,
    ];
    const ZLIB: &[u8] = &[120, 156, 43, 205, 43, 72, 76, 206, 78, 77, 1, 0, 15, 50, 3, 76];
    const RAW: &[u8] = &[43, 205, 43, 72, 76, 206, 78, 77, 1, 0];

    /// A body all of which is there at once. After an error it says that it is over, as those of real connections do.
    struct There(VecDeque<io::Result<Bytes>>);

    impl http_body::Body for There {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(self.0.pop_front().map(|piece| piece.map(Frame::data)))
        }
    }

    fn answer(coding: Option<Coding>, pieces: impl IntoIterator<Item = io::Result<Bytes>>) -> Answer {
        let body = reqwest::Body::wrap(There(pieces.into_iter().collect()));
        Answer::new(http::Response::new(body).into(), coding)
    }

    fn piece(bytes: &'static [u8]) -> io::Result<Bytes> {
        Ok(Bytes::from_static(bytes))
    }

    async fn all(mut answer: Answer) -> Result<String> {
        let mut all = Vec::new();
        loop {
            match answer.next_piece().await? {
                piece if piece.is_empty() => return Ok(String::from_utf8(all).expect("text")),
                piece => all.extend(piece),
            }
        }
    }

    #[tokio::test]
    async fn what_is_there_is_handed_over_together_and_an_empty_piece_is_not_the_end() {
        let mut answer = answer(None, [piece(b""), piece(b"one "), piece(b""), piece(b"two")]);
        assert_eq!(answer.next_piece().await.unwrap(), b"one two");
        assert!(answer.next_piece().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_is_lost_right_after_a_piece_is_not_an_end() {
        let lost = || Err(io::Error::other("on purpose"));
        let mut plain = answer(None, [piece(b"half of "), piece(b"it"), lost()]);
        assert_eq!(plain.next_piece().await.unwrap(), b"half of it");
        assert_eq!(plain.next_piece().await.unwrap_err().code(), Some("9101"));
        for bytes in [&GZIP[..20], GZIP] {
            let packed = answer(Some(Coding::Gzip), [piece(bytes), lost()]);
            assert_eq!(all(packed).await.unwrap_err().code(), Some("9101"), "{}", bytes.len());
        }
        let mut packed = answer(Some(Coding::Gzip), [piece(GZIP), lost()]);
        assert_eq!(packed.next_piece().await.unwrap(), b"unpacked", "what has arrived is handed over first");
        assert_eq!(packed.next_piece().await.unwrap_err().code(), Some("9101"));
    }

    #[tokio::test]
    async fn a_piece_is_no_larger_than_it_should_be() {
        const CHUNK: &[u8] = &[7; 100 * 1024];
        let mut answer = answer(None, (0..10).map(|_| piece(CHUNK)));
        let (mut pieces, mut bytes) = (0, 0);
        loop {
            let piece = answer.next_piece().await.unwrap();
            if piece.is_empty() {
                break;
            }
            assert!(piece.len() <= READ_AT_ONCE, "{}", piece.len());
            pieces += 1;
            bytes += piece.len();
        }
        assert_eq!((pieces, bytes), (4, 10 * CHUNK.len()));
    }

    #[tokio::test]
    async fn what_is_packed_is_unpacked_in_whatever_pieces_it_comes() {
        for (coding, packed) in [(Coding::Gzip, GZIP), (Coding::Deflate, ZLIB), (Coding::Deflate, RAW)] {
            assert_eq!(all(answer(Some(coding), [piece(packed)])).await.unwrap(), "unpacked");
            let bytes = packed.chunks(1).map(piece);
            assert_eq!(all(answer(Some(coding), bytes)).await.unwrap(), "unpacked");
            assert_eq!(all(answer(Some(coding), [])).await.unwrap(), "", "nothing is nothing packed");
        }
        let two = GZIP.repeat(2);
        assert_eq!(
            all(answer(Some(Coding::Gzip), [Ok(two.clone().into())])).await.unwrap(),
            "unpackedunpacked"
        );
        let two = [piece(GZIP), piece(GZIP)];
        assert_eq!(all(answer(Some(Coding::Gzip), two)).await.unwrap(), "unpackedunpacked");
    }

    #[tokio::test]
    async fn what_is_not_packed_as_it_says_is_an_error_that_says_so() {
        for (coding, bytes) in [
            (Coding::Gzip, &b"not packed at all"[..]),
            (Coding::Gzip, ZLIB),
            (Coding::Gzip, &GZIP[..20]),
            (Coding::Deflate, &ZLIB[..10]),
            (Coding::Deflate, GZIP),
        ] {
            let error = all(answer(Some(coding), [piece(bytes)])).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server, "{coding:?} {bytes:?}: {error}");
            assert!(error.message().contains("Content-Encoding"), "{error}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_unpacked() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().expect("a header"));
            }
            Coding::of(&headers)
        };
        for gzip in [&["gzip"][..], &["GZip"], &["x-gzip"], &["identity, gzip"], &[" gzip ,"]] {
            assert_eq!(of(gzip), Some(Coding::Gzip), "{gzip:?}");
        }
        assert_eq!(of(&["deflate"]), Some(Coding::Deflate));
        for other in [
            &[][..],
            &["identity"],
            &["br"],
            &["gzip, br"],
            &["gzip, gzip"],
            &["gzip", "deflate"],
            &["caf\u{e9}"],
        ] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
