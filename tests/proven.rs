//! A refresh that brought tokens which nobody can verify yet, and which turn out to be nobody's: the session goes on with those
//! before, which the server may never have heard of as spent.

use std::time::Duration;

use otpless_local::{Control, Fault, Issued, Operation, Rotation, Settings, SignIn};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    EndReason, ErrorKind, SessionStatus, Storage,
    engine::{MemoryStore, SessionApi, SessionStore, Slot, StoreError},
};
use zeroize::Zeroizing;

use crate::support::{App, Device, eventually};

/// Longer than what failed once is let alone.
const A_WHILE: Duration = Duration::from_secs(20 * 60);

/// Tokens of the session `issued` with a key that is in nobody's set, as an answer.
fn forged(control: &Control, issued: &Issued) -> Fault {
    let claims = control.claims(&issued.session_id).expect("the session is there");
    let token = |name: &str, life: i64| {
        let mut claims = claims.clone();
        claims["jti"] = name.into();
        claims["exp"] = (claims["exp"].as_i64().expect("a time") + life).into();
        control.mint_with_unknown_key(claims, json!({"alg": "RS256", "typ": "JWT", "kid": "nobody's"}))
    };
    answer(&issued.session_id, &token("one", 0), &token("two", 6 * 24 * 3600))
}

fn answer(session_id: &str, session_token: &str, refresh_token: &str) -> Fault {
    let body =
        json!({"sessionToken": session_id, "sessionTokenJWT": session_token, "refreshToken": refresh_token});
    Fault::Status(200, body.to_string())
}

/// The next refresh is answered so, and the keys cannot be had.
fn a_lie_is_told(device: &Device, issued: &Issued) {
    device.control.fault(Operation::Refresh, forged(&device.control, issued), 1);
    device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
}

fn all_is_well_again(device: &Device, apps: &[&App]) {
    device.control.clear_faults();
    device.time_passes(A_WHILE);
    for app in apps {
        app.look();
    }
}

/// A session whose last refresh was answered with tokens that cannot be verified as long as the keys cannot be had.
async fn with_forged_tokens(device: &Device) -> (App, Issued) {
    let (app, issued) = device.signed_in().await;
    a_lie_is_told(device, &issued);
    app.refresh().await.expect("it is stored: what has bought it may be spent");
    assert_eq!(app.current().status, SessionStatus::Stale, "and not served");
    assert_ne!(device.stored().expect("a session").tokens.refresh_token.expose(), issued.refresh_token);
    (app, issued)
}

/// A3: also if it had no room for both later, when it works again: the rotated tokens do not stay in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a5_nor_does_a_keychain_with_little_room_that_was_locked_refuse_them() {
    let device = Device::new().await;
    let store = device.store.clone();
    let app = device.start_with(move || Box::new(Small(store.clone())));
    let issued = device.issue();
    app.start_session(issued.web()).await.expect("the sign-in is accepted");
    a_lie_is_told(&device, &issued);
    device.store.fail_all(Some(StoreError::Locked));
    app.refresh().await.expect("it is kept in memory");
    assert_eq!(app.current().storage, Storage::Ephemeral);
    device.store.fail_all(None);
    app.look();
    app.until("the keychain to be used again", |session| session.storage == Storage::Keychain).await;
    assert_ne!(device.stored().expect("a session").tokens.refresh_token.expose(), issued.refresh_token);
}

/// B8: a session token that comes alone does not vouch for a refresh token that was never verified, nor does it close the way back.
#[tokio::test(flavor = "multi_thread")]
async fn b8_a_second_answer_without_a_refresh_token_closes_no_way_back() {
    let device = Device::new().await;
    let (app, issued) = with_forged_tokens(&device).await;
    let mut claims = device.control.claims(&issued.session_id).expect("the session is there");
    claims["jti"] = "alone".into();
    let alone = device.control.mint(claims, Value::Null);
    for (token, taken) in [(&issued.refresh_token, false), (&alone, true)] {
        device.time_passes(A_WHILE);
        device.control.fault(
            Operation::Refresh,
            Fault::Status(200, json!({"sessionTokenJWT": token}).to_string()),
            1,
        );
        assert_eq!(app.refresh().await.is_ok(), taken);
        assert_eq!(app.current().status, SessionStatus::Stale, "taken: {taken}");
        assert!(app.session_token(Duration::ZERO).await.is_err(), "taken: {taken}");
    }
    all_is_well_again(&device, &[&app]);
    goes_on(&device, &app, &issued).await;
}

/// A server need not say that a token is over which it has never issued: it may not know it for a token.
#[tokio::test(flavor = "multi_thread")]
async fn c5_forged_tokens_that_the_server_calls_malformed_do_not_cost_the_session_either() {
    let device = Device::new().await;
    let (app, issued) = with_forged_tokens(&device).await;
    device.control.clear_faults();
    device.control.fault(Operation::Refresh, Fault::Invalid7101, 1);
    device.time_passes(A_WHILE);
    app.look();
    device.control.wait_for(Operation::Refresh, 2).await;
    goes_on(&device, &app, &issued).await;
}

/// Finding out is left to each process; what one has found is what all come to.
#[tokio::test(flavor = "multi_thread")]
async fn c5_a_process_that_ran_beside_the_refresh_comes_to_the_good_tokens_as_well() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let peer = device.start();
    assert_eq!(peer.session().await.status, SessionStatus::Active);
    a_lie_is_told(&device, &issued);
    app.refresh().await.expect("it is stored");
    peer.look();
    peer.until_status(SessionStatus::Stale).await;
    all_is_well_again(&device, &[&peer, &app]);
    goes_on(&device, &peer, &issued).await;
    goes_on(&device, &app, &issued).await;
}

/// What the server says of the session, and the keychain has.
async fn goes_on(device: &Device, app: &App, issued: &Issued) {
    let session = app.until_status(SessionStatus::Active).await;
    assert_eq!(session.user_id.as_deref(), Some(issued.user_id.as_str()));
    eventually("the tokens that are good to be stored", || {
        let stored = device.stored().expect("a session");
        let good = device.control.tokens(&issued.session_id).expect("the session is there");
        stored.tokens.refresh_token.expose() == good.refresh_token && stored.proven.is_none()
    })
    .await;
    assert_eq!(device.control.replays(), 0);
}

/// C1, C5: nothing but the server's word on what it has issued ends a session.
#[tokio::test(flavor = "multi_thread")]
async fn c5_forged_tokens_with_an_unknown_key_do_not_cost_the_session() {
    let device = Device::new().await;
    let (app, issued) = with_forged_tokens(&device).await;
    all_is_well_again(&device, &[&app]);
    goes_on(&device, &app, &issued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_nor_after_a_restart() {
    let device = Device::new().await;
    let (app, issued) = with_forged_tokens(&device).await;
    app.kill().await;
    device.control.clear_faults();
    device.time_passes(A_WHILE);
    let app = device.start();
    goes_on(&device, &app, &issued).await;
}

/// Nor in the process that only found them in the keychain.
#[tokio::test(flavor = "multi_thread")]
async fn c5_two_processes_with_forged_tokens_come_to_the_same_good_ones() {
    let device = Device::new().await;
    let (app, issued) = with_forged_tokens(&device).await;
    let peer = device.start();
    assert_eq!(peer.session().await.status, SessionStatus::Stale);
    all_is_well_again(&device, &[&peer, &app]);
    goes_on(&device, &peer, &issued).await;
    goes_on(&device, &app, &issued).await;
}

/// The token that the server refuses is the only one there is: it is a verdict.
#[tokio::test(flavor = "multi_thread")]
async fn c5_a_session_that_was_revoked_meanwhile_is_over_all_the_same() {
    let device = Device::new().await;
    let (app, issued) = with_forged_tokens(&device).await;
    device.control.revoke(&issued.session_id);
    all_is_well_again(&device, &[&app]);
    let session = app.until_status(SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::Revoked));
    eventually("the purge", || device.store.peek(Slot::Session).is_none()).await;
}

/// B9: also if whose they are is known only later: the key was not at hand when they came.
#[tokio::test(flavor = "multi_thread")]
async fn b9_tokens_that_turn_out_to_be_somebody_elses_are_given_up_and_the_session_kept() {
    let device = Device::new().await;
    for restarted in [false, true] {
        let (mut app, issued) = device.signed_in().await;
        device.control.rotate_keys(true);
        let other = device.control.sign_in(SignIn::default());
        let theirs = answer(&issued.session_id, &other.session_token, &other.refresh_token);
        device.control.fault(Operation::Refresh, theirs, 1);
        device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
        device.time_passes(A_WHILE);
        app.refresh().await.expect("it is stored");
        if restarted {
            app.kill().await;
            app = device.start();
        }
        assert_eq!(app.session().await.status, SessionStatus::Stale);
        all_is_well_again(&device, &[&app]);
        goes_on(&device, &app, &issued).await;
        app.logout().await;
    }
}

/// The issuer's next key: what came is good, and what it has replaced is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn c1_tokens_with_the_issuers_next_key_are_used_as_soon_as_it_is_known() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.control.rotate_keys(true);
    device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
    app.refresh().await.expect("it is stored");
    let kept = device.stored().expect("a session").proven.expect("they are kept");
    assert_eq!(kept.refresh_token.expose(), issued.refresh_token);
    all_is_well_again(&device, &[&app]);
    app.until_status(SessionStatus::Active).await;
    device.time_passes(A_WHILE);
    app.refresh().await.expect("the exchange is made");
    goes_on(&device, &app, &issued).await;
    assert_eq!(device.control.count(Operation::Refresh), 2, "the old token was not offered again");
}

/// The answer of an earlier exchange, once more: its refresh token is spent.
#[tokio::test(flavor = "multi_thread")]
async fn c5_an_answer_that_was_given_before_is_refused_and_the_session_kept() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.time_passes(A_WHILE);
    app.refresh().await.expect("the exchange is made");
    let first = device.control.tokens(&issued.session_id).expect("the session is there");
    let again = answer(&issued.session_id, &first.session_token, &first.refresh_token);
    for (what, pause) in
        [("while it is good by its date", A_WHILE), ("a day later", Duration::from_secs(25 * 3600))]
    {
        device.time_passes(pause);
        app.refresh().await.expect(what);
        let good = device.stored().expect("a session").tokens;
        device.time_passes(A_WHILE);
        device.control.fault(Operation::Refresh, again.clone(), 1);
        assert_eq!(app.refresh().await.unwrap_err().kind(), ErrorKind::InvalidToken, "{what}");
        assert_eq!(device.stored().expect("a session").tokens, good, "{what}");
    }
    device.time_passes(A_WHILE);
    app.refresh().await.expect("the exchange is made");
    goes_on(&device, &app, &issued).await;
}

/// C1: a server with a grace window gives again what it has given: the session token may be over by then, and the refresh token is
/// the one that is good.
#[tokio::test(flavor = "multi_thread")]
async fn c1_tokens_that_are_given_again_are_taken_although_the_session_token_is_over() {
    let device = Device::with(Settings {
        rotation: Rotation::Grace,
        grace_seconds: 3600,
        session_token_seconds: 600,
        ..Settings::default()
    })
    .await;
    let (app, issued) = device.signed_in().await;
    let lost =
        device.api().refresh(&issued.refresh_token.as_str().into(), None).await.outcome.expect("it is made");
    device.time_passes(A_WHILE);
    app.refresh().await.expect("its answer is taken");
    let stored = device.stored().expect("a session").tokens;
    assert_eq!(Some(stored.refresh_token), lost.refresh_token);
    device.time_passes(A_WHILE);
    app.look();
    goes_on(&device, &app, &issued).await;
}

/// C9: the server's clock was wrong when it issued the tokens at hand, and has been put right: what it issues now is no earlier.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_server_whose_clock_was_put_back_is_believed_if_the_machines_agrees() {
    let device = Device::new().await;
    let hour = 3_600_000;
    device.control.set_clock_offset(hour);
    let (app, issued) = device.signed_in().await;
    device.control.set_clock_offset(0);
    app.refresh().await.expect("its tokens are taken");
    assert_ne!(device.stored().expect("a session").tokens.refresh_token.expose(), issued.refresh_token);
}

/// A5: a keychain that takes only so much, as Windows' does, takes the tokens that came; those before are left out.
#[tokio::test(flavor = "multi_thread")]
async fn a5_a_keychain_with_little_room_takes_the_rotated_tokens_first() {
    let device = Device::new().await;
    let store = device.store.clone();
    let app = device.start_with(move || Box::new(Small(store.clone())));
    let issued = device.issue();
    app.start_session(issued.web()).await.expect("the sign-in is accepted");
    a_lie_is_told(&device, &issued);
    app.refresh().await.expect("it is stored");
    assert_eq!(app.current().storage, Storage::Keychain);
    let stored = device.stored().expect("a session");
    assert_ne!(stored.tokens.refresh_token.expose(), issued.refresh_token);
    assert_eq!(stored.proven, None);
    all_is_well_again(&device, &[&app]);
    goes_on(&device, &app, &issued).await;
}

/// A keychain that takes as much as Windows' Credential Manager.
#[derive(Debug)]
struct Small(MemoryStore);

impl SessionStore for Small {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.0.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        const LIMIT: u32 = 2560;
        if value.len() > LIMIT as usize {
            Err(StoreError::TooLong { limit: LIMIT })
        } else {
            self.0.write(slot, value)
        }
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.0.erase(slot)
    }

    fn backend(&self) -> &'static str {
        "small"
    }
}
