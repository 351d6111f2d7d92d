//! Any JSON as the result of a sign-in: refused by name, or three values of the right shape that both dialects agree on.

use serde_json::{Value, json};
use tauri_plugin_otpless::{
    ErrorKind,
    engine::{MAX_SIGN_IN_BYTES, SignIn},
};

pub fn run(data: &[u8]) {
    let Ok(result) = serde_json::from_slice::<Value>(data) else { return };
    let size = result.to_string().len();
    let sign_in = match SignIn::from_json(result) {
        Ok(sign_in) => sign_in,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.message().len() < 300 && error.message().is_ascii(), "{error}");
            return;
        }
    };
    assert!(size <= MAX_SIGN_IN_BYTES);
    let tokens = &sign_in.tokens;
    let (id, token, refresh) =
        (tokens.session_id.expose(), tokens.session_token.expose(), tokens.refresh_token.expose());
    assert!((1..=256).contains(&id.len()));
    assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{id}");
    for jwt in [token, refresh] {
        assert_eq!(jwt.matches('.').count(), 2, "{jwt}");
    }
    if let Some(state) = &sign_in.state {
        assert!((1..=1024).contains(&state.len()) && state.bytes().all(|b| b.is_ascii_graphic()));
    }
    let web = json!({"success": true, "sessionId": id, "sessionToken": token, "refreshToken": refresh});
    let mobile = json!({"sessionToken": id, "sessionTokenJWT": token, "refreshToken": refresh});
    for again in [
        json!({"response": {"sessionInfo": web.clone()}}),
        json!({"sessionInfo": mobile.clone()}),
        web,
        mobile,
    ] {
        // The names around three values that only just fit can make them too large.
        if again.to_string().len() <= MAX_SIGN_IN_BYTES {
            assert_eq!(&SignIn::from_json(again).expect("the same three values").tokens, tokens);
        }
    }
}
