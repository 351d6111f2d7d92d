//! One call on the network: the session attached, a 401 answered with a renewal, redirects followed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use reqwest::{
    Method, Response, StatusCode, Version,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderValue, RANGE},
};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    answer::{Answer, Coding, UNPACKED},
    ask::{Ask, BodyKind, Redirect},
    attach::Secrets,
    headers,
    redirect::{self, Hop, MAX_REDIRECTS},
    scope::Scope,
    share::{Place, Taken},
    upload::{Progress, ProgressOfBody, Source},
};
use crate::{
    SessionManager,
    api::{
        http::{HttpClient, why_unreachable},
        transport::Unreachable,
    },
    error::{Error, ErrorKind, Result},
    session::credential::Credential,
};

/// How long nothing may happen between the start of a request and the head of its answer, be it that the network takes
/// none of the body or that no answer comes. As long as browsers wait.
pub(crate) const NO_PROGRESS: Duration = Duration::from_secs(5 * 60);

/// The head of an answer as its page sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Head {
    /// What sort of answer it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The HTTP status, 200 to 599; 0 for an opaque redirect.
    pub status: u16,
    /// The usual words for the status; empty with HTTP/2, which sends none.
    pub status_text: &'static str,
    /// The headers that a page may see; each character is one byte.
    pub headers: Vec<(String, String)>,
    /// The URL that answered, without a fragment.
    pub url: String,
    /// Whether that is another than the one that was asked.
    pub redirected: bool,
    /// Whether there is a body, and whether there is anything to be read of it.
    pub body: AnswerBody,
}

/// What sort of answer; `Response.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// An answer like any other.
    Basic,
    /// A redirect that the page did not want followed. As the standard has it, the page learns that it is one, no more.
    OpaqueRedirect,
}

/// The body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AnswerBody {
    /// Answers to HEAD, with the status 204, 205 or 304, and opaque redirects have none.
    None,
    /// One that is known to have no bytes. The call is over.
    Empty,
    /// One that is to be read, until a piece has no bytes. The call lasts until then.
    Stream,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    manager: &'a SessionManager,
    http: &'a HttpClient,
    scope: Scope,
    redirect: Redirect,
    source: Source,
    /// Among the requests under way, until there is an answer and nothing of the body is being sent any more.
    place: Arc<Place>,
    /// Whose call it is: the session there was when it was asked for, if there was one …
    asked_in: Option<u64>,
    /// … and what the first request carried.
    session: Option<Credential>,
    secrets: Secrets,
    retried: bool,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        manager: &'a SessionManager,
        http: &'a HttpClient,
        scope: Scope,
        redirect: Redirect,
        source: Source,
        asked_in: Option<u64>,
        place: Taken,
    ) -> Self {
        let (place, secrets) = (Place::new(place), Secrets::default());
        Self {
            manager,
            http,
            scope,
            redirect,
            source,
            place,
            asked_in,
            session: None,
            secrets,
            retried: false,
        }
    }

    /// The answer, with its body if there is one to be read.
    ///
    /// # Errors
    ///
    /// `NotSignedIn` before anything is sent, `SessionChanged` between two requests of the call, `Network` without an
    /// answer, `NotPermitted` and `Server` for redirects that cannot be followed.
    pub(crate) async fn run(mut self, ask: Ask) -> Result<(Head, Option<Answer>)> {
        let Ask { method, url, headers, body, .. } = ask;
        let mut hop = Hop { method, url, headers, body, with_session: true };
        for redirects in 0..=MAX_REDIRECTS {
            let response = self.answer(&hop).await?;
            let status = response.status();
            let redirected = redirects > 0;
            if redirect::is_redirect(status) {
                match self.redirect {
                    Redirect::Error => {
                        return Err(redirect::broken("a request that was made with redirect: \"error\""));
                    }
                    Redirect::Manual => return Ok((opaque(&hop, redirected), None)),
                    Redirect::Follow => {
                        let next =
                            redirect::next(status, response.headers(), &hop, &self.scope, &self.secrets)?;
                        if let Some(next) = next {
                            hop = next;
                            continue;
                        }
                    }
                }
            }
            return self.head(&hop, redirected, response);
        }
        Err(redirect::broken(&format!("more than {MAX_REDIRECTS} times")))
    }

    /// The answer to one request, or to its second try.
    async fn answer(&mut self, hop: &Hop) -> Result<Response> {
        let credential = if hop.with_session { Some(self.credential().await?) } else { None };
        let response = self.send(hop, credential.as_ref()).await?;
        let Some(credential) = credential else { return Ok(response) };
        let again = hop.body == BodyKind::None || self.source.can_be_sent_again();
        let renewable = self.manager.attach().changes_with_the_token();
        if response.status() != StatusCode::UNAUTHORIZED || self.retried || !again || !renewable {
            return Ok(response);
        }
        self.retried = true;
        match self.manager.renewed(&credential).await {
            Some(other) => self.send(hop, Some(&other)).await,
            None => Ok(response),
        }
    }

    /// The session now, which must be the one that the call began with.
    async fn credential(&mut self) -> Result<Credential> {
        let credential = self.manager.credential().await?;
        // It may have waited for its turn, or for its body, while somebody else signed in.
        if self.asked_in.is_some_and(|asked_in| !credential.is_of(asked_in)) {
            return Err(Error::session_changed());
        }
        let first = self.session.get_or_insert_with(|| credential.clone());
        if first.is_of_the_same_session(&credential) { Ok(credential) } else { Err(Error::session_changed()) }
    }

    async fn send(&mut self, hop: &Hop, credential: Option<&Credential>) -> Result<Response> {
        let mut request = reqwest::Request::new(hop.method.clone(), hop.url.clone());
        *request.headers_mut() = hop.headers.clone();
        if let Some(credential) = credential {
            self.manager.attach().put(credential, request.headers_mut(), &mut self.secrets)?;
        }
        // A part of something packed cannot be unpacked (the fetch standard asks for it), and HEAD asks for the length of what
        // a page would get.
        let plain = request.headers().contains_key(RANGE) || hop.method == Method::HEAD;
        let accepted = if plain { "identity" } else { UNPACKED };
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        let progress = Progress::new();
        if hop.body != BodyKind::None {
            *request.body_mut() = self.source.body(&progress, &self.place);
            tokio::spawn(given_back_when_stuck(Arc::downgrade(&self.place), progress.of_body()));
        } else if matches!(hop.method, Method::POST | Method::PUT) {
            // Some servers answer 411 otherwise; the fetch standard asks for it.
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let client = if hop.url.scheme() == "https" { &self.http.secure } else { &self.http.local };
        bounded(&progress, client.execute(request))
            .await?
            .map_err(|error| unanswered(why_unreachable(&error)))
    }

    fn head(&self, hop: &Hop, redirected: bool, response: Response) -> Result<(Head, Option<Answer>)> {
        let status = response.status();
        // Fetch makes no Response of any other.
        if !(200..=599).contains(&status.as_u16()) {
            return Err(Error::new(
                ErrorKind::Server,
                format!("your backend answered with the status {}, which no answer has", status.as_u16()),
            ));
        }
        let body = if hop.method == Method::HEAD || matches!(status.as_u16(), 204 | 205 | 304) {
            AnswerBody::None
        } else if response.content_length() == Some(0) {
            AnswerBody::Empty
        } else {
            AnswerBody::Stream
        };
        let coding = if body == AnswerBody::Stream { Coding::of(response.headers()) } else { None };
        let head = Head {
            kind: Kind::Basic,
            status: status.as_u16(),
            // HTTP/2 has none.
            status_text: match response.version() {
                Version::HTTP_09 | Version::HTTP_10 | Version::HTTP_11 => {
                    status.canonical_reason().unwrap_or_default()
                }
                _ => "",
            },
            headers: headers::for_page(response.headers(), &self.secrets, coding.is_some()),
            url: hop.url.as_str().to_owned(),
            redirected,
            body,
        };
        Ok((head, (body == AnswerBody::Stream).then(|| Answer::new(response, coding))))
    }
}

fn opaque(hop: &Hop, redirected: bool) -> Head {
    Head {
        kind: Kind::OpaqueRedirect,
        status: 0,
        status_text: "",
        headers: Vec::new(),
        url: hop.url.as_str().to_owned(),
        redirected,
        body: AnswerBody::None,
    }
}

/// A server that has answered and reads no more, on a connection that it keeps, may hold a body for ever; not its place.
async fn given_back_when_stuck(place: Weak<Place>, progress: ProgressOfBody) {
    while let Some(last) = progress.last() {
        sleep_until(last + NO_PROGRESS).await;
        if progress.last() == Some(last) {
            if let Some(place) = place.upgrade() {
                place.give_back();
            }
            return;
        }
    }
}

/// Gives up on `work` when nothing has happened for [`NO_PROGRESS`].
async fn bounded<T>(progress: &Progress, work: impl Future<Output = T>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        match timeout_at(progress.last() + NO_PROGRESS, &mut work).await {
            Ok(outcome) => return Ok(outcome),
            Err(_) if Instant::now() < progress.last() + NO_PROGRESS => {}
            Err(_) => return Err(unanswered(Unreachable::Timeout)),
        }
    }
}

/// No answer came. Unlike with OTPless's API nobody tries again: what is asked of the backend is not known here.
fn unanswered(why: Unreachable) -> Error {
    let (code, what) = why.code_and_words();
    Error::new(
        ErrorKind::Network,
        format!("{what}; it is not known whether your backend has acted on the request. The session is kept"),
    )
    .with_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::share::{PAGES_SHARE, Supply};

    #[tokio::test(start_paused = true)]
    async fn d9_a_request_without_an_answer_is_given_up_five_minutes_after_the_last_progress() {
        let began = Instant::now();
        let progress = Progress::new();
        let uploading = {
            let progress = progress.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_secs(4 * 60)).await;
                    progress.made();
                }
            })
        };
        let error = bounded(&progress, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Network, Some("9100")));
        assert_eq!(began.elapsed().as_secs(), (3 * 4 + 5) * 60);
        uploading.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn d9_a_body_that_is_stuck_gives_its_place_back_and_one_that_moves_keeps_it() {
        let share = Supply::new(PAGES_SHARE).share();
        let place = Place::new(share.try_take(1).expect("there is one"));
        let progress = Progress::new();
        let watching = tokio::spawn(given_back_when_stuck(Arc::downgrade(&place), progress.of_body()));
        for _ in 0..3 {
            tokio::time::sleep(NO_PROGRESS - Duration::from_secs(1)).await;
            progress.made();
            assert!(share.try_take(1).is_none(), "it moves");
        }
        watching.await.expect("no panic");
        assert!(share.try_take(1).is_some());
        let began = Instant::now();
        let gone = Progress::new().of_body();
        given_back_when_stuck(Arc::downgrade(&place), gone).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "a body that is gone is not waited for");
    }
}
