//! What a call carries, when nothing is sent at all, and what a 401 brings about.

use std::time::Duration;

use otpless_local::{Fault, Operation};
use otpless_test_kit::{
    leaks::Secrets,
    log::{catch_everything, caught},
};
use serde_json::json;
use tauri_plugin_otpless::{Attach, CookieValue, engine::AnswerBody};

use super::{EVERYWHERE, Page, kind};
use crate::support::{Backend, Device};

/// Enough for a renewed token to be another one: the time it was issued stands in it.
const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_gets_the_session_as_a_bearer_token_and_what_the_page_sends() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let request = json!({
        "method": "POST", "url": backend.url("/orders?x=1#y"), "body": "whole",
        "headers": [["content-type", "text/plain"], ["x-page", "1"], ["x-page", "2"]],
    });
    let answer = page.fetch_with(request, &[b"two ", b"pieces"]).await.expect("an answer");
    assert_eq!((answer.head.status, answer.head.status_text), (200, "OK"));
    assert_eq!((&*answer.head.url, answer.head.redirected), (&*backend.url("/orders?x=1"), false));
    assert_eq!(answer.text(), "POST /orders 10");
    let asked = &backend.asked()[0];
    assert_eq!((&*asked.path, &*asked.body), ("/orders?x=1", &b"two pieces"[..]));
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {}", issued.session_token)));
    assert_eq!((asked.header("cookie"), asked.header("content-length")), (None, Some("10")));
    assert_eq!(asked.headers.get_all("x-page").iter().collect::<Vec<_>>(), ["1", "2"]);
    page.fetch(json!({"method": "POST", "url": backend.url("/")})).await.expect("an answer");
    assert_eq!(backend.asked()[1].header("content-length"), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn or_as_a_cookie_with_the_id_or_the_token() {
    for value in [CookieValue::SessionId, CookieValue::SessionToken] {
        let mut device = Device::new().await;
        device.attach = Attach::Cookie { name: "app_session".into(), value };
        let (app, issued) = device.signed_in().await;
        let backend = Backend::start().await;
        Page::new(&app, EVERYWHERE).get(&backend.url("/")).await.expect("an answer");
        let carried = match value {
            CookieValue::SessionId => &issued.session_id,
            _ => &issued.session_token,
        };
        let asked = &backend.asked()[0];
        assert_eq!(asked.header("cookie"), Some(&*format!("app_session={carried}")));
        assert_eq!(asked.header("authorization"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_nothing_is_sent_for_nobody() {
    let device = Device::new().await;
    let app = device.start();
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    assert_eq!(kind(&page.get(&backend.url("/")).await.unwrap_err()), "notSignedIn");
    app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    page.get(&backend.url("/")).await.expect("an answer");
    app.logout().await;
    assert_eq!(kind(&page.get(&backend.url("/")).await.unwrap_err()), "notSignedIn");
    assert_eq!(backend.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_about_to_expire_is_renewed_before_it_goes_out() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    device.time_passes(Duration::from_secs(24 * 3600 - 20));
    let page = Page::new(&app, EVERYWHERE);
    page.get(&backend.url("/")).await.expect("an answer");
    let tokens = device.control.tokens(&issued.session_id).expect("the session is good");
    assert_ne!(tokens.session_token, issued.session_token);
    let expected = format!("Bearer {}", tokens.session_token);
    assert_eq!(backend.asked()[0].header("authorization"), Some(&*expected));

    device.time_passes(Duration::from_secs(24 * 3600 - 20));
    device.control.fault(Operation::Refresh, Fault::ServerError500, 1);
    assert_eq!(kind(&page.get(&backend.url("/")).await.unwrap_err()), "server");
    assert_eq!(backend.asked().len(), 1, "an old token is not sent in the hope that it will do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_buys_one_renewal_and_one_more_try_with_the_same_body() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    backend.refuse(&issued.session_token);
    device.time_passes(A_MINUTE);
    let request = json!({"method": "PUT", "url": backend.url("/guarded"), "body": "whole"});
    let answer = Page::new(&app, EVERYWHERE).fetch_with(request, &[b"a body"]).await.expect("an answer");
    assert_eq!((answer.head.status, answer.text()), (200, "PUT /guarded 6"));
    let renewed = device.control.tokens(&issued.session_id).expect("the session is good").session_token;
    let asked = backend.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.body == b"a body"));
    assert_eq!(asked[1].header("authorization"), Some(&*format!("Bearer {renewed}")));
    assert_eq!(device.control.count(Operation::Refresh), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_renewed_meanwhile_is_not_renewed_again() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    backend.refuse(&issued.session_token);
    device.time_passes(A_MINUTE);
    let call = page.open(json!({"url": backend.url("/gate/guarded")})).unwrap();
    let (answer, ()) = tokio::join!(page.answer(call), async {
        backend.until_waiting(1).await;
        app.refresh().await.expect("the exchange succeeds");
        backend.let_through(2);
    });
    assert_eq!(answer.expect("an answer").head.status, 200);
    assert_eq!((backend.asked().len(), device.control.count(Operation::Refresh)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_backend_that_always_says_401_gets_one_more_try_and_otpless_one_question_in_ten_seconds() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    device.time_passes(A_MINUTE);
    let always = backend.url("/status/401");
    assert_eq!(page.get(&always).await.expect("an answer").head.status, 401);
    assert_eq!((backend.asked().len(), device.control.count(Operation::Refresh)), (2, 1));
    for _ in 0..20 {
        let answer = page.get(&always).await.expect("an answer");
        assert_eq!((answer.head.status, answer.text()), (401, "some body"));
    }
    assert_eq!(backend.asked().len(), 2 + 20, "the same token is not tried twice");
    assert_eq!(device.control.count(Operation::Refresh), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_there_is_no_other_token_the_401_is_the_answer() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    device.time_passes(A_MINUTE);
    device.control.fault(Operation::Refresh, Fault::ServerError500, 1);
    backend.refuse(&issued.session_token);
    let answer = page.get(&backend.url("/guarded")).await.expect("an answer");
    assert_eq!((answer.head.status, answer.text()), (401, "who are you?"));
    assert_eq!(backend.asked().len(), 1);
    assert_eq!(device.control.count(Operation::Refresh), 1, "it was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_does_not_change_with_the_token_so_nothing_is_renewed_for_it() {
    let mut device = Device::new().await;
    device.attach = Attach::Cookie { name: "s".into(), value: CookieValue::SessionId };
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    device.time_passes(A_MINUTE);
    let answer = Page::new(&app, EVERYWHERE).get(&backend.url("/status/401")).await.expect("an answer");
    assert_eq!((answer.head.status, backend.asked().len()), (401, 1));
    assert_eq!(device.control.count(Operation::Refresh), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_call_of_one_user_does_not_go_on_with_the_session_of_another() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    backend.refuse(&issued.session_token);
    // The 401 comes when another is signed in, whose token is another one.
    let call = page.open(json!({"url": backend.url("/gate/guarded")})).unwrap();
    let (answer, ()) = tokio::join!(page.answer(call), async {
        backend.until_waiting(1).await;
        app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
        backend.let_through(2);
    });
    assert_eq!(answer.expect("what was asked is answered").head.status, 401);
    assert_eq!(backend.asked().len(), 1, "and is not asked in another's name");
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_between_two_requests_of_a_call_is_final() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    for (signs_in_again, expected) in [(false, "notSignedIn"), (true, "sessionChanged")] {
        if app.session_token(Duration::ZERO).await.is_err() {
            app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
        }
        let before = backend.asked().len();
        let call = page.open(json!({"url": backend.url("/gate/then/redirect")})).unwrap();
        let (answer, ()) = tokio::join!(page.answer(call), async {
            backend.until_waiting(1).await;
            app.logout().await;
            if signs_in_again {
                app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
            }
            backend.let_through(1);
        });
        assert_eq!(kind(&answer.unwrap_err()), expected);
        assert_eq!(backend.asked().len(), before + 1, "the second request was not made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_neither_cookies_nor_the_token_come_back_in_headers() {
    let mut device = Device::new().await;
    for attach in [
        Attach::Bearer,
        Attach::Cookie { name: "s".into(), value: CookieValue::SessionId },
        Attach::Cookie { name: "s".into(), value: CookieValue::SessionToken },
    ] {
        device.attach = attach;
        let (app, issued) = device.signed_in().await;
        let backend = Backend::start().await;
        let answer = Page::new(&app, EVERYWHERE).get(&backend.url("/talkative")).await.expect("an answer");
        assert_eq!((answer.header("x-fine"), answer.text()), (vec!["1"], "talk"));
        for hidden in ["set-cookie", "connection", "x-hop"] {
            assert!(answer.header(hidden).is_empty(), "{hidden}");
        }
        let shown = format!("{:?}", answer.head);
        for secret in [&issued.session_id, &issued.session_token, &issued.refresh_token] {
            assert!(!shown.contains(secret.as_str()), "{shown}");
        }
        app.logout().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_has_none_and_a_status_that_is_none_is_an_error() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    for (method, status, path, body) in [
        ("GET", 204, "status", AnswerBody::None),
        ("GET", 205, "status", AnswerBody::None),
        ("GET", 304, "status", AnswerBody::None),
        ("HEAD", 200, "status", AnswerBody::None),
        ("POST", 201, "empty", AnswerBody::Empty),
        ("GET", 599, "status", AnswerBody::Stream),
    ] {
        let request = json!({"method": method, "url": backend.url(&format!("/{path}/{status}"))});
        let answer = page.fetch(request).await.expect("an answer");
        assert_eq!((answer.head.status, answer.head.body), (status, body), "{method} {status}");
    }
    let error = page.get(&backend.url("/status/600")).await.unwrap_err();
    assert_eq!(kind(&error), "server");
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_a_backend_that_is_not_there_is_a_network_error_without_the_url() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let url = backend.url("/canary?canary=1");
    drop(backend);
    let error = Page::new(&app, EVERYWHERE).get(&url).await.unwrap_err();
    assert_eq!((kind(&error), error.is_retryable()), (json!("network"), true));
    assert!(error.code().is_some_and(|code| code.starts_with("910")), "{error}");
    assert!(!format!("{error:?} {error}").contains("canary"), "{error}");
}

/// A2: everything that is logged at TRACE while calls go well and go wrong, the HTTP library's own lines included.
#[tokio::test(flavor = "multi_thread")]
async fn a2_no_log_line_and_no_error_of_a_call_has_the_session_or_the_url_in_it() {
    catch_everything();
    let mut secrets = Secrets::default();
    let canary = "canary4f0b7c2d9e61a835";
    secrets.add("query", canary);
    let mut errors = String::new();
    for attach in [
        Attach::Bearer,
        Attach::Cookie { name: "s".into(), value: CookieValue::SessionId },
        Attach::Cookie { name: "s".into(), value: CookieValue::SessionToken },
    ] {
        let mut device = Device::new().await;
        device.attach = attach;
        let (app, issued) = device.signed_in().await;
        secrets.add_session(&issued);
        let (backend, gone) = (Backend::start().await, Backend::start().await);
        let gone_url = gone.url(&format!("/?{canary}"));
        drop(gone);
        let page = Page::new(&app, EVERYWHERE);
        page.get(&backend.url("/talkative")).await.expect("an answer");
        for url in [
            gone_url.clone(),
            backend.redirect(302, &gone_url),
            format!("https://evil.example/{canary}"),
            backend.redirect(302, &format!("https://evil.example/{canary}")),
            backend.redirect(302, &format!("http://evil.example/{canary}")),
            backend.redirect(302, &format!("/?token={}", issued.session_token)),
        ] {
            match page.get(&url).await {
                Err(error) => {
                    errors += &format!("{error} {error:?} {}\n", serde_json::to_string(&error).unwrap());
                }
                // With the id as the cookie the token is no secret of the call, and the backend's own to tell.
                Ok(answer) => assert_eq!(answer.text(), "GET / 0", "{url}"),
            }
        }
        errors += &format!("{page_desk:?} {app:?}", page_desk = page.desk, app = *app);
    }
    let log = caught();
    assert!(log.len() > 10_000, "the libraries below were heard too: {} bytes", log.len());
    let finder = secrets.finder();
    finder.finds_nothing_in("an error", &errors);
    finder.finds_nothing_in("the log", &log);
}

/// Whoever asked is the one in whose name it is done, or nobody.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_call_that_waited_is_not_made_in_the_name_of_whoever_signed_in_meanwhile() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    let call = page.open(json!({"url": backend.url("/")})).unwrap();
    app.logout().await;
    app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    assert_eq!(kind(&page.answer(call).await.unwrap_err()), "sessionChanged");
    assert!(backend.asked().is_empty());
    let call = page.open(json!({"url": backend.url("/")})).unwrap();
    assert_eq!(page.answer(call).await.expect("an answer").head.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_packed_is_unpacked_and_a_part_of_one_is_not_asked_for() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let backend = Backend::start().await;
    let page = Page::new(&app, EVERYWHERE);
    for coding in ["gzip", "deflate"] {
        let answer = page.get(&backend.url(&format!("/packed/{coding}"))).await.expect("an answer");
        assert_eq!((answer.text(), answer.header("content-encoding").len()), ("unpacked", 0), "{coding}");
        assert!(answer.header("content-length").is_empty(), "it is that of what was packed");
    }
    let accepted =
        backend.asked()[0].header("accept-encoding").expect("it says what it can unpack").to_owned();
    assert_eq!(accepted, "gzip, deflate");
    let part = json!({"url": backend.url("/"), "headers": [["Range", "bytes=0-3"]]});
    let length = json!({"url": backend.url("/packed/gzip"), "method": "HEAD"});
    for plain in [part, length] {
        page.fetch(plain).await.expect("an answer");
        assert_eq!(backend.asked().last().expect("it asked").header("accept-encoding"), Some("identity"));
    }
    // As it came, and the page can tell.
    let answer = page.get(&backend.url("/packed/br")).await.expect("an answer");
    assert_eq!(answer.header("content-encoding"), ["br"]);
    let error = page.get(&backend.url("/packed/not")).await.unwrap_err();
    assert_eq!(kind(&error), "server");
    let calls = device.control.requests();
    assert!(calls.iter().all(|call| call.header("accept-encoding") == Some("identity")), "ours carry tokens");
}
