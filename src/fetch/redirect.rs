//! Redirects, as the fetch standard has them ("HTTP-redirect fetch") and a little stricter. Pure.
//!
//! The HTTP client follows none: each step must be in the page's scope, and the session must not go along to another
//! origin. A server of the app's own that can be made to redirect anywhere, which many can, would otherwise hand it on.

use reqwest::{
    Method, StatusCode, Url,
    header::{
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap,
        LOCATION,
    },
};

use super::{ask::BodyKind, attach::Secrets, scope::Scope};
use crate::{
    config::tokens_may_travel_to,
    error::{Error, ErrorKind, Result},
};

/// As many as the fetch standard allows.
pub(crate) const MAX_REDIRECTS: u32 = 20;

/// One request of a call: the first, or where a redirect leads.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// As the page gave them, without the session.
    pub(crate) headers: HeaderMap,
    pub(crate) body: BodyKind,
    /// Whether the session goes along: until the call has left the origin it began at, for good.
    pub(crate) with_session: bool,
}

/// Whether an answer is a redirect in the standard's sense ("redirect status").
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where an answer leads: the next request of the call, or `None` if it leads nowhere and is the answer.
///
/// # Errors
///
/// `NotPermitted` if the next address is not in the scope or not safe enough, `Server` if there cannot be a next request.
pub(crate) fn next(
    status: StatusCode,
    answer: &HeaderMap,
    hop: &Hop,
    scope: &Scope,
    secrets: &Secrets,
) -> Result<Option<Hop>> {
    let Some(location) = answer.get(LOCATION) else { return Ok(None) };
    let location = std::str::from_utf8(location.as_bytes()).ok().and_then(|to| hop.url.join(to).ok());
    let mut url = location.ok_or_else(|| broken("to what is no address"))?;
    url.set_fragment(None);
    // Before anything names it: the page would read it in `response.url`, and proxies in their logs (requirement E3).
    if secrets.are_in(url.as_str().as_bytes()) {
        return Err(broken("to an address with the session in it"));
    }
    if hop.url.scheme() == "https" && url.scheme() != "https" {
        return Err(unsafe_to_follow("is not https, but the request was"));
    }
    tokens_may_travel_to(&url).map_err(|why| unsafe_to_follow(&why))?;
    scope.check(&url)?;
    if status != StatusCode::SEE_OTHER && hop.body == BodyKind::Stream {
        return Err(broken("a request whose body was a stream, which is gone and cannot be sent again"));
    }
    let with_session = hop.with_session && url.origin() == hop.url.origin();
    let mut next = Hop { url, with_session, ..hop.clone() };
    let becomes_get = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => hop.method == Method::POST,
        StatusCode::SEE_OTHER => !matches!(hop.method, Method::GET | Method::HEAD),
        _ => false,
    };
    if becomes_get {
        next.method = Method::GET;
        next.body = BodyKind::None;
        for about_the_body in
            [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE]
        {
            next.headers.remove(about_the_body);
        }
    }
    Ok(Some(next))
}

/// A redirect that cannot be followed; `what` says what it does.
pub(crate) fn broken(what: &str) -> Error {
    Error::new(
        ErrorKind::Server,
        format!("your backend redirects {what}; the redirect was not followed. The session is kept"),
    )
}

fn unsafe_to_follow(why: &str) -> Error {
    Error::new(
        ErrorKind::NotPermitted,
        format!(
            "your backend redirects to an address that {why}; the redirect was not followed. The session is kept"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::{fetch::Attach, session::credential::Credential};

    const PAGE: &str = "https://api.example.com/a/b?c";

    fn hop(method: Method, body: BodyKind) -> Hop {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert("x-kept", HeaderValue::from_static("1"));
        Hop { method, url: PAGE.parse().unwrap(), headers, body, with_session: true }
    }

    fn scope() -> Scope {
        let allow = ["https://*.example.com/*", "https://api.example.com:8443/*", "http://localhost/*"];
        let entries: Vec<_> =
            allow.iter().map(|url| Arc::new(serde_json::from_value(json!(url)).unwrap())).collect();
        Scope::new(&entries, &[])
    }

    fn led(status: u16, location: &str, hop: &Hop) -> Result<Option<Hop>> {
        let mut secrets = Secrets::default();
        let credential = Credential::for_tests("0123abcd", "canary.token.sig");
        Attach::Bearer.put(&credential, &mut HeaderMap::new(), &mut secrets).unwrap();
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
        next(StatusCode::from_u16(status).unwrap(), &answer, hop, &scope(), &secrets)
    }

    fn get() -> Hop {
        hop(Method::GET, BodyKind::None)
    }

    #[test]
    fn a_location_is_read_against_the_url_that_answered() {
        for (location, url) in [
            ("x", "https://api.example.com/a/x"),
            ("/x?y#z", "https://api.example.com/x?y"),
            ("?y", "https://api.example.com/a/b?y"),
            ("//www.example.com/x", "https://www.example.com/x"),
        ] {
            let next = led(302, location, &get()).unwrap().unwrap();
            assert_eq!(next.url.as_str(), url, "{location}");
            assert_eq!(next.headers, get().headers);
        }
        let without = next(StatusCode::FOUND, &HeaderMap::new(), &get(), &scope(), &Secrets::default());
        assert!(without.unwrap().is_none(), "then the answer itself is the answer");
        for status in [200, 300, 304, 305, 306, 401] {
            assert!(!is_redirect(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }

    #[test]
    fn e2_the_session_stays_at_its_origin_and_does_not_come_back() {
        for (location, with_session) in [
            ("/x", true),
            ("https://api.example.com:443/x", true),
            ("https://www.example.com/x", false),
            ("https://api.example.com:8443/x", false),
        ] {
            assert_eq!(led(307, location, &get()).unwrap().unwrap().with_session, with_session, "{location}");
        }
        let away = led(302, "https://www.example.com/x", &get()).unwrap().unwrap();
        let back = led(302, "https://api.example.com/x", &away).unwrap().unwrap();
        assert!(!back.with_session, "whoever it was handed to may have sent it here");
    }

    #[test]
    fn the_method_and_the_body_change_as_the_standard_has_it() {
        for (status, method, becomes) in [
            (301, Method::POST, Method::GET),
            (302, Method::POST, Method::GET),
            (303, Method::POST, Method::GET),
            (303, Method::PUT, Method::GET),
            (303, Method::DELETE, Method::GET),
            (303, Method::HEAD, Method::HEAD),
            (301, Method::PUT, Method::PUT),
            (302, Method::DELETE, Method::DELETE),
            (307, Method::POST, Method::POST),
            (308, Method::PUT, Method::PUT),
        ] {
            let before = hop(method.clone(), BodyKind::Whole);
            let next = led(status, "/x", &before).unwrap().unwrap();
            assert_eq!(next.method, becomes, "{status} {method}");
            let kept = becomes == method;
            assert_eq!(next.body == BodyKind::Whole, kept, "{status} {method}");
            assert_eq!(next.headers.contains_key(CONTENT_TYPE), kept, "{status} {method}");
            assert!(next.headers.contains_key("x-kept"));
        }
    }

    #[test]
    fn a_stream_cannot_be_sent_again() {
        let streamed = hop(Method::POST, BodyKind::Stream);
        for status in [301, 302, 307, 308] {
            let error = led(status, "/x", &streamed).unwrap_err();
            assert!(error.message().contains("stream"), "{status}: {error}");
        }
        assert_eq!(led(303, "/x", &streamed).unwrap().unwrap().body, BodyKind::None);
    }

    #[test]
    fn e2_no_step_leads_out_of_the_scope_or_to_where_no_token_may_travel() {
        for (location, kind) in [
            ("https://evil.example/", ErrorKind::NotPermitted),
            ("https://api.example.com.evil.example/", ErrorKind::NotPermitted),
            ("https://user:pw@www.example.com/", ErrorKind::NotPermitted),
            ("http://api.example.com/", ErrorKind::NotPermitted),
            ("http://localhost/", ErrorKind::NotPermitted),
            ("data:text/plain,x", ErrorKind::NotPermitted),
            ("javascript:alert(1)", ErrorKind::NotPermitted),
            ("file:///etc/passwd", ErrorKind::NotPermitted),
            ("https://", ErrorKind::Server),
            ("https://www.example.com/?token=canary.token.sig", ErrorKind::Server),
            ("/back?token=canary%2Etoken%2Esig", ErrorKind::Server),
        ] {
            let error = led(302, location, &get()).unwrap_err();
            assert_eq!(error.kind(), kind, "{location}: {error}");
            assert!(!error.message().contains("canary") && !error.message().contains("pw"), "{error}");
        }
        let mut local = get();
        local.url = "http://localhost/x".parse().unwrap();
        assert!(led(302, "http://127.0.0.1/", &local).is_err(), "not in the scope");
        assert!(led(302, "http://localhost/y", &local).unwrap().unwrap().with_session);
    }
}
