//! Order without sleeping: gates and waiting.

use futures_poll::is_pending;
use otpless_local::{Operation, SessionState};

use crate::support::{Fixture, within};

mod futures_poll {
    use std::{future::Future, pin::pin, task::Poll};

    /// Whether `future` has nothing to say yet.
    pub(super) async fn is_pending(future: impl Future) -> bool {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }
}

#[tokio::test]
async fn a_gate_holds_calls_after_their_work_until_it_is_released() {
    let fixture = Fixture::new().await;
    let gate = fixture.control.pause(Operation::Delete);
    let delete = fixture.delete(&fixture.issued.session_id);
    let look = async {
        within(gate.held(1)).await;
        assert_eq!(fixture.control.session_state(&fixture.issued.session_id), None, "the work is done");
        assert_eq!(fixture.control.count(Operation::Delete), 1, "and logged");
        assert_eq!(gate.holding(), 1);
        gate.release();
    };
    let (reply, ()) = tokio::join!(delete, look);
    assert_eq!(reply.status, 200);
    assert_eq!(fixture.delete(&fixture.issued.session_id).await.status, 400, "nothing holds any more");
}

#[tokio::test]
async fn a_gate_before_the_work_holds_it_back_too() {
    let fixture = Fixture::new().await;
    let gate = fixture.control.pause_before(Operation::Delete);
    let delete = fixture.delete(&fixture.issued.session_id);
    let look = async {
        within(gate.held(1)).await;
        let state = fixture.control.session_state(&fixture.issued.session_id);
        assert_eq!(state, Some(SessionState::Active), "the work is not done");
        assert_eq!(fixture.control.count(Operation::Delete), 0, "nor logged");
        gate.release();
    };
    let (reply, ()) = tokio::join!(delete, look);
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_gate_lets_single_calls_go_and_forgets_clients_that_gave_up() {
    let fixture = Fixture::new().await;
    let gate = fixture.control.pause(Operation::Authenticate);
    let first = fixture.authenticate(&fixture.issued);
    let second = fixture.authenticate(&fixture.issued);
    let look = async {
        within(gate.held(2)).await;
        gate.release_one();
    };
    {
        let (first, second) = (std::pin::pin!(first), std::pin::pin!(second));
        let both = futures_select(first, second);
        let (reply, ()) = tokio::join!(both, look);
        assert_eq!(reply.status, 200);
        assert_eq!(gate.holding(), 1);
    }
    // The other one's connection was dropped with its future.
    within(async {
        while gate.holding() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Whichever answers first.
async fn futures_select<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> T {
    tokio::select! { reply = first => reply, reply = second => reply }
}

#[tokio::test]
async fn waiting_for_requests_ends_with_the_nth_and_not_before() {
    let fixture = Fixture::new().await;
    let waiting = fixture.control.wait_for(Operation::Refresh, 2);
    let mut waiting = std::pin::pin!(waiting);
    fixture.refresh(&fixture.issued.refresh_token).await;
    fixture.authenticate(&fixture.issued).await;
    assert!(is_pending(waiting.as_mut()).await);
    fixture.refresh("another").await;
    within(waiting).await;
}

#[tokio::test]
async fn taken_requests_are_counted_no_more() {
    let fixture = Fixture::new().await;
    fixture.authenticate(&fixture.issued).await;
    fixture.refresh(&fixture.issued.refresh_token).await;
    assert_eq!(fixture.control.count(Operation::Any), 2);
    let taken: Vec<_> = fixture.control.take_requests().into_iter().map(|r| (r.n, r.operation)).collect();
    assert_eq!(taken, [(1, Operation::Authenticate), (2, Operation::Refresh)]);
    assert_eq!((fixture.control.count(Operation::Any), fixture.control.requests().len()), (0, 0));
}

#[tokio::test]
async fn the_log_has_what_a_contract_test_looks_at() {
    let fixture = Fixture::new().await;
    fixture.refresh(&fixture.issued.refresh_token).await;
    let request = fixture.control.requests().pop().expect("it was logged");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v4/session/refresh"));
    assert_eq!(request.header("appId"), Some("DEMOAPP00000000000001"));
    assert_eq!(request.header("state"), Some(""));
    assert_eq!(request.header("Content-Type"), Some("application/json"));
    assert_eq!(request.header("clientSecret"), None);
    assert_eq!(request.body["refreshToken"], fixture.issued.refresh_token);
    assert_eq!((request.status, request.outcome.as_str()), (Some(200), "ok"));
    assert!((fixture.control.now() - request.at).abs() < 60_000);
}
