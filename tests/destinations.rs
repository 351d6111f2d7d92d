//! Where calls go and what their addresses say: to the configured server and no other (E2), with no token in a URL (E3).

use std::{io::ErrorKind::WouldBlock, net::TcpListener, time::Duration};

use otpless_local::{Fault, Operation};
use tauri_plugin_otpless::{
    Error, ErrorKind,
    engine::{Credentials, HttpClient, RelayApi, RelayHeaders, SessionApi},
};

use crate::support::Device;

const ID: &str = "0123456789abcdef0123456789abcdef";

async fn refused(api: &dyn SessionApi, operation: Operation) -> Error {
    let outcome = match operation {
        Operation::Authenticate | Operation::ValidateSession => {
            let credentials =
                Credentials { session_id: &ID.into(), session_token: &"h.p.s".into(), state: None };
            api.authenticate(credentials).await.outcome.map(drop)
        }
        Operation::Refresh | Operation::GetNewSessionToken => {
            api.refresh(&"h.r.s".into(), None).await.outcome.map(drop)
        }
        Operation::GetSessionDetails => {
            api.session_details(&ID.into()).expect("v1 has it").await.outcome.map(drop)
        }
        Operation::Delete | Operation::RevokeSession => api.revoke(&ID.into()).await.outcome,
        other => unreachable!("{other:?} is no call of the session API"),
    };
    outcome.expect_err("a redirect is no answer").error
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_no_redirect_is_followed_whatever_the_call_and_wherever_it_leads() {
    let device = Device::new().await;
    let headers = RelayHeaders::default().with("x-api-key", "canary-of-the-gateway");
    let relay = RelayApi::new(HttpClient::new().expect("an HTTP client"), device.url(""), headers)
        .expect("good headers");
    let direct = device.api();
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a listener that can be asked");
    let address = elsewhere.local_addr().expect("an address");
    let targets = [
        format!("http://{address}/v4/session/refresh"),
        format!("http://{address}"),
        format!("{}/v4/session/elsewhere", device.otpless.url()),
        "/v4/session/elsewhere".to_owned(),
    ];
    let calls: [(&dyn SessionApi, Operation); 7] = [
        (&direct, Operation::Authenticate),
        (&direct, Operation::Refresh),
        (&direct, Operation::Delete),
        (&relay, Operation::ValidateSession),
        (&relay, Operation::GetNewSessionToken),
        (&relay, Operation::GetSessionDetails),
        (&relay, Operation::RevokeSession),
    ];
    for (api, operation) in calls {
        for status in [301, 302, 303, 307, 308] {
            for target in &targets {
                device.control.fault(operation, Fault::Redirect(status, target.clone()), 1);
                let error = refused(api, operation).await;
                let when = format!("{operation:?}, {status} to {target}: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Server, "{when}");
                assert!(error.message().contains("redirect") && !error.message().contains("http:"), "{when}");
                let requests = device.control.take_requests();
                assert_eq!(requests.len(), 1, "{when}: {requests:?}");
                let knocked = elsewhere.accept();
                assert!(
                    knocked.as_ref().is_err_and(|error| error.kind() == WouldBlock),
                    "{when}: {knocked:?}"
                );
            }
        }
    }
}

/// The key set is not secret, but who answers for it decides whom the app believes.
#[tokio::test(flavor = "multi_thread")]
async fn e2_keys_are_not_fetched_from_where_a_redirect_leads() {
    let device = Device::new().await;
    let other = Device::new().await;
    let app = device.start();
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/.well-known/jwks", other.otpless.url());
        device.control.fault(Operation::Jwks, Fault::Redirect(status, target), 1);
        let error = app.start_session(other.issue().web()).await.expect_err("no key is at hand");
        assert_eq!(error.kind(), ErrorKind::Server, "{status}: {error}");
        assert_eq!(device.control.take_requests().len(), 1, "{status}");
        device.time_passes(Duration::from_secs(60));
    }
    assert!(other.control.requests().is_empty(), "{:?}", other.control.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_no_url_of_a_whole_life_holds_a_jwt_and_only_a_revocation_names_the_session() {
    let device = Device::new().await;
    let (app, first) = device.signed_in().await;
    app.verify().await.expect("the session is good");
    app.refresh().await.expect("the exchange succeeds");
    let second = device.issue();
    app.start_session(second.web()).await.expect("the second sign-in is accepted");
    device.control.wait_for(Operation::Delete, 1).await;
    let rotated = device.stored().expect("a session").tokens;
    app.logout().await;
    device.control.wait_for(Operation::Delete, 2).await;

    let requests = device.control.requests();
    for operation in [Operation::Jwks, Operation::Authenticate, Operation::Refresh, Operation::Delete] {
        assert!(requests.iter().any(|request| request.operation == operation), "{operation:?} was seen");
    }
    let jwts = [&first.session_token, &first.refresh_token, &second.session_token, &second.refresh_token];
    for request in &requests {
        assert_eq!(request.query, "", "{} {}", request.method, request.path);
        for jwt in jwts {
            assert!(!request.path.contains(jwt.as_str()), "{} {}", request.method, request.path);
        }
        // Every JWT begins so, whichever it is: `{"` in base64.
        assert!(!request.path.contains("eyJ"), "{} {}", request.method, request.path);
        let names_a_session = [&first, &second].iter().any(|life| request.path.contains(&life.session_id));
        assert_eq!(names_a_session, request.operation == Operation::Delete, "{}", request.path);
        assert_eq!(request.header("referer"), None);
    }
    assert_eq!(rotated.session_id.expose(), second.session_id);
}
