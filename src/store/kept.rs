//! What one process tells the others of the keychain's entry, as one line of text with nothing secret in it: which sign-in
//! it is, how often its tokens have changed, which refresh token that is, by a piece of its digest, and when it began.

use super::record::{SessionRecord, SignInId};
use crate::{clock::Timestamp, digest::short_digest, secret::RefreshToken};

/// What is said of an entry that is not there.
pub(crate) const NOTHING_KEPT: &str = "-";

/// What is said of `record`.
pub(crate) fn kept(record: &SessionRecord) -> String {
    let SessionRecord { sign_in, rotation, tokens, started_at, .. } = record;
    format!("{} {rotation} {} {}", sign_in.as_str(), tag(&tokens.refresh_token), started_at.0)
}

/// Tells refresh tokens apart where they must not stand.
fn tag(token: &RefreshToken) -> String {
    short_digest(&[token.expose().as_bytes()], 8)
}

/// The sign-in that `line` names; `None` if there is no entry.
pub(crate) fn sign_in_of(line: &str) -> Option<SignInId> {
    line.split_once(' ').map(|(sign_in, _)| SignInId::named(sign_in))
}

/// When the sign-in began that `line` names.
pub(crate) fn started_at_of(line: &str) -> Option<Timestamp> {
    line.split(' ').nth(3)?.parse().ok().map(Timestamp)
}

/// Whether `line` says that the tokens of `record`'s sign-in have changed since, and not only by what `record` counts.
pub(crate) fn is_later(line: &str, record: &SessionRecord) -> bool {
    rotation_of(line, &record.sign_in).is_some_and(|count| count > record.rotation)
}

/// How often the tokens have changed by `line`, if it names the sign-in of `record` and its refresh token.
pub(crate) fn count_of(line: &str, record: &SessionRecord) -> Option<u64> {
    let token = line.split(' ').nth(2)?;
    rotation_of(line, &record.sign_in).filter(|_| token == tag(&record.tokens.refresh_token))
}

/// How often the tokens of `sign_in` have changed by `line`, if it names that.
pub(crate) fn rotation_of(line: &str, sign_in: &SignInId) -> Option<u64> {
    let mut words = line.split(' ');
    let (named, count) = (words.next()?, words.next()?);
    // Nobody counts so far: whoever did could not be counted beyond.
    count.parse().ok().filter(|count| named == sign_in.as_str() && *count < u64::MAX / 2)
}

/// Whether `line` says that the sign-in of `record` has a newer refresh token: one that is neither the one of `record` nor
/// `spent`, which was given for it.
pub(crate) fn has_newer_token(line: &str, record: &SessionRecord, spent: Option<&RefreshToken>) -> bool {
    let mut words = line.split(' ');
    let (sign_in, _rotation, token) = (words.next(), words.next(), words.next());
    sign_in == Some(record.sign_in.as_str())
        && token.is_some_and(|token| {
            token != tag(&record.tokens.refresh_token) && spent.is_none_or(|spent| token != tag(spent))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::sample;

    #[test]
    fn a_line_tells_newer_tokens_from_older_and_from_another_sign_in() {
        let record = sample();
        let newer = SessionRecord {
            rotation: record.rotation + 1,
            tokens: crate::secret::Tokens { refresh_token: "h.new.r".into(), ..record.tokens.clone() },
            ..record.clone()
        };
        let (line, newer_line) = (kept(&record), kept(&newer));
        assert!(is_later(&newer_line, &record) && !is_later(&line, &record) && !is_later(&line, &newer));
        assert!(has_newer_token(&newer_line, &record, None) && !has_newer_token(&line, &record, None));
        assert!(!has_newer_token(&line, &newer, Some(&record.tokens.refresh_token)), "that one was spent");
        let other = SessionRecord { sign_in: SignInId::named("another"), ..record.clone() };
        assert!(!is_later(&newer_line, &other) && !has_newer_token(&newer_line, &other, None));
        assert_eq!(count_of(&line, &record), Some(record.rotation));
        for (line, record) in [(&newer_line, &record), (&line, &newer), (&line, &other)] {
            assert_eq!(count_of(line, record), None);
        }
        assert_eq!(sign_in_of(&line), Some(newer.sign_in));
        assert_eq!(started_at_of(&line), Some(record.started_at));
        assert_eq!((sign_in_of(NOTHING_KEPT), started_at_of(NOTHING_KEPT)), (None, None));
    }

    #[test]
    fn a_line_that_says_nothing_of_use_is_no_news() {
        let record = sample();
        for line in ["", "-", " ", "x y z", record.sign_in.as_str()] {
            assert!(!is_later(line, &record) && !has_newer_token(line, &record, None), "{line:?}");
            assert_eq!((count_of(line, &record), started_at_of(line)), (None, None));
        }
    }

    #[test]
    fn a2_no_line_holds_a_secret() {
        let record = sample();
        let line = kept(&record);
        let tokens = &record.tokens;
        for secret in
            [tokens.session_id.expose(), tokens.session_token.expose(), tokens.refresh_token.expose()]
        {
            assert!(!line.contains(secret));
        }
        let began = record.started_at.0.to_string();
        assert_eq!(line.len(), record.sign_in.as_str().len() + " 3 ".len() + 16 + " ".len() + began.len());
    }
}
