//! The three values of a session as types that cannot be printed or serialised by accident.
//!
//! `Debug` is redacted, memory is wiped on drop, there is no `Serialize` and no `Display`; [`expose`] is the one
//! way out, so `grep expose` lists every place a secret leaves (requirements A2, D1).
//!
//! [`expose`]: SessionToken::expose

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes the value over; the string's buffer is wiped when the last copy is dropped.
            pub fn new(value: impl Into<Zeroizing<String>>) -> Self {
                Self(value.into())
            }

            /// The secret itself. Every caller answers for where it goes next.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(Zeroizing::new(value))
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(Zeroizing::new(value.to_owned()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

secret! {
    /// The opaque handle of a session, 32 hex characters (`sessionId` of the web dialect). It names the session in a
    /// revocation, and OTPless's v1 API accepts it in place of the token, so it is treated as a credential.
    SessionId
}

secret! {
    /// The session JWT: RS256, short-lived, proves the session offline.
    ///
    /// It can be neither printed nor serialised:
    ///
    /// ```compile_fail
    /// let token = tauri_plugin_otpless::SessionToken::from("h.p.s");
    /// println!("{}", token);
    /// ```
    ///
    /// ```compile_fail
    /// let token = tauri_plugin_otpless::SessionToken::from("h.p.s");
    /// let json = serde_json::to_string(&token).unwrap();
    /// ```
    ///
    /// but for whoever says so:
    ///
    /// ```
    /// let token = tauri_plugin_otpless::SessionToken::from("h.p.s");
    /// println!("{}", token.expose());
    /// let json = serde_json::to_string(token.expose()).unwrap();
    /// ```
    SessionToken
}

secret! {
    /// The refresh JWT: RS256, long-lived, buys a new session token. Never leaves the core.
    RefreshToken
}

/// Overwrites `BYTES` of the stack below the caller, where a library that is not ours has worked with a secret. A thread's stack
/// outlives its calls by hours, and what it held with it. Libraries leave copies on the heap as well; out of reach from here.
#[inline(never)]
pub(crate) fn wipe_stack<const BYTES: usize>() {
    let mut below = [0_u8; BYTES];
    below.zeroize();
    std::hint::black_box(&below);
}

/// The three values together, as a sign-in or a refresh hands them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The opaque, revocable handle.
    pub session_id: SessionId,
    /// The session JWT.
    pub session_token: SessionToken,
    /// The refresh JWT.
    pub refresh_token: RefreshToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    // D1, A2: a compiler that finds one of these does not get past this line.
    static_assertions::assert_not_impl_any!(SessionId: serde::Serialize, std::fmt::Display, AsRef<str>);
    static_assertions::assert_not_impl_any!(SessionToken: serde::Serialize, std::fmt::Display, AsRef<str>);
    static_assertions::assert_not_impl_any!(RefreshToken: serde::Serialize, std::fmt::Display, AsRef<str>);
    static_assertions::assert_not_impl_any!(Tokens: serde::Serialize, std::fmt::Display);
    static_assertions::assert_not_impl_any!(crate::jwt::Claims: serde::Serialize, std::fmt::Display);
    // B4: nor is there another way to make claims than to verify a token.
    static_assertions::assert_not_impl_any!(crate::jwt::Claims: Default, serde::de::DeserializeOwned, From<serde_json::Value>);
    static_assertions::assert_not_impl_any!(crate::store::record::SessionRecord: serde::Serialize, std::fmt::Display);
    static_assertions::assert_not_impl_any!(crate::api::sign_in::SignIn: serde::Serialize, std::fmt::Display);
    static_assertions::assert_not_impl_any!(crate::api::Refreshed: serde::Serialize, std::fmt::Display);
    static_assertions::assert_not_impl_any!(crate::session::ValidToken: serde::Serialize, std::fmt::Display);

    #[test]
    fn a2_debug_of_every_secret_is_redacted() {
        let tokens = Tokens {
            session_id: "canary-id".into(),
            session_token: "canary-token".into(),
            refresh_token: "canary-refresh".into(),
        };
        let printed = format!("{tokens:?}");
        assert!(!printed.contains("canary"), "{printed}");
        assert!(printed.contains("RefreshToken([redacted])"));
    }
}
