//! Which headers a page may send and which it may see.

use reqwest::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};

use super::attach::Secrets;
use crate::error::{Error, Result};

/// More than any page sends.
const MAX_HEADERS: usize = 128;

/// Names and values together, in bytes; servers refuse heads at a fraction of it.
const MAX_BYTES: usize = 64 * 1024;

/// What a page must not set: the fetch standard's forbidden request-headers, what is about one connection (RFC 9110
/// §7.6.1), and what carries the session. A page's own browser drops the first silently; a page that calls the command by
/// itself has none in between.
const FORBIDDEN: [&str; 25] = [
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What a proxy in front of a server says of a request, to servers that heed it: another URL than the one in the scope,
/// another host, another sender. Those of [`FORWARDED`] begin so.
const A_PROXYS: [&str; 12] = [
    "cf-connecting-ip",
    "client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-host-override",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-user",
    "x-rewrite-url",
];
const FORWARDED: [&str; 3] = ["x-envoy-", "x-forwarded-", "x-original-"];

/// Headers that make another method of a request, to servers that heed them.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// What a page does not get to see: cookies, which are the app's and not the page's, and what is about one connection.
const HIDDEN: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is said of an answer as it came and is not true of what the page gets, if it was unpacked here.
const OF_WHAT_IS_PACKED: [&str; 2] = ["content-encoding", "content-length"];

/// The headers of a page's request, or what is wrong with them.
///
/// # Errors
///
/// `InvalidArgument` with the name of the header.
pub(crate) fn of_request(pairs: impl IntoIterator<Item = (String, String)>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut bytes = 0;
    for (count, (name, value)) in pairs.into_iter().enumerate() {
        bytes += name.len() + value.len();
        if count >= MAX_HEADERS || bytes > MAX_BYTES {
            return Err(Error::invalid_argument(format!(
                "request.headers are more than {MAX_HEADERS} or larger than {} KiB together; nothing was sent",
                MAX_BYTES / 1024
            )));
        }
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(Error::invalid_argument(
                "request.headers has a name that is no name of a header; nothing was sent",
            ));
        };
        check(&parsed, &value)?;
        headers.append(parsed.clone(), value_of(&parsed, &value)?);
    }
    Ok(headers)
}

fn check(name: &HeaderName, value: &str) -> Result<()> {
    // To servers that make variables of headers `_` and `-` are one (RFC 3875 §4.1.18).
    let meant = name.as_str().replace('_', "-");
    let why = match meant.as_str() {
        "authorization" | "cookie" | "cookie2" => {
            "the session is attached in the app's core, and nothing in its place"
        }
        name if FORBIDDEN.contains(&name) || name.starts_with("proxy-") || name.starts_with("sec-") => {
            "it belongs to the connection or is the browser's own to set"
        }
        name if A_PROXYS.contains(&name) || FORWARDED.iter().any(|begin| name.starts_with(begin)) => {
            "it is what a proxy says of a request, and would make it look like another"
        }
        name if METHOD_OVERRIDES.contains(&name) && value.split(',').any(is_forbidden_method) => {
            "it would make a method of the request that no page may use"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid_argument(format!(
        "request.headers has {:?}, which a page may not send: {why}; nothing was sent",
        name.as_str()
    )))
}

/// Methods that no page may use (fetch standard, "forbidden method").
pub(crate) fn is_forbidden_method(method: &str) -> bool {
    ["CONNECT", "TRACE", "TRACK"].iter().any(|forbidden| method.trim().eq_ignore_ascii_case(forbidden))
}

/// In JavaScript a header's value is a string of characters up to U+00FF, each of which is one byte.
fn value_of(name: &HeaderName, value: &str) -> Result<HeaderValue> {
    let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    // The value itself stays out of the message: it may be a key.
    bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()).ok_or_else(|| {
        Error::invalid_argument(format!(
            "request.headers has a value for {:?} that cannot stand in a header; nothing was sent",
            name.as_str()
        ))
    })
}

/// The headers of an answer that its page may see, as pairs of strings in which each character is one byte.
///
/// Hidden are those of [`HIDDEN`], those that the answer itself says are about the connection, and any with a secret in
/// it: some backends answer with the request's own headers.
pub(crate) fn for_page(headers: &HeaderMap, secrets: &Secrets, unpacked: bool) -> Vec<(String, String)> {
    let of_connection: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, value)| {
            let hidden: &[&str] = if unpacked { &OF_WHAT_IS_PACKED } else { &[] };
            !HIDDEN.contains(&name.as_str())
                && !hidden.contains(&name.as_str())
                && !of_connection.iter().any(|hidden| hidden == name.as_str())
                && !secrets.are_in(value.as_bytes())
        })
        .map(|(name, value)| {
            (name.as_str().to_owned(), value.as_bytes().iter().map(|byte| char::from(*byte)).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorKind, fetch::Attach, session::credential::Credential};

    fn request(pairs: &[(&str, &str)]) -> Result<HeaderMap> {
        of_request(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn d8_what_a_page_may_send_is_sent_as_it_is() {
        let headers = request(&[
            ("Content-Type", "application/json"),
            ("x-a", "1"),
            ("X-A", "2"),
            ("x-latin", "caf\u{e9}"),
            ("x-empty", ""),
            ("X-HTTP-Method-Override", "PATCH"),
        ])
        .unwrap();
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers["x-latin"].as_bytes(), b"caf\xe9");
        assert_eq!((&headers["x-empty"], headers.len()), (&HeaderValue::from_static(""), 6));
    }

    #[test]
    fn d8_what_is_not_the_pages_to_send_is_refused_by_name() {
        for name in [
            "Authorization",
            "cookie",
            "Cookie2",
            "Host",
            "HOST",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "TE",
            "Upgrade",
            "Origin",
            "Referer",
            "Proxy-Authorization",
            "proxy-anything",
            "Sec-Fetch-Site",
            "sec-x",
            "Via",
            "X-Original-URL",
            "X-Rewrite-URL",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Real-IP",
            "X_Forwarded_For",
            "X_Original-URL",
            "True-Client-IP",
            "Expect",
            "Accept-Encoding",
        ] {
            let error = request(&[("x-fine", "1"), (name, "v")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
            assert!(error.message().contains(&format!("{:?}", name.to_ascii_lowercase())), "{error}");
        }
        assert!(request(&[("X_HTTP_Method_Override", "TRACE")]).is_err());
        for method in ["TRACE", " connect", "GET, TRACK"] {
            assert!(request(&[("X-HTTP-Method", method)]).is_err(), "{method}");
        }
    }

    #[test]
    fn d8_what_is_no_header_is_refused_and_no_value_is_in_the_message() {
        for (name, value) in [
            ("", "canary"),
            ("a b", "canary"),
            ("x:y", "canary"),
            ("x-é", "canary"),
            ("x-a", "canary\r\nHost: evil.example"),
            ("x-a", "canary\0"),
            ("x-a", "canary\u{100}"),
        ] {
            let error = request(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
            assert!(!error.message().contains("canary"), "{error}");
        }
        let many: Vec<_> = (0..=MAX_HEADERS).map(|n| (format!("x-{n}"), "v".to_owned())).collect();
        assert!(of_request(many[..MAX_HEADERS].to_vec()).is_ok());
        assert!(of_request(many).is_err());
        assert!(request(&[("x-a", &"v".repeat(MAX_BYTES))]).is_err());
    }

    #[test]
    fn d1_cookies_and_the_connections_own_headers_and_the_secret_do_not_reach_the_page() {
        let mut secrets = Secrets::default();
        let credential = Credential::for_tests("0123abcd", "canary.token.sig");
        Attach::Bearer.put(&credential, &mut HeaderMap::new(), &mut secrets).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("set-cookie2", "c=3"),
            ("connection", "X-Hop, keep-alive"),
            ("connection", "x-other-hop"),
            ("x-hop", "1"),
            ("x-other-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-echo", "Bearer canary.token.sig"),
            ("x-echo-encoded", "Bearer%20canary%2Etoken.sig"),
            ("content-type", "text/plain"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ] {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers.insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let mut shown = for_page(&headers, &secrets, false);
        shown.sort();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            shown,
            [
                pair("content-type", "text/plain"),
                pair("x-latin", "caf\u{e9}"),
                pair("x-twice", "1"),
                pair("x-twice", "2")
            ]
        );
    }
}
