//! What the fuzz targets need and nothing else may have: readers of untrusted bytes that are not part of the engine's
//! public side. Only under cargo-fuzz, which sets `cfg(fuzzing)`, and in this crate's own tests.

use serde_json::Value;

use reqwest::header::{AGE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::{
    api::{SessionDetails, http},
    store::outbox::{self, MAX_REVOCATIONS},
};

/// Any bytes where revocations wait: a list of bounded length that is written as it was read, or none (A4).
pub fn revocations(bytes: &[u8]) {
    let Ok(waiting) = outbox::from_bytes(bytes) else { return };
    assert!(waiting.len() <= MAX_REVOCATIONS);
    assert_eq!(outbox::from_bytes(&outbox::to_bytes(&waiting)), Ok(waiting));
}

/// Any headers of an answer, one a line: a time or none, never a panic, and no wait without end (C6, C9).
pub fn header_times<'a>(lines: impl Iterator<Item = &'a str>) {
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    let date = http::server_date(&headers);
    assert!(date.is_none() || headers.contains_key(DATE), "no time from nowhere, whatever {AGE} says");
    let wait = http::retry_after(&headers, date);
    assert!(wait.is_none_or(|wait| wait <= http::MAX_RETRY_AFTER));
    assert!(wait.is_none() || headers.contains_key(RETRY_AFTER));
}

/// Any details of a session: a secret is found in them wherever a page would see it, and nowhere else (D1).
pub fn secret_in_details(details: &SessionDetails, secret: &str) {
    fn shows(value: &Value, secret: &str) -> bool {
        match value {
            Value::String(text) => text.contains(secret),
            Value::Array(values) => values.iter().any(|value| shows(value, secret)),
            Value::Object(fields) => {
                fields.iter().any(|(name, value)| name.contains(secret) || shows(value, secret))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    let shown = serde_json::to_value(details).expect("details are JSON");
    assert_eq!(details.holds(secret), shows(&shown, secret));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use zeroize::Zeroizing;

    use crate::api::{transport::Response, wire::v1};

    /// The rest of the corpus is replayed in tests/corpus.rs, which cannot get here.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn a4_the_corpus_of_stored_bytes_holds_for_revocations() {
        let files = corpus("stored_record");
        assert!(files.iter().any(|bytes| crate::store::outbox::from_bytes(bytes).is_ok()));
        files.iter().for_each(|bytes| super::revocations(bytes));
    }

    #[test]
    fn c6_c9_the_corpus_of_answers_holds_for_their_headers() {
        let mut lines = 0;
        for answer in corpus("api_response") {
            let answer = String::from_utf8_lossy(&answer);
            let (head, _) = answer.split_once("\n\n").unwrap_or((&answer, ""));
            lines += head.lines().skip(1).count();
            super::header_times(head.lines().skip(1));
        }
        assert!(lines >= 5, "{lines} headers");
    }

    #[test]
    fn d1_the_corpus_of_details_holds_for_secrets_in_them() {
        let id = "0123456789abcdef0123456789abcdef";
        let mut held = Vec::new();
        for answer in corpus("api_response_v1") {
            let Some(body) = answer.strip_prefix(b"details 200\n\n") else { continue };
            let body = Zeroizing::new(body.to_vec());
            let response = Response { status: 200, body, date: None, retry_after: None };
            if let Ok(details) = v1::read_details(&response) {
                super::secret_in_details(&details, id);
                held.push(details.holds(id));
            }
        }
        assert!(held.contains(&true) && held.contains(&false), "{held:?}");
    }
}
