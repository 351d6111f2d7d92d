//! Who may call what: every command, from every kind of caller, with the permission files as they are shipped (requirements
//! D3 to D5).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tauri::{WebviewWindowBuilder, ipc::InvokeBody};

use crate::support::page::{
    Invocation, LOCAL, all, invocation, is_denied, key_set, manifest, open, open_covered, open_with, server,
};

const DEFAULT: [&str; 5] = ["get_session", "logout", "record_activity", "verify_session", "refresh_session"];

/// What carries a token, writes one, or tells of a person what `get_session` does not.
const TRUSTED: [&str; 8] = [
    "start_session",
    "get_session_token",
    "get_session_details",
    "fetch",
    "fetch_write",
    "fetch_send",
    "fetch_read",
    "fetch_cancel",
];

fn every_command() -> impl Iterator<Item = &'static str> {
    DEFAULT.into_iter().chain(TRUSTED).chain(["diagnostics"])
}

/// A test that goes through them would not notice one that is missing.
#[test]
fn d3_these_are_all_the_commands_there_are() {
    let known: BTreeSet<String> = every_command().map(str::to_owned).collect();
    let permitted = manifest().permissions.into_values().flat_map(|permission| permission.commands.allow);
    assert_eq!(permitted.collect::<BTreeSet<_>>(), known, "in the permission files");
    let source = include_str!("../src/lib.rs");
    let (_, handlers) = source.split_once("generate_handler![").expect("the handler");
    let (handlers, _) = handlers.split_once(']').expect("its end");
    let handled = handlers.split(',').filter_map(|path| Some(path.trim().rsplit_once("::")?.1.to_owned()));
    assert_eq!(handled.collect::<BTreeSet<_>>(), known, "in the handler");
}

#[test]
fn d3_the_default_set_is_the_documented_one_and_gives_no_token_and_no_write() {
    let set = manifest().default_permission.unwrap().permissions;
    let documented = DEFAULT.map(|command| format!("allow-{}", command.replace('_', "-")));
    assert_eq!(set, documented);
}

#[test]
fn d3_a_set_opens_what_it_says_and_nothing_more() {
    for (permissions, granted) in [
        (json!([]), &[][..]),
        (json!(["otpless:default"]), &DEFAULT),
        (json!(["otpless:allow-session-read"]), &["get_session"]),
        (json!(["otpless:allow-sign-in"]), &["get_session", "start_session"]),
        (all(), &every_command().collect::<Vec<_>>()),
    ] {
        let page = open("http://127.0.0.1:9", permissions.clone());
        for command in every_command() {
            let answer = page.invoke(command, json!({}));
            assert_eq!(
                !is_denied(&answer),
                granted.contains(&command),
                "{command}, {permissions}: {answer:?}"
            );
        }
    }
}

#[test]
fn d3_a_permission_opens_its_own_command_and_its_denial_closes_it_again() {
    for command in every_command().filter(|command| !command.starts_with("fetch_")) {
        let name = command.replace('_', "-");
        let page = open("http://127.0.0.1:9", json!([format!("otpless:allow-{name}")]));
        for other in every_command() {
            let opens = other == command || command == "fetch" && other.starts_with("fetch_");
            let answer = page.invoke(other, json!({}));
            assert_eq!(!is_denied(&answer), opens, "{other} with allow-{name}: {answer:?}");
        }
        let mut permissions = all();
        permissions.as_array_mut().unwrap().push(json!(format!("otpless:deny-{name}")));
        let page = open("http://127.0.0.1:9", permissions);
        let answer = page.invoke(command, json!({}));
        assert!(
            matches!(&answer, Err(Value::String(why)) if why.contains("explicitly denied")),
            "{command}: {answer:?}"
        );
    }
}

/// Pages that are not the app's: elsewhere, looking like it, or made up by one that is.
const FOREIGN: [&str; 21] = [
    "https://evil.example",
    "https://otpless.com",
    "http://127.0.0.1:9",
    "http://localhost",
    "https://localhost",
    "https://tauri.localhost.evil.example",
    "https://evil.example/tauri://localhost",
    "https://tauri.localhost@evil.example",
    // The app's own origin is so on Windows and Android, and on no other system.
    "http://tauri.localhost",
    "https://tauri.localhost:8443",
    "tauri://evil",
    "tauri://evil.localhost",
    "tauri://localhost.evil.example",
    "tauri://localhost@evil.example",
    "asset://localhost/index.html",
    "ipc://localhost/index.html",
    "file:///index.html",
    "data:text/html,x",
    "about:blank",
    "about:srcdoc",
    "javascript:void 0",
];

#[test]
fn d4_pages_that_are_not_the_apps_are_refused_whatever_the_command() {
    let page = open("http://127.0.0.1:9", all());
    let child = page.child("second");
    for webview in [page.window.as_ref(), &child] {
        for url in FOREIGN {
            for command in every_command() {
                let answer = Invocation { url, ..invocation(webview, command, json!({})) }.json();
                assert!(is_denied(&answer), "{command} from {url}: {answer:?}");
            }
        }
    }
}

#[test]
fn d4_a_window_that_no_capability_names_is_refused_whatever_the_command() {
    let page = open("http://127.0.0.1:9", all());
    for label in ["other", "main2", "MAIN", "main-", "mai"] {
        let other = WebviewWindowBuilder::new(&page.app, label, Default::default()).build().unwrap();
        for command in every_command() {
            let answer = invocation(other.as_ref(), command, json!({})).json();
            assert!(is_denied(&answer), "{command} from {label}: {answer:?}");
        }
    }
}

/// An app may grant commands to a page on the web. What looks like that page does not get them.
#[test]
fn d4_a_remote_page_gets_what_it_was_granted_and_look_alikes_get_nothing() {
    let granted = json!(["otpless:allow-session-read"]);
    let page = open_covered(
        json!({"apiUrl": "http://127.0.0.1:9", "jwksUrl": key_set("http://127.0.0.1:9")}),
        json!({"identifier": "remote", "windows": ["main"], "local": false, "permissions": granted,
               "remote": {"urls": ["https://app.example.com"]}}),
    );
    let may = |url: &str, command: &str| {
        let answer = Invocation { url, ..invocation(page.window.as_ref(), command, json!({})) }.json();
        !is_denied(&answer)
    };
    for command in every_command() {
        assert_eq!(may("https://app.example.com/index.html", command), command == "get_session", "{command}");
        for url in [
            LOCAL,
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://evil-app.example.com",
            "https://x.app.example.com",
            "https://app.example.com@evil.example",
            "https://evil.example/https://app.example.com",
            "https://evil.example?https://app.example.com",
        ] {
            assert!(!may(url, command), "{command} from {url}");
        }
    }
}

#[test]
fn d5_a_second_webview_in_an_allowed_window_gets_no_token() {
    let server = server();
    let config = json!({"apiUrl": server.url(), "jwksUrl": key_set(&server.url())});
    let mut permissions = all();
    permissions
        .as_array_mut()
        .unwrap()
        .push(json!({"identifier": "otpless:allow-fetch", "allow": ["http://127.0.0.1:9/*"]}));
    let page = open_with(config, permissions);
    let issued = page.sign_in(&server);
    let second = page.child("second");
    let sign_in = json!({"result": issued.web()});
    let call = json!({"request": {"url": "http://127.0.0.1:9/"}});
    for command in TRUSTED {
        for args in [json!({}), json!({"call": 1}), call.clone(), sign_in.clone()] {
            let error = invocation(&second, command, args).json().unwrap_err();
            assert_eq!(error["kind"], "notPermitted", "{command}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("\"second\"") && message.contains("webviews"), "{message}");
        }
        let bytes =
            Invocation { body: InvokeBody::Raw(vec![1]), ..invocation(&second, command, Value::Null) };
        assert_eq!(bytes.answer().unwrap_err()["kind"], "notPermitted", "{command} with bytes");
    }
    // What carries none is as the capability says, and shows none.
    for command in DEFAULT.into_iter().chain(["diagnostics"]).filter(|command| *command != "logout") {
        let answer = invocation(&second, command, json!({})).json().unwrap_or_else(|error| {
            panic!("{command} is granted to the window and carries no token: {error}");
        });
        for secret in [&issued.session_id, &issued.session_token, &issued.refresh_token] {
            assert!(!answer.to_string().contains(secret.as_str()), "{command}");
        }
    }
    // The window's own webview is not hindered.
    assert!(page.invoke("get_session_token", json!({})).is_ok());
    assert!(page.invoke("fetch", call).is_ok());
    assert_eq!(invocation(&second, "logout", json!({})).json().unwrap()["status"], "signedOut");
}
