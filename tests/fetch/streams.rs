//! Bodies that are on their way while somebody already reads them, and calls that are given up.

use std::{io, time::Duration};

use bytes::Bytes;
use serde_json::json;
use tauri_plugin_otpless::{ErrorKind, engine::AnswerBody};
use tokio::time::timeout;

use super::{EVERYWHERE, Page, kind};
use crate::support::{Backend, Device, PATIENCE};

fn piece(text: &'static str) -> io::Result<Bytes> {
    Ok(Bytes::from_static(text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_read_while_its_end_has_not_been_sent() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let stream = backend.stream();
    let call = page.open(json!({"url": backend.url("/stream")})).unwrap();
    let head = timeout(PATIENCE, page.send(call)).await.expect("the head comes first").expect("an answer");
    assert_eq!((head.status, head.body), (200, AnswerBody::Stream));
    for text in ["one", "two"] {
        stream.send(piece(text)).await.expect("the backend sends");
        let read = timeout(PATIENCE, page.read(call)).await.expect("a piece comes when it is there");
        assert_eq!(read.expect("a piece"), text.as_bytes());
    }
    drop(stream);
    assert!(page.read(call).await.expect("the end").is_empty());
    let error = page.read(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "the call is over: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_arrives_while_its_end_has_not_been_written() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let mut uploaded = backend.uploaded();
    let request = json!({"method": "POST", "url": backend.url("/upload"), "body": "stream"});
    let call = page.open(request).unwrap();
    let (answer, ()) = tokio::join!(page.answer(call), async {
        for text in [&b"one"[..], b"two"] {
            page.write(call, text).await.expect("the network takes it");
            let received =
                timeout(PATIENCE, uploaded.recv()).await.expect("it arrives before the next is written");
            assert_eq!(received.expect("a piece"), text);
        }
        page.write(call, &[]).await.expect("the end");
    });
    assert_eq!(answer.expect("an answer").text(), "POST /upload 6");
    let asked = &backend.asked()[0];
    assert_eq!((asked.header("content-length"), asked.header("transfer-encoding")), (None, Some("chunked")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_sent_once_whatever_the_answer_is() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    device.time_passes(Duration::from_secs(60));
    backend.refuse(&issued.session_token);
    let stream = |url: String| page.open(json!({"method": "POST", "url": url, "body": "stream"})).unwrap();
    let upload = async |call| {
        page.write(call, b"streamed").await.expect("the network takes it");
        page.write(call, &[]).await.expect("the end");
    };
    let call = stream(backend.url("/guarded"));
    let (answer, ()) = tokio::join!(page.answer(call), upload(call));
    assert_eq!(answer.expect("the 401 is the answer").head.status, 401);
    for (status, expected) in [(302, None), (307, None), (308, None), (303, Some("GET /arrived 0"))] {
        let call = stream(backend.redirect(status, "/arrived"));
        let (answer, ()) = tokio::join!(page.answer(call), upload(call));
        match expected {
            Some(text) => assert_eq!(answer.expect("an answer").text(), text),
            None => assert_eq!(kind(&answer.unwrap_err()), "server", "{status}"),
        }
    }
    assert_eq!(backend.asked().len(), 1 + 3 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_waits_for_a_network_that_takes_nothing_and_hears_when_the_call_is_over() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let call = page.open(json!({"method": "POST", "url": backend.url("/deaf"), "body": "stream"})).unwrap();
    let megabyte = vec![0; 1024 * 1024];
    let mut waits = false;
    let (answer, ()) = tokio::join!(page.send(call), async {
        // The sockets between hold some megabytes; without a bound of our own it would all be in memory.
        for _ in 0..64 {
            match timeout(Duration::from_millis(500), page.write(call, &megabyte)).await {
                Ok(taken) => taken.expect("the call is not over"),
                Err(_) => {
                    waits = true;
                    break;
                }
            }
        }
        let (written, ()) = tokio::join!(page.write(call, &megabyte), async {
            // Polled after the write, which is waiting by now.
            page.desk.cancel(&page.owner, call);
        });
        assert_eq!(kind(&written.unwrap_err()), "network");
    });
    assert!(waits, "64 MiB went somewhere");
    assert_eq!(kind(&answer.unwrap_err()), "network");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_an_error_after_what_came_and_not_an_end() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    for _ in 0..10 {
        let stream = backend.stream();
        let call = page.open(json!({"url": backend.url("/stream")})).unwrap();
        page.send(call).await.expect("the head");
        stream.send(piece("half of ")).await.expect("the backend sends");
        stream.send(piece("it")).await.expect("the backend sends");
        stream.send(Err(io::Error::other("on purpose"))).await.expect("the backend breaks off");
        let mut read = Vec::new();
        let error = loop {
            match page.read(call).await {
                Ok(piece) if piece.is_empty() => panic!("half a body looks like a whole one"),
                Ok(piece) => read.extend(piece),
                Err(error) => break error,
            }
        };
        assert_eq!((kind(&error), error.code()), (json!("network"), Some("9101")));
        assert!(b"half of it".starts_with(&read[..]), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cancelled_lets_go_of_its_connection() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    // Before there is an answer.
    let call = page.open(json!({"url": backend.url("/gate")})).unwrap();
    let (answer, ()) = tokio::join!(page.send(call), async {
        backend.until_waiting(1).await;
        page.desk.cancel(&page.owner, call);
    });
    assert_eq!(kind(&answer.unwrap_err()), "network");
    backend.until_waiting(0).await;
    // While it is being read, and while nobody reads it.
    for reads in [true, false] {
        let stream = backend.stream();
        let call = page.open(json!({"url": backend.url("/stream")})).unwrap();
        page.send(call).await.expect("the head");
        if reads {
            let (read, ()) = tokio::join!(page.read(call), async {
                page.desk.cancel(&page.owner, call);
            });
            assert_eq!(kind(&read.unwrap_err()), "network");
        } else {
            page.desk.cancel(&page.owner, call);
        }
        timeout(PATIENCE, stream.closed()).await.expect("the backend sees that nobody is there");
        assert_eq!(page.read(call).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        // Cancelled again, it is none the worse.
        page.desk.cancel(&page.owner, call);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_comes_in_large_pieces_and_complete() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let stream = backend.stream();
    let content: Bytes = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sent = content.clone();
    let sending = tokio::spawn(async move {
        for piece in sent.chunks(10_000) {
            stream.send(Ok(Bytes::copy_from_slice(piece))).await.expect("the backend sends");
        }
    });
    let answer = page.get(&backend.url("/stream")).await.expect("an answer");
    assert!(answer.body == content, "{} bytes", answer.body.len());
    sending.await.expect("no panic");
}

/// As with `duplex: "half"` in the standard: an answer is no reason to break a body off.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_an_answer_that_came_first() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let mut uploaded = backend.uploaded();
    let call = page.open(json!({"method": "POST", "url": backend.url("/early"), "body": "stream"})).unwrap();
    let (answer, written) = tokio::join!(page.answer(call), page.write(call, b"one "));
    written.expect("a piece");
    let answer = answer.expect("an answer");
    assert_eq!((answer.head.status, answer.text()), (202, "later"));
    page.write(call, b"two").await.expect("it is still wanted");
    page.write(call, b"").await.expect("the end");
    let body = timeout(PATIENCE, uploaded.recv()).await.expect("it arrives whole").expect("a body");
    assert_eq!(&body[..], b"one two");
    let error = page.write(call, b"").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "and now the call is over: {error}");
}
