//! The page calls the app's own backend and never has the token that the backend sees: `fetch` in a real webview, with bytes, headers
//! and streams as they really cross.

use crate::support::{Backend, COOKIE_CANARY, Policy, Stage, Theme, eventually};
use std::time::Duration;

/// D1.
#[tokio::test]
async fn d1_a_page_calls_the_backend_with_the_session_and_never_has_the_token() {
    let mut stage = Stage::new(Policy::default()).await;
    let backend = Backend::start().await;
    let orders = format!("{}/orders", backend.origin());
    let app = stage.start_app(Theme::Light).await;
    app.fill("backend-url", &orders).await;
    stage.sign_in(&app).await;
    let token = stage.control().tokens(stage.session_id()).expect("the session is there").session_token;

    app.click("call-backend").await;
    app.shows("backend-result", "201 you sent \"hello from the page\"").await;
    backend.second_piece.notify_one();
    app.shows("backend-result", "201 you sent \"hello from the page\", and end").await;
    let requests = backend.requests();
    let [request] = &*requests else { panic!("one request and not {}", requests.len()) };
    assert!(
        request.starts_with("POST /orders HTTP/1.1\r\n"),
        "{}",
        request.lines().next().unwrap_or_default()
    );
    assert!(request.contains(&format!("authorization: Bearer {token}\r\n")), "the backend sees the session");
    stage.no_token_anywhere(Some(&app)).await;
    let kept = app.kept_by_page().await;
    assert!(
        kept.iter().all(|(_, text)| !text.contains(COOKIE_CANARY)),
        "nor has the page the backend's cookie"
    );

    // Whatever a page can make a body of, as this webview makes it.
    for (body, content_type, sent) in [
        ("form", "multipart/form-data; boundary=", "hello from a form"),
        ("file", "text/plain", "hello from a file"),
        ("stream", "", "hello |from |a stream"),
        ("request", "text/plain", "hello from a file"),
    ] {
        let before = backend.requests().len();
        app.choose("backend-body", body).await;
        app.click("call-backend").await;
        eventually("the backend has it", Duration::from_secs(20), async || {
            let requests = backend.requests();
            if requests.len() > before { Ok(()) } else { Err(app.read("error").await) }
        })
        .await;
        backend.second_piece.notify_one();
        let request = backend.requests().pop().expect("it came");
        assert!(request.contains(sent), "{body}: {request}");
        assert!(
            content_type.is_empty() || request.contains(&format!("content-type: {content_type}")),
            "{request}"
        );
        eventually("the answer is there", Duration::from_secs(20), async || {
            match app.read("backend-result").await {
                Ok(text) if text.starts_with("201 ") && text.ends_with(", and end") => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    // One that the user does not want to wait for any more.
    app.choose("backend-body", "text").await;
    app.click("call-backend").await;
    app.shows("backend-result", "201 you sent \"hello from the page\"").await;
    app.click("cancel-call").await;
    app.shows("backend-result", "cancelled: AbortError").await;
    eventually("the core has given it up", Duration::from_secs(20), async || {
        if backend.broken_off() == 1 { Ok(()) } else { Err(backend.broken_off()) }
    })
    .await;
    let sent = backend.requests().len();

    // Outside of the scope.
    app.fill("backend-url", "https://127.0.0.1.attacker.example/orders").await;
    app.click("call-backend").await;
    app.shows("error", "notPermitted").await;

    // With nobody signed in nothing goes out.
    app.click("sign-out").await;
    app.shows("status", "signedOut").await;
    app.fill("backend-url", &orders).await;
    app.click("call-backend").await;
    eventually("it is refused", Duration::from_secs(20), async || match app.read("error").await {
        Ok(kind) if kind == "notSignedIn" => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(backend.requests().len(), sent);
    app.kill().await;
}
