//! TLS as it ships (E1): the client that carries the client secret, against servers that cannot prove who they are.

use std::collections::BTreeMap;

use otpless_relay::Relay;
use otpless_test_kit::tls::{self, Client};
use serde_json::json;

use crate::support::{CALLS, REFRESH, send, settings};

const TEST: &str = "tls::e1_no_call_gets_through_to_an_otpless_that_cannot_prove_who_it_is";

#[test]
fn e1_no_call_gets_through_to_an_otpless_that_cannot_prove_who_it_is() {
    if let Some(part) = Client::here() {
        return client(part);
    }
    let heard = CALLS.map(|path| format!("POST {path} "));
    for server in tls::called(TEST, &heard.each_ref().map(String::as_str)) {
        for path in CALLS {
            let outcome = &server.outcomes[path];
            let Some(wrong) = server.wrong else {
                assert_eq!(outcome["status"], 200, "{path} succeeds where nothing is wrong");
                continue;
            };
            assert_eq!((&outcome["status"], &outcome["own"]), (&json!(502), &json!(true)), "{wrong}, {path}");
            let shown = outcome.to_string();
            for kept in ["localhost", "https", "canary", "local-client-secret"] {
                assert!(!shown.contains(kept), "{wrong}, {path}: {shown}");
            }
        }
    }
}

/// The other process: a relay before each of the servers.
#[tokio::main(flavor = "current_thread")]
async fn client(part: Client) {
    let mut all = BTreeMap::new();
    for url in &part.servers {
        let relay = Relay::start(settings(url)).await.expect("a free port");
        let mut outcomes = BTreeMap::new();
        for path in CALLS {
            let field = if path == REFRESH { "refreshToken" } else { "sessionToken" };
            let body = json!({ (field): "canary.of-a.token" }).to_string();
            let headers = [("content-type", "application/json")];
            let reply = send(relay.address(), "POST", path, &headers, body.as_bytes()).await;
            let outcome =
                json!({ "status": reply.status, "own": reply.is_the_relays_own(), "said": reply.json() });
            outcomes.insert(path.to_owned(), outcome);
        }
        all.insert(url.clone(), outcomes);
        relay.shutdown().await;
    }
    part.says(&all);
}
