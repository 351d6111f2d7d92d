//! Redirects between two backends, which are two origins (requirement E2).

use serde_json::json;

use super::{EVERYWHERE, Page, kind};
use crate::support::{App, Backend, Device};

/// An app with somebody signed in, and two backends.
async fn two_origins() -> (Device, App, Backend, Backend) {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    (device, app, Backend::start().await, Backend::start().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_at_the_same_origin_keeps_the_session_and_the_page_sees_where_it_led() {
    let (_device, app, here, _) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    let answer = page.get(&here.redirect(302, "/arrived?x#y")).await.expect("an answer");
    assert_eq!((answer.head.status, answer.text()), (200, "GET /arrived 0"));
    assert_eq!((&*answer.head.url, answer.head.redirected), (&*here.url("/arrived?x"), true));
    let asked = here.asked();
    assert_eq!(asked[0].header("authorization"), asked[1].header("authorization"));
    assert!(asked[1].header("authorization").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_another_origin_gets_no_session_and_neither_does_the_way_back() {
    let (_device, app, here, there) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    for status in [301, 302, 303, 307, 308] {
        let back = there.redirect(status, &here.url("/back"));
        let answer = page.get(&here.redirect(status, &back)).await.expect("an answer");
        assert_eq!((answer.head.status, &*answer.head.url), (200, &*here.url("/back")));
        for asked in [there.asked().last().unwrap(), here.asked().last().unwrap()] {
            assert_eq!((asked.header("authorization"), asked.header("cookie")), (None, None), "{status}");
        }
    }
    assert!(here.asked()[0].header("authorization").is_some());
    assert_eq!(there.asked().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_another_origin_gets_no_renewal_for_its_401() {
    let (device, app, here, there) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    let answer = page.get(&here.redirect(302, &there.url("/status/401"))).await.expect("an answer");
    assert_eq!((answer.head.status, there.asked().len()), (401, 1));
    assert_eq!(device.control.count(otpless_local::Operation::Refresh), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_every_step_must_be_in_the_scope() {
    let (_device, app, here, there) = two_origins().await;
    let page = Page::new(&app, &[&here.url("/*")]);
    let error = page.get(&there.url("/")).await.unwrap_err();
    assert_eq!(kind(&error), "notPermitted");
    for to in [there.url("/"), here.redirect(307, &there.url("/")), "https://evil.example/".into()] {
        let error = page.get(&here.redirect(302, &to)).await.unwrap_err();
        assert_eq!(kind(&error), "notPermitted", "{to}");
    }
    assert_eq!(there.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_goes_along_where_the_standard_says_so() {
    let (_device, app, here, there) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    for (status, method, arrives) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ] {
        let request = json!({
            "method": method, "url": here.redirect(status, &there.url("/")), "body": "whole",
            "headers": [["content-type", "text/plain"], ["x-page", "1"]],
        });
        page.fetch_with(request, &[b"a body"]).await.expect("an answer");
        let asked = there.asked().pop().expect("it was asked");
        let kept = method == arrives;
        assert_eq!((&*asked.method, asked.body == b"a body"), (arrives, kept), "{status} {method}");
        assert_eq!(asked.header("content-type").is_some(), kept, "{status} {method}");
        assert_eq!(asked.header("x-page"), Some("1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_redirects_are_followed_and_no_more() {
    let (_device, app, here, _) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    let answer = page.get(&here.url("/again/20")).await.expect("an answer");
    assert_eq!((answer.text(), here.asked().len()), ("arrived", 21));
    let error = page.get(&here.url("/again/21")).await.unwrap_err();
    assert_eq!((kind(&error), here.asked().len()), (json!("server"), 21 + 21));
    assert!(error.message().contains("20"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_want_redirects_to_be_an_error_or_to_see_that_there_is_one() {
    let (_device, app, here, there) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    let url = here.redirect(302, &there.url("/secret-place"));
    let error = page.fetch(json!({"url": url, "redirect": "error"})).await.unwrap_err();
    assert_eq!(kind(&error), "server");
    let answer = page.fetch(json!({"url": url, "redirect": "manual"})).await.expect("an answer");
    let head = serde_json::to_value(&answer.head).unwrap();
    assert_eq!(
        head,
        json!({"type": "opaqueredirect", "status": 0, "statusText": "", "headers": [], "url": url,
               "redirected": false, "body": "none"})
    );
    for redirect in ["error", "manual"] {
        let answer =
            page.fetch(json!({"url": here.url("/"), "redirect": redirect})).await.expect("an answer");
        assert_eq!(answer.head.status, 200, "{redirect}");
    }
    assert_eq!(there.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_a_redirect_with_the_token_in_its_address_is_not_followed() {
    let (_device, app, here, there) = two_origins().await;
    let page = Page::new(&app, EVERYWHERE);
    let token = app.session_token(std::time::Duration::ZERO).await.expect("signed in").token;
    let to = there.url(&format!("/?token={}", token.expose()));
    let error = page.get(&here.redirect(302, &to)).await.unwrap_err();
    assert_eq!((kind(&error), there.asked().len()), (json!("server"), 0));
    assert!(!error.message().contains(token.expose()), "the token is in the error");
}
