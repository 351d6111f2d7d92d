//! An answer of a server as the corpora have it, and what must hold of one in either API.
//!
//! A line with the call and the status, headers, an empty line, the body.

use serde_json::Value;
use tauri_plugin_otpless::engine::{ApiError, Verdict};

use super::issuer;

/// The longest token there is.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The session that is asked about.
pub const SESSION_ID: &str = "0123456789abcdef0123456789abcdef";

#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    pub head: &'a str,
    pub body: &'a [u8],
}

impl<'a> Recorded<'a> {
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let end = data.windows(2).position(|pair| pair == b"\n\n")?;
        Some(Self { head: std::str::from_utf8(&data[..end]).ok()?, body: &data[end + 2..] })
    }

    /// Which call it answers, and with which status.
    pub fn call(&self) -> Option<(&'a str, u16)> {
        let (call, status) = self.head.lines().next()?.split_once(' ')?;
        Some((call, status.parse().ok()?))
    }

    /// Nothing but OTPless's own verdict ends a session (C5), and nothing of an answer gets into an error (A2).
    pub fn assert_is_sound(&self, outcome: &Result<(), ApiError>) {
        let (call, status) = self.call().expect("a call was made");
        match outcome {
            Ok(()) if call == "revoke" && (400..500).contains(&status) => assert!(self.is_verdict()),
            Ok(()) => assert!(status == 200 && self.body.trim_ascii_start().starts_with(b"{")),
            Err(refused) => {
                if refused.verdict == Verdict::Over {
                    assert!((400..500).contains(&status) && self.is_verdict());
                }
                let code = refused.error.code().unwrap_or_default();
                assert!(code.len() <= 8 && code.bytes().all(|b| b.is_ascii_alphanumeric()), "{code}");
                // The server's words are not passed on, only a status and a code.
                let words = refused.error.message();
                assert!(words.len() < 200 && words.is_ascii(), "{words}");
            }
        }
    }

    /// One of the two codes that end a session, as a string, where it belongs.
    fn is_verdict(&self) -> bool {
        let code = issuer::object(self.body).and_then(|answer| answer.get("errorCode").cloned());
        matches!(code, Some(Value::String(code)) if code == "7414" || code == "7415")
    }
}

pub fn assert_is_token(token: &str) {
    assert!(!token.is_empty() && token.len() <= MAX_TOKEN_BYTES);
}
