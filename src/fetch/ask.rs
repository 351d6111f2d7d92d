//! What a page asks for, out of JSON that anybody could have written (requirement D8).

use reqwest::{Method, Url, header::HeaderMap};
use serde_json::{Map, Value};

use super::headers;
use crate::{
    config::tokens_may_travel_to,
    error::{Error, Result},
};

/// Longest URL: servers refuse the whole head at about as much.
const MAX_URL_BYTES: usize = 64 * 1024;

/// A request of a page, known to make sense.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(crate) method: Method,
    /// Without a fragment, which is nobody's business but the page's.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BodyKind,
    pub(crate) redirect: Redirect,
}

/// How the body of a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// There is none.
    None,
    /// In pieces that are kept, so that it can be sent again.
    Whole,
    /// In pieces that go out as they come.
    Stream,
}

/// What becomes of a redirect; `redirect` of the fetch standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    Follow,
    Error,
    Manual,
}

impl Ask {
    /// Reads `{method?, url, headers?, body?, redirect?}`: `"GET"`, a URL, a list of pairs of strings, `"none"`, `"whole"` or
    /// `"stream"`, and `"follow"`, `"error"` or `"manual"`. What is left out is what stands first here.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` with the name of what is wrong.
    pub fn from_json(value: Value) -> Result<Self> {
        let Value::Object(mut fields) = value else {
            return Err(refused("request", "is not an object"));
        };
        let ask = Self {
            method: method(text(&mut fields, "method", "GET")?)?,
            url: url(text(&mut fields, "url", "")?)?,
            headers: headers::of_request(pairs(fields.remove("headers"))?)?,
            body: one_of(
                &mut fields,
                "body",
                &[("none", BodyKind::None), ("whole", BodyKind::Whole), ("stream", BodyKind::Stream)],
            )?,
            redirect: one_of(
                &mut fields,
                "redirect",
                &[("follow", Redirect::Follow), ("error", Redirect::Error), ("manual", Redirect::Manual)],
            )?,
        };
        if !fields.is_empty() {
            // Silently ignored, a misspelt `redirect` would be followed.
            return Err(refused(
                "request",
                "has a field that is none of method, url, headers, body and redirect",
            ));
        }
        if ask.body != BodyKind::None && matches!(ask.method, Method::GET | Method::HEAD) {
            return Err(refused("request.body", "cannot go with GET or HEAD"));
        }
        Ok(ask)
    }
}

fn refused(what: &str, why: &str) -> Error {
    Error::invalid_argument(format!("{what} {why}; nothing was sent"))
}

fn text(fields: &mut Map<String, Value>, name: &str, default: &str) -> Result<String> {
    match fields.remove(name) {
        None => Ok(default.to_owned()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(refused(&format!("request.{name}"), "is not a string")),
    }
}

/// The one that is named, or the first.
fn one_of<T: Copy>(fields: &mut Map<String, Value>, name: &str, choices: &[(&str, T)]) -> Result<T> {
    let named = text(fields, name, choices[0].0)?;
    choices.iter().find(|(choice, _)| *choice == named).map(|(_, meant)| *meant).ok_or_else(|| {
        let choices: Vec<_> = choices.iter().map(|(choice, _)| format!("{choice:?}")).collect();
        refused(&format!("request.{name}"), &format!("is none of {}", choices.join(", ")))
    })
}

fn method(method: String) -> Result<Method> {
    if headers::is_forbidden_method(&method) {
        return Err(refused("request.method", "is one that no page may use"));
    }
    // As the standard has it: these in any case, others as they are.
    let upper = method.to_ascii_uppercase();
    let standard = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].contains(&&*upper);
    Method::from_bytes(if standard { &upper } else { &method }.as_bytes())
        .map_err(|_| refused("request.method", "is no method"))
}

fn url(url: String) -> Result<Url> {
    if url.len() > MAX_URL_BYTES {
        return Err(refused("request.url", "is longer than 64 KiB"));
    }
    let mut url = Url::parse(&url).map_err(|_| refused("request.url", "is not a URL"))?;
    tokens_may_travel_to(&url).map_err(|why| refused("request.url", &why))?;
    url.set_fragment(None);
    Ok(url)
}

fn pairs(value: Option<Value>) -> Result<Vec<(String, String)>> {
    let refused = || refused("request.headers", "is not a list of pairs of strings");
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Array(pairs) = value else { return Err(refused()) };
    pairs
        .into_iter()
        .map(|pair| match pair {
            Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                Ok([Value::String(name), Value::String(value)]) => Ok((name, value)),
                _ => Err(refused()),
            },
            _ => Err(refused()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_url_is_enough_and_the_rest_is_what_fetch_takes_it_for() {
        let ask = Ask::from_json(json!({"url": "https://api.example.com/a?b#c"})).unwrap();
        assert_eq!((ask.method, ask.url.as_str()), (Method::GET, "https://api.example.com/a?b"));
        assert_eq!((ask.headers.len(), ask.body, ask.redirect), (0, BodyKind::None, Redirect::Follow));
        let ask = Ask::from_json(json!({
            "method": "post", "url": "http://127.0.0.1:9/", "headers": [["a", "b"]], "body": "stream",
            "redirect": "manual",
        }))
        .unwrap();
        assert_eq!((ask.method, ask.headers.len()), (Method::POST, 1));
        assert_eq!((ask.body, ask.redirect), (BodyKind::Stream, Redirect::Manual));
        let patch = Ask::from_json(json!({"method": "patch", "url": "https://a.example"})).unwrap();
        assert_eq!(patch.method.as_str(), "patch");
    }

    #[test]
    fn d8_anything_else_is_refused_by_name() {
        let with = |field: &str, value: Value| {
            let mut ask = json!({"url": "https://api.example.com/"});
            ask[field] = value;
            ask
        };
        let mut cases = vec![
            (json!(null), "request "),
            (json!([]), "request "),
            (json!("https://api.example.com/"), "request "),
            (json!({}), "request.url "),
            (with("reditect", json!("error")), "request has a field"),
        ];
        for (field, values) in [
            (
                "method",
                vec![
                    json!(1),
                    json!(""),
                    json!("G T"),
                    json!("TRACE"),
                    json!("connect"),
                    json!("GET / HTTP/1.1\r\nx"),
                ],
            ),
            (
                "url",
                vec![
                    json!(null),
                    json!(5),
                    json!("nonsense"),
                    json!("/orders"),
                    json!("http://api.example.com/"),
                    json!("http://127.0.0.1.example.com/"),
                    json!("https://user:pw@api.example.com/"),
                    json!("file:///etc/passwd"),
                    json!("data:text/plain,x"),
                    json!("javascript:alert(1)"),
                    json!("ws://127.0.0.1/"),
                    json!(format!("https://api.example.com/{}", "a".repeat(MAX_URL_BYTES))),
                ],
            ),
            (
                "headers",
                vec![
                    json!({}),
                    json!("a: b"),
                    json!([["a"]]),
                    json!([["a", "b", "c"]]),
                    json!([["a", 1]]),
                    json!([1]),
                ],
            ),
            ("body", vec![json!("text"), json!(null), json!([])]),
            ("redirect", vec![json!(true), json!("Follow")]),
        ] {
            cases.extend(values.into_iter().map(|value| (with(field, value), field)));
        }
        for (ask, named) in cases {
            let error = Ask::from_json(ask.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{ask}");
            assert!(error.message().contains(named), "{ask}: {error}");
            assert!(!error.message().contains("pw"), "{error}");
        }
        for method in ["GET", "head"] {
            let ask = json!({"url": "https://a.example", "method": method, "body": "whole"});
            assert!(Ask::from_json(ask).unwrap_err().message().contains("request.body"), "{method}");
        }
    }
}
