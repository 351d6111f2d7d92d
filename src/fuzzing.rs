//! What the fuzz targets need and nothing else may have: readers of untrusted bytes that are not part of the engine's
//! public side. Only under cargo-fuzz, which sets `cfg(fuzzing)`, and in this crate's own tests.

use reqwest::header::{AGE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::{
    api::http,
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

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
}
