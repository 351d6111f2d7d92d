//! `fetch` as a page meets it: tauri's IPC with the plugin's real permission files, on tauri's mock runtime.

use otpless_local::OtplessLocal;
use serde_json::{Value, json};
use tauri::{
    http::HeaderMap,
    ipc::{InvokeBody, InvokeResponseBody},
};

use crate::support::{
    Backend,
    page::{Invocation, Page, invocation, is_denied, key_set, open_covered, open_with, server},
};

/// The steps after the first, which are of no use without it.
const LATER: [&str; 4] = ["fetch_write", "fetch_send", "fetch_read", "fetch_cancel"];

fn backend() -> Backend {
    tauri::async_runtime::block_on(Backend::start())
}

fn config(server: &OtplessLocal) -> Value {
    json!({"apiUrl": server.url(), "jwksUrl": key_set(&server.url())})
}

fn allow_fetch(allow: &[Value], deny: &[Value]) -> Value {
    json!(["otpless:default", "otpless:allow-start-session",
           {"identifier": "otpless:allow-fetch", "allow": allow, "deny": deny}])
}

fn write(page: &Page, call: &Value, piece: InvokeBody) -> Result<(), Value> {
    let mut headers = HeaderMap::new();
    headers.insert("otpless-call", call.to_string().parse().unwrap());
    let write = invocation(page.window.as_ref(), "fetch_write", Value::Null);
    Invocation { body: piece, headers, ..write }.answer().map(drop)
}

fn fetch(page: &Page, request: Value, body: &[u8]) -> Result<(Value, Vec<u8>), Value> {
    let call = page.invoke("fetch", json!({ "request": request }))?;
    if request["body"] == "whole" {
        write(page, &call, InvokeBody::Raw(body.to_vec()))?;
        write(page, &call, InvokeBody::Raw(Vec::new()))?;
    }
    let head = page.invoke("fetch_send", json!({ "call": call }))?;
    let mut all = Vec::new();
    if head["body"] == "stream" {
        loop {
            match invocation(page.window.as_ref(), "fetch_read", json!({ "call": call })).answer()? {
                InvokeResponseBody::Raw(piece) if piece.is_empty() => break,
                InvokeResponseBody::Raw(piece) => all.extend(piece),
                InvokeResponseBody::Json(json) => panic!("a piece of a body is raw and not {json}"),
            }
        }
    }
    Ok((head, all))
}

fn get(page: &Page, url: &str) -> Result<(Value, Vec<u8>), Value> {
    fetch(page, json!({"url": url}), b"")
}

#[test]
fn a_page_calls_its_backend_through_the_ipc_and_sees_no_token() {
    let (server, backend) = (server(), backend());
    let page = open_with(config(&server), allow_fetch(&[json!({"url": backend.url("/*")})], &[]));
    assert_eq!(get(&page, &backend.url("/")).unwrap_err()["kind"], "notSignedIn");
    let issued = page.sign_in(&server);
    let request = json!({
        "method": "POST", "url": backend.url("/talkative"), "body": "whole", "headers": [["x-page", "1"]],
    });
    let (head, body) = fetch(&page, request, b"a body").unwrap();
    assert_eq!((&head["status"], &head["statusText"], &*body), (&json!(200), &json!("OK"), &b"talk"[..]));
    assert_eq!((&head["type"], &head["url"]), (&json!("basic"), &json!(backend.url("/talkative"))));
    let shown = head.to_string();
    for secret in [&issued.session_id, &issued.session_token, &issued.refresh_token] {
        assert!(!shown.contains(secret.as_str()), "D1: {shown}");
    }
    let asked = &backend.asked()[0];
    assert_eq!((&*asked.body, asked.header("x-page")), (&b"a body"[..], Some("1")));
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {}", issued.session_token)));
}

#[test]
fn the_setting_decides_what_a_call_carries() {
    let (server, backend) = (server(), backend());
    let mut config = config(&server);
    config["fetch"] = json!({"attach": "cookie", "cookie": {"name": "app", "value": "sessionId"}});
    let page = open_with(config, allow_fetch(&[json!({"url": backend.url("/*")})], &[]));
    let issued = page.sign_in(&server);
    get(&page, &backend.url("/")).unwrap();
    let asked = &backend.asked()[0];
    assert_eq!(asked.header("cookie"), Some(&*format!("app={}", issued.session_id)));
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn where_a_page_may_call_is_what_its_capability_says_and_deny_wins() {
    let (server, backend, other) = (server(), backend(), backend());
    let permissions =
        allow_fetch(&[json!({"url": backend.url("/*")})], &[json!({"url": backend.url("/admin/*")})]);
    let page = open_with(config(&server), permissions);
    page.sign_in(&server);
    assert!(get(&page, &backend.url("/orders")).is_ok());
    for url in [
        other.url("/orders"),
        backend.url("/admin/users"),
        backend.url("/%61dmin/users"),
        backend.url("/orders/../admin/users"),
        backend.url("/").replace("127.0.0.1", "localhost"),
        "https://127.0.0.1.evil.example/".into(),
        "https://otpless.com/".into(),
    ] {
        assert_eq!(get(&page, &url).unwrap_err()["kind"], "notPermitted", "{url}");
    }
    for url in [backend.url("/").replace("http", "ftp"), backend.url("/").replace("//", "//u:p@")] {
        assert_eq!(get(&page, &url).unwrap_err()["kind"], "invalidArgument", "{url}");
    }
    assert_eq!(get(&page, &backend.redirect(302, &other.url("/"))).unwrap_err()["kind"], "notPermitted");
    assert!(other.asked().is_empty());
    assert_eq!(backend.asked().len(), 2);
}

#[test]
fn without_a_scope_nothing_may_be_called_and_one_that_is_wrong_is_named() {
    let server = server();
    let backend = backend();
    let page = open_with(config(&server), json!(["otpless:default", "otpless:allow-fetch"]));
    assert_eq!(get(&page, &backend.url("/")).unwrap_err()["kind"], "notPermitted");
    let scope = [json!({"url": backend.url("/*")}), json!({"url": "api.example.com/*"})];
    let page = open_with(config(&server), allow_fetch(&scope, &[]));
    let error = get(&page, &backend.url("/")).unwrap_err();
    assert_eq!(error["kind"], "invalidConfig");
    assert!(error["message"].as_str().unwrap().contains("\"api.example.com/*\""), "{error}");
}

#[test]
fn e1_no_scope_makes_plain_http_good_enough() {
    let server = server();
    let page = open_with(config(&server), allow_fetch(&[json!("*://*/*"), json!("http://*:*/*")], &[]));
    page.sign_in(&server);
    for url in
        ["http://api.example.com/", "http://10.0.0.1/", "http://127.0.0.1.evil.example/", "http://0.0.0.0/"]
    {
        let error = get(&page, url).unwrap_err();
        assert_eq!(error["kind"], "invalidArgument", "{url}: {error}");
    }
}

#[test]
fn d3_one_permission_is_for_all_the_steps_and_its_denial_too() {
    let server = server();
    let denied = json!(["otpless:default", {"identifier": "otpless:allow-fetch", "allow": ["https://a.example/*"]},
                        "otpless:deny-fetch"]);
    let page = open_with(config(&server), denied);
    for command in ["fetch"].iter().chain(&LATER) {
        assert!(is_denied_explicitly(&page.invoke(command, json!({}))), "{command}");
    }
    let page = open_with(config(&server), json!(["otpless:default", "otpless:allow-get-session-token"]));
    for command in ["fetch"].iter().chain(&LATER) {
        assert!(is_denied(&page.invoke(command, json!({}))), "{command}");
    }
}

fn is_denied_explicitly(answer: &Result<Value, Value>) -> bool {
    matches!(answer, Err(Value::String(why)) if why.contains("explicitly denied"))
}

#[test]
fn d5_a_webview_that_a_capability_names_gets_what_it_says() {
    let (server, backend) = (server(), backend());
    let permissions = json!(["otpless:default", "otpless:allow-get-session-token",
               {"identifier": "otpless:allow-fetch", "allow": [backend.url("/*")]}]);
    let capability = json!({"identifier": "test", "windows": ["main"], "webviews": ["named-*"], "permissions": permissions});
    let page = open_covered(config(&server), capability);
    let issued = page.sign_in(&server);
    let ask = |label: &str, command: &str, args: Value| invocation(&page.child(label), command, args).json();
    let token = ask("named-one", "get_session_token", json!({})).unwrap();
    assert_eq!(token["token"], issued.session_token);
    let call = ask("named-two", "fetch", json!({"request": {"url": backend.url("/")}})).unwrap();
    // Its call is its own, even where all of them may make calls.
    for (label, kind) in [("named-three", "invalidArgument"), ("unnamed", "notPermitted")] {
        let error = ask(label, "fetch_send", json!({ "call": call })).unwrap_err();
        assert_eq!(error["kind"], kind, "{label}: {error}");
    }
    assert_eq!(page.invoke("fetch_send", json!({ "call": call })).unwrap_err()["kind"], "invalidArgument");
    assert!(backend.asked().is_empty());
}

#[test]
fn d5_a_webview_that_a_capability_names_may_call_what_that_one_says_and_not_what_its_window_may() {
    let (server, [of_the_window, its_own, denied]) = (server(), [backend(), backend(), backend()]);
    let allow = |backends: &[&Backend]| {
        let allow: Vec<_> = backends.iter().map(|backend| backend.url("/*")).collect();
        json!({"identifier": "otpless:allow-fetch", "allow": allow})
    };
    let mut whole = allow(&[&of_the_window]);
    whole["deny"] = json!([denied.url("/*")]);
    let permissions = json!(["otpless:default", "otpless:allow-start-session", whole]);
    let capabilities = json!([
        {"identifier": "window", "windows": ["main"], "permissions": permissions},
        {"identifier": "child", "webviews": ["named"], "permissions": [allow(&[&its_own, &denied])]},
    ]);
    let page = open_covered(config(&server), capabilities);
    page.sign_in(&server);
    let named = page.child("named");
    let ask = |backend: &Backend| {
        let args = json!({"request": {"url": backend.url("/")}});
        invocation(&named, "fetch", args).json().map(drop)
    };
    assert_eq!(ask(&its_own), Ok(()));
    for (backend, why) in [(&of_the_window, "its window's"), (&denied, "denied to its window")] {
        assert_eq!(ask(backend).unwrap_err()["kind"], "notPermitted", "{why}");
    }
    assert!(get(&page, &of_the_window.url("/")).is_ok());
}

#[test]
fn d8_whatever_a_page_passes_it_gets_a_typed_error() {
    let (server, backend) = (server(), backend());
    let page = open_with(config(&server), allow_fetch(&[json!({"url": backend.url("/*")})], &[]));
    let hostile = [
        json!(null),
        json!([]),
        json!("x"),
        json!(1),
        json!({"request": null, "call": null}),
        json!({"request": "https://a.example", "call": "1"}),
        json!({"request": {"url": {}}, "call": -1}),
        json!({"request": {"url": backend.url("/"), "headers": {"a": "b"}}, "call": 1.5}),
        json!({"request": {"url": backend.url("/"), "headers": [["Authorization", "x"]]}, "call": []}),
        json!({"request": {"url": backend.url("/"), "method": "TRACE"}, "call": 1e300}),
        json!({"request": {"url": backend.url("/"), "body": "whole"}, "call": {}}),
        json!({"request": {"url": backend.url("/"), "unknown": 1}, "call": u64::MAX}),
    ];
    for command in ["fetch"].iter().chain(&LATER) {
        for args in &hostile {
            let answer = page.invoke(command, args.clone());
            if *command == "fetch_cancel" && answer.is_ok() {
                assert!(args["call"].is_u64(), "only a number can be of a call: {args}");
                continue;
            }
            assert_eq!(answer.unwrap_err()["kind"], "invalidArgument", "{command} {args}");
        }
    }
    let call = page
        .invoke("fetch", json!({"request": {"url": backend.url("/"), "method": "POST", "body": "whole"}}))
        .unwrap();
    for piece in [json!({}), json!("AAAA"), json!([256]), json!([null])] {
        let error = write(&page, &call, InvokeBody::Json(piece.clone())).unwrap_err();
        assert_eq!(error["kind"], "invalidArgument", "{piece}: {error}");
    }
    for header in ["", "x", "-1", "1 1", "99999999999999999999999"] {
        let mut headers = HeaderMap::new();
        headers.insert("otpless-call", header.parse().unwrap());
        let write = invocation(page.window.as_ref(), "fetch_write", Value::Null);
        let error = Invocation { body: InvokeBody::Raw(vec![1]), headers, ..write }.answer().unwrap_err();
        assert_eq!(error["kind"], "invalidArgument", "{header}: {error}");
    }
    let too_large = InvokeBody::Raw(vec![0; 1024 * 1024 + 1]);
    assert_eq!(write(&page, &call, too_large).unwrap_err()["kind"], "invalidArgument");
    let error = page.invoke("fetch_send", json!({ "call": call })).unwrap_err();
    assert_eq!(error["kind"], "invalidArgument", "the body is not complete: {error}");
    write(&page, &call, InvokeBody::Json(json!([104, 105]))).expect("numbers are bytes where IPC has none");
    write(&page, &call, InvokeBody::Json(json!([]))).expect("the end");
    let error = write(&page, &call, InvokeBody::Raw(vec![1])).unwrap_err();
    assert_eq!(error["kind"], "invalidArgument", "after the end: {error}");
    assert!(backend.asked().is_empty());
}
