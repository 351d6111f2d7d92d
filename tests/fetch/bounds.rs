//! How much a page can have of it, and whose a call is (requirements D5, D9).

use std::time::Duration;

use futures_util::future::join_all;
use otpless_local::Operation;
use serde_json::json;
use tauri_plugin_otpless::{
    ErrorKind,
    engine::{IDLE, MAX_OPEN, MAX_UNDER_WAY, Owner, PAGES_SHARE, SPARED},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::{EVERYWHERE, Page, kind};
use crate::support::{Backend, Device, PATIENCE};

/// What one page may have of the calls, and of the places in which they wait for an answer.
const OPEN: usize = MAX_OPEN / PAGES_SHARE;
const UNDER_WAY: usize = MAX_UNDER_WAY / PAGES_SHARE;

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_flood_of_calls_is_bounded() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let questions = device.control.requests().len();
    let opened: Vec<_> = (0..10_000).map(|_| page.open(json!({"url": backend.url("/gate")}))).collect();
    let calls: Vec<u64> = opened.iter().filter_map(|call| call.as_ref().ok().copied()).collect();
    assert_eq!(calls.len(), OPEN);
    let refused = opened.iter().filter_map(|call| call.as_ref().err());
    assert!(refused.clone().all(|error| error.kind() == ErrorKind::RateLimited));
    assert!(refused.clone().all(|error| error.is_retryable()));
    assert_eq!(refused.count(), 10_000 - OPEN);
    let (answers, ()) = tokio::join!(join_all(calls.iter().map(|call| page.answer(*call))), async {
        backend.until_waiting(UNDER_WAY).await;
        backend.let_through(OPEN);
    });
    assert!(answers.iter().all(Result::is_ok), "those that had to wait have had their turn");
    assert_eq!(backend.asked().len(), OPEN);
    assert_eq!(device.control.requests().len(), questions, "OTPless was not asked for any of it");
    page.get(&backend.url("/")).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_not_more_than_so_many_requests_are_under_way() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let calls: Vec<u64> = (0..UNDER_WAY + 10)
        .map(|_| page.open(json!({"url": backend.url("/gate")})).expect("there is room"))
        .collect();
    let (answers, ()) = tokio::join!(join_all(calls.iter().map(|call| page.answer(*call))), async {
        backend.until_waiting(UNDER_WAY).await;
        // Each that goes lets one in; there are never more.
        for _ in 0..calls.len() {
            assert!(backend.waiting() <= UNDER_WAY);
            backend.let_through(1);
            tokio::task::yield_now().await;
        }
    });
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_page_that_takes_all_it_can_get_leaves_the_others_theirs() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let greedy = Page::new(&app, EVERYWHERE);
    let other = greedy.neighbour("other");
    let calls: Vec<u64> = (0..OPEN)
        .map(|_| greedy.open(json!({"url": backend.url("/gate")})).expect("there is room"))
        .collect();
    assert_eq!(greedy.open(json!({"url": backend.url("/")})).unwrap_err().kind(), ErrorKind::RateLimited);
    let (answers, ()) = tokio::join!(join_all(calls.iter().map(|call| greedy.answer(*call))), async {
        backend.until_waiting(UNDER_WAY).await;
        other.get(&backend.url("/")).await.expect("neither a call nor a place is missing");
        backend.let_through(OPEN);
    });
    assert!(answers.iter().all(Result::is_ok));
    // All pages together have no more than there is.
    let pages: Vec<_> = (0..=PAGES_SHARE).map(|n| greedy.neighbour(&format!("page-{n}"))).collect();
    let open =
        |page: &Page| (0..OPEN).filter(|_| page.open(json!({"url": backend.url("/")})).is_ok()).count();
    assert_eq!(pages.iter().map(open).sum::<usize>(), MAX_OPEN);
}

/// A server that has answered reads on or does not; until it has, or its connection is over, the body is in the app's memory
/// and its socket open.
#[tokio::test(flavor = "multi_thread")]
async fn d9_a_body_that_nobody_reads_is_counted_although_it_was_answered() {
    const MIB: &[u8] = &[7; 1024 * 1024];
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let mut connections = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            connection.read_u8().await.expect("the request begins");
            let head = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
            connection.write_all(head).await.expect("it is read");
            connections.push(connection);
        }
    });
    let page = Page::new(&app, EVERYWHERE);
    let send = async || {
        let call = page.open(json!({"method": "POST", "url": url, "body": "whole"}))?;
        for _ in 0..64 {
            page.write(call, MIB).await.inspect_err(|_| page.desk.cancel(&page.owner, call))?;
        }
        page.write(call, &[]).await?;
        page.send(call).await
    };
    for _ in 0..2 {
        assert_eq!(send().await.expect("it is answered at once").status, 202);
    }
    let error = send().await.expect_err("two of the largest are all that one page may have");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    server.abort();
    // Once the connections are over there is room again.
    timeout(PATIENCE, async {
        while send().await.is_err_and(|error| error.kind() == ErrorKind::RateLimited) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the room is given back");
}

/// Frames in a page are the page to Tauri on some systems (requirement D6).
#[tokio::test]
async fn d5_the_number_of_a_call_is_not_to_be_guessed() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let page = Page::new(&app, EVERYWHERE);
    let numbers: Vec<u64> =
        (0..64).map(|_| page.open(json!({"url": "http://127.0.0.1:9/"})).expect("there is room")).collect();
    assert!(!numbers.is_sorted(), "{numbers:?}");
    assert!(numbers.iter().all(|number| *number < 1 << 53), "JavaScript's numbers are exact to there");
    let mut sorted = numbers;
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1_000_000), "far from each other: {sorted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_a_call_is_its_webviews_alone() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let stream = backend.stream();
    let request = json!({"method": "POST", "url": backend.url("/stream"), "body": "whole"});
    let call = page.open(request).unwrap();
    for (window, webview) in [("main", "child"), ("other", "main"), ("other", "other")] {
        let other = Owner { window: window.into(), webview: webview.into() };
        for error in [
            page.desk.write(&other, call, b"x").await.unwrap_err(),
            page.desk.send(&other, call).await.unwrap_err(),
            page.desk.read(&other, call).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        }
        page.desk.cancel(&other, call);
        page.desk.page_left("child");
        page.desk.window_closed("other");
    }
    page.write(call, &[]).await.expect("it is still there for its own");
    page.send(call).await.expect("an answer");
    drop(stream);
    assert!(page.rest(call).await.expect("an end").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_with_their_page_and_with_their_window() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let leave: [fn(&Page); 2] = [|page| page.desk.page_left("main"), |page| page.desk.window_closed("main")];
    for leave in leave {
        let stream = backend.stream();
        let read = page.open(json!({"url": backend.url("/stream")})).unwrap();
        page.send(read).await.expect("the head");
        let asked = page.open(json!({"url": backend.url("/gate")})).unwrap();
        let (piece, answer, ()) = tokio::join!(page.read(read), page.send(asked), async {
            backend.until_waiting(1).await;
            leave(&page);
        });
        assert_eq!(
            (kind(&piece.unwrap_err()), kind(&answer.unwrap_err())),
            (json!("network"), json!("network"))
        );
        timeout(PATIENCE, stream.closed()).await.expect("the backend sees that nobody is there");
        backend.until_waiting(0).await;
    }
}

/// Tokio's clock is stopped while there is nothing to wait for from outside.
async fn after(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn d9_an_answer_that_nobody_reads_is_dropped_after_five_minutes_and_not_before() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let stream = backend.stream();
    let call = page.open(json!({"url": backend.url("/stream")})).unwrap();
    page.send(call).await.expect("the head");
    after(IDLE - Duration::from_secs(15)).await;
    stream.send(Ok(bytes::Bytes::from_static(b"still here"))).await.expect("the backend sends");
    assert_eq!(page.read(call).await.expect("a piece"), b"still here", "and now it has been touched");
    after(IDLE - Duration::from_secs(15)).await;
    assert!(!stream.is_closed());
    after(Duration::from_secs(30)).await;
    timeout(PATIENCE, stream.closed()).await.expect("the connection goes");
    assert_eq!(page.read(call).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_page_that_waits_is_not_idle() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let stream = backend.stream();
    let call = page.open(json!({"url": backend.url("/stream")})).unwrap();
    page.send(call).await.expect("the head");
    let (piece, ()) = tokio::join!(page.read(call), async {
        tokio::task::yield_now().await;
        after(3 * IDLE).await;
        stream.send(Ok(bytes::Bytes::from_static(b"at last"))).await.expect("the backend sends");
    });
    assert_eq!(piece.expect("a piece"), b"at last");
}

#[tokio::test]
async fn d9_a_piece_that_nobody_will_ever_take_does_not_keep_a_call() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let call = page.open(json!({"method": "POST", "url": backend.url("/upload"), "body": "stream"})).unwrap();
    // The request is never sent.
    let (written, ()) = tokio::join!(page.write(call, b"one"), async {
        tokio::task::yield_now().await;
        after(IDLE + Duration::from_secs(15)).await;
    });
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(page.write(call, b"two").await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(backend.asked().is_empty());
}

/// Streams that are under way must not wait for memory that bodies hold which wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn d9_whole_bodies_that_wait_for_their_turn_do_not_hold_up_streams() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let mut uploaded = backend.uploaded();
    let open = |body: &str| {
        page.open(json!({"method": "POST", "url": backend.url("/upload"), "body": body})).unwrap()
    };
    let streams: Vec<u64> = (0..UNDER_WAY).map(|_| open("stream")).collect();
    let wholes = [open("whole"), open("whole")];
    let mib = vec![7; 1024 * 1024];
    for call in wholes {
        for _ in 0..64 {
            page.write(call, &mib).await.expect("there is room");
        }
        page.write(call, b"").await.expect("the end");
    }
    let another = open("whole");
    assert_eq!(
        page.write(another, b"x").await.unwrap_err().kind(),
        ErrorKind::RateLimited,
        "all room is taken"
    );
    let write = async {
        join_all(streams.iter().map(|call| async { page.write(*call, b"begun").await.expect("a piece") }))
            .await;
        // Each is under way and has one of the places.
        for _ in 0..UNDER_WAY {
            timeout(PATIENCE, uploaded.recv()).await.expect("it arrives").expect("a piece");
        }
        let rest = streams.iter().map(|call| async {
            page.write(*call, &mib).await.expect("a piece");
            page.write(*call, b"").await.expect("the end");
        });
        tokio::join!(join_all(rest), join_all(wholes.map(|call| page.answer(call))))
    };
    let answers = timeout(2 * PATIENCE, async {
        tokio::join!(join_all(streams.iter().map(|call| page.answer(*call))), write)
    });
    let (streamed, (_, whole)) = answers.await.expect("nobody waits for anybody");
    assert!(streamed.iter().chain(&whole).all(Result::is_ok));
}

#[tokio::test]
async fn d9_the_call_that_was_left_alone_longest_makes_room() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let open = || page.open(json!({"url": backend.url("/"), "method": "POST", "body": "whole"}));
    let first = open().expect("there is room");
    after(Duration::from_secs(1)).await;
    let others: Vec<u64> = (1..OPEN).map(|_| open().expect("there is room")).collect();
    assert_eq!(open().unwrap_err().kind(), ErrorKind::RateLimited);
    after(SPARED - Duration::from_secs(1)).await;
    page.write(others[0], b"used").await.expect("a piece");
    let newest = open().expect("the first makes room");
    assert_eq!(page.write(first, b"x").await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    for call in [others[0], others[1], newest] {
        page.write(call, b"x").await.expect("the others are there");
    }
    assert_eq!(device.control.count(Operation::Refresh), 0);
}
