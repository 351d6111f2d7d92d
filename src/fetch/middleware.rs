//! The session in every request that a client of reqwest-middleware makes to the app's own backend.

use std::fmt;

use http::Extensions;
use reqwest::{Request, Response, StatusCode, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use url::Origin;

use super::attach::Secrets;
use crate::{SessionManager, config::tokens_may_travel_to, error};

/// Attaches the session to requests for certain origins, and makes one more try when the answer is a 401 and the session
/// could be renewed. All other requests pass as they are: a client is used for many things, and a token belongs to one.
///
/// With the Cargo feature `middleware`.
///
/// ```no_run
/// # async fn orders(app: tauri::AppHandle) -> Result<(), Box<dyn std::error::Error>> {
/// use tauri_plugin_otpless::{OtplessExt, SessionMiddleware, reqwest, reqwest_middleware};
///
/// let session = SessionMiddleware::new(app.otpless().clone(), ["https://api.example.com"])?;
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(session).build();
/// let response = client.get("https://api.example.com/orders").send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SessionMiddleware {
    manager: SessionManager,
    origins: Vec<Origin>,
}

impl fmt::Debug for SessionMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl SessionMiddleware {
    /// For requests to the origins of these URLs: scheme, host and port.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if one is no URL, or one that no token may travel to: neither https nor http to a loopback
    /// address.
    pub fn new<U: AsRef<str>>(
        manager: SessionManager,
        origins: impl IntoIterator<Item = U>,
    ) -> error::Result<Self> {
        let origins = origins.into_iter().map(|url| origin(url.as_ref())).collect::<error::Result<_>>()?;
        Ok(Self { manager, origins })
    }

    fn serves(&self, url: &Url) -> bool {
        self.origins.contains(&url.origin())
    }
}

fn origin(url: &str) -> error::Result<Origin> {
    let refused = |why: &str| error::Error::invalid_argument(format!("an origin of the middleware {why}"));
    let url = Url::parse(url).map_err(|_| refused("is not a URL"))?;
    tokens_may_travel_to(&url).map_err(|why| refused(&why))?;
    Ok(url.origin())
}

#[async_trait::async_trait]
impl Middleware for SessionMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if !self.serves(request.url()) {
            return next.run(request, extensions).await;
        }
        let attach = self.manager.attach();
        let mut secrets = Secrets::default();
        let credential = self.manager.credential().await.map_err(Error::middleware)?;
        attach.put(&credential, request.headers_mut(), &mut secrets).map_err(Error::middleware)?;
        // `None` for a body that is a stream.
        let again = request.try_clone();
        let response = next.clone().run(request, extensions).await?;
        // The client may have followed a redirect: what another origin refuses is not the session's fault.
        let refused = response.status() == StatusCode::UNAUTHORIZED && self.serves(response.url());
        let Some(mut again) = again.filter(|_| refused && attach.changes_with_the_token()) else {
            return Ok(response);
        };
        match self.manager.renewed(&credential).await {
            Some(other) => {
                attach.put(&other, again.headers_mut(), &mut secrets).map_err(Error::middleware)?;
                next.run(again, extensions).await
            }
            None => Ok(response),
        }
    }
}
