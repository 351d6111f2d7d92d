//! Clients that go away while OTPless works on their call.

use otpless_local::Operation;
use otpless_test_kit::log::{catch_everything, caught};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Fixture, PATIENCE, REFRESH, head};

/// C2: OTPless may spend the refresh token although nobody is there to get the next one, so it is not left half done.
#[tokio::test]
async fn c2_an_exchange_comes_to_its_end_although_its_client_has_gone_and_is_waited_for() {
    catch_everything();
    let Fixture { local: _local, control, issued, relay } = Fixture::new().await;
    let address = relay.address();
    let gate = control.pause_before(Operation::GetNewSessionToken);
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = json!({ "refreshToken": issued.refresh_token }).to_string();
    let request = head("POST", REFRESH, &[("content-type", "application/json")], body.len()) + &body;
    client.write_all(request.as_bytes()).await.unwrap();
    gate.held(1).await;

    // A client that says goodbye and listens on learns from the end of its connection that the relay has given it up.
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"", "an answer would not have got lost");

    let stopping = tokio::spawn(relay.shutdown());
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("it takes no more calls");
    assert_eq!((gate.holding(), stopping.is_finished()), (1, false), "OTPless still works on the call");
    gate.release();
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();

    assert_eq!(control.count(Operation::GetNewSessionToken), 1);
    let now = control.tokens(&issued.session_id).unwrap();
    assert_ne!(now.refresh_token, issued.refresh_token, "the work was done");
    let said = format!("answered, and the client had gone path=\"{REFRESH}\" status=200 ");
    assert!(String::from_utf8(caught()).unwrap().contains(&said), "{said}");
}
