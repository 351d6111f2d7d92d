//! The session in a request that Rust code has made.

use super::attach::Secrets;
use crate::{
    SessionManager,
    config::tokens_may_travel_to,
    error::{Error, Result},
};

impl SessionManager {
    /// `request` with the session attached, as `plugins.otpless.fetch` says: a bearer token, by default, or a cookie. The
    /// token is good for another 30 s at least; it is renewed first if need be. An `Authorization` header that was there
    /// is replaced, so is a cookie of the same name.
    ///
    /// Make the request with a client that keeps such headers from going along with redirects to other hosts, as
    /// reqwest's does by default.
    ///
    /// ```no_run
    /// # async fn orders(app: tauri::AppHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// use tauri_plugin_otpless::{OtplessExt, reqwest};
    ///
    /// let client = reqwest::Client::new();
    /// let request = client.get("https://api.example.com/orders").build()?;
    /// let response = client.execute(app.otpless().authorize(request).await?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if no token may travel to the request's URL: it is neither https nor http to a loopback address.
    /// `NotSignedIn`, or why there is no token now.
    pub async fn authorize(&self, mut request: reqwest::Request) -> Result<reqwest::Request> {
        tokens_may_travel_to(request.url()).map_err(|why| {
            Error::invalid_argument(format!("the request's URL {why}; the session was not attached"))
        })?;
        let credential = self.credential().await?;
        self.attach().put(&credential, request.headers_mut(), &mut Secrets::default())?;
        Ok(request)
    }
}
