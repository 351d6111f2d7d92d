//! Where a page may call: the URL patterns that its capability gives to `otpless:allow-fetch`.

use std::sync::Arc;

use reqwest::Url;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use urlpattern::{UrlPattern, UrlPatternInit, UrlPatternMatchInput};

use crate::error::{Error, ErrorKind, Result};

/// One entry of a scope: `{"url": "https://api.example.com/*"}`, or the pattern alone.
///
/// A pattern follows the URLPattern standard, as in tauri-plugin-http. One that is none is kept as such instead of being
/// refused here: Tauri would put its own words around the refusal, which a page could not tell from a defect.
#[derive(Debug)]
pub struct Entry {
    written: String,
    pattern: Option<UrlPattern>,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let entry = Value::deserialize(deserializer)?;
        let written = match &entry {
            Value::String(pattern) => Some(pattern),
            Value::Object(fields) if fields.len() == 1 => match fields.get("url") {
                Some(Value::String(pattern)) => Some(pattern),
                _ => None,
            },
            _ => None,
        };
        let pattern = written.and_then(|written| {
            let mut init = UrlPatternInit::parse_constructor_string::<regex::Regex>(written, None).ok()?;
            // As in tauri-plugin-http: an address without a path is all of it.
            if init.pathname.as_deref().is_none_or(|path| matches!(path, "" | "/")) {
                init.pathname = Some("*".to_owned());
            }
            UrlPattern::parse(init, Default::default()).ok()
        });
        Ok(Self { written: written.cloned().unwrap_or_else(|| entry.to_string()), pattern })
    }
}

impl Entry {
    fn matches(&self, url: &Url) -> Result<bool> {
        let refused = || {
            Error::invalid_config(format!(
                "the scope of otpless:allow-fetch has {:?}, which is no URL pattern; nothing was sent. It should be like \
                 {{\"url\": \"https://api.example.com/*\"}}",
                self.written
            ))
        };
        let pattern = self.pattern.as_ref().ok_or_else(refused)?;
        pattern.test(UrlPatternMatchInput::Url(url.clone())).map_err(|_| refused())
    }
}

/// What one page may call.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    allow: Vec<Arc<Entry>>,
    deny: Vec<Arc<Entry>>,
}

impl Scope {
    /// What `allow` has and `deny` has not.
    pub fn new(allow: &[Arc<Entry>], deny: &[Arc<Entry>]) -> Self {
        Self { allow: allow.to_vec(), deny: deny.to_vec() }
    }

    /// That `url` is in the scope: some entry allows it and none denies it. All are looked at, so that one that is no
    /// pattern is heard of at the first call and not at the first that would have needed it.
    ///
    /// # Errors
    ///
    /// `NotPermitted`, or `InvalidConfig` with the entry that is no pattern.
    pub(crate) fn check(&self, url: &Url) -> Result<()> {
        let any = |entries: &[Arc<Entry>], url: &Url| -> Result<bool> {
            entries.iter().try_fold(false, |found, entry| Ok(entry.matches(url)? || found))
        };
        let plain = plainly_spelt(url);
        let mut denied = any(&self.deny, url)? | any(&self.deny, &plain)?;
        let mut allowed = any(&self.allow, url)? & any(&self.allow, &plain)?;
        for (read, leads_elsewhere) in otherwise_read(&plain) {
            denied |= any(&self.deny, &read)?;
            allowed &= any(&self.allow, &read)? || !leads_elsewhere;
        }
        if allowed & !denied {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotPermitted,
            format!(
                "this window may not call {}: the scope of its otpless:allow-fetch {}; nothing was sent to it. \
                 The scope stands in the window's capability (src-tauri/capabilities)",
                url.origin().ascii_serialization(),
                if denied { "denies that address" } else { "does not have that address" },
            ),
        ))
    }
}

/// `url` with the characters of its path and query as they are where nothing needs them escaped, and its host without the dot of
/// the root: to a server `/%61dmin` is `/admin`, to a pattern it is not.
fn plainly_spelt(url: &Url) -> Url {
    let mut plain = url.clone();
    plain.set_path(&unescaped(url.path()));
    plain.set_query(url.query().map(unescaped).as_deref());
    // The same host to a resolver, and another to a pattern.
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')) {
        // One that is no host any more stays as it was, which no pattern takes for another.
        let _ = plain.set_host(Some(host));
    }
    plain
}

/// `url` as servers read it that take an escaped slash for one, leave out what follows a `;`, or take several slashes for one,
/// before they follow `..` (nginx and Tomcat do, unless told otherwise); and whether there are steps like `..` in it that only
/// they follow. A slash that is escaped because it stands in a name is another matter: whoever allows `/projects/*` means
/// `/projects/a%2Fb` too.
fn otherwise_read(plain: &Url) -> [(Url, bool); 2] {
    let path = plain.path().replace("%2F", "/").replace("%2f", "/").replace("%5C", "/").replace("%5c", "/");
    let steps: Vec<&str> =
        path.split('/').skip(1).map(|step| step.split(';').next().unwrap_or(step)).collect();
    let leads_elsewhere = steps.iter().any(|step| matches!(*step, "." | ".."));
    let read = |steps: &[&str]| {
        let mut read = plain.clone();
        read.set_path(&format!("/{}", steps.join("/")));
        (read, leads_elsewhere)
    };
    let (last, others) = steps.split_last().unwrap_or((&"", &[]));
    let merged: Vec<&str> = others.iter().filter(|step| !step.is_empty()).chain([last]).copied().collect();
    [read(&steps), read(&merged)]
}

/// With what RFC 3986 §2.3 calls unreserved as it is.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let escaped = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(byte) => {
                plain.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            None => {
                plain.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope(allow: &[Value], deny: &[Value]) -> Scope {
        let entries = |values: &[Value]| -> Vec<Arc<Entry>> {
            values.iter().map(|value| Arc::new(serde_json::from_value(value.clone()).unwrap())).collect()
        };
        Scope::new(&entries(allow), &entries(deny))
    }

    fn allows(scope: &Scope, url: &str) -> bool {
        scope.check(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn d9_only_what_the_scope_allows_and_looks_alikes_are_not_it() {
        let scope = scope(&[json!({"url": "https://api.example.com/*"})], &[]);
        for good in [
            "https://api.example.com/",
            "https://api.example.com",
            "https://api.example.com:443/a/b",
            "https://API.example.com/orders?x=1&y=2",
            "https://api.example.com/a/../b",
        ] {
            assert!(allows(&scope, good), "{good}");
        }
        for bad in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.example/",
            "https://api-example.com/",
            "https://apixexample.com/",
            "https://evil.example/https://api.example.com/",
            "https://evil.example?https://api.example.com/",
            "https://evil.example#https://api.example.com/",
            "https://api.example.com@evil.example/",
            "https://evil.example\\@api.example.com/",
            "https://xn--pi-7ka.example.com/",
            "https://api.example.com./",
            "https://example.com/",
        ] {
            assert!(!allows(&scope, bad), "{bad}");
        }
    }

    #[test]
    fn deny_wins_and_nothing_is_allowed_by_default() {
        assert!(!allows(&Scope::default(), "https://api.example.com/"));
        assert!(!allows(&scope(&[], &[json!("https://other.example/*")]), "https://api.example.com/"));
        let scope =
            scope(&[json!("https://*.example.com/*")], &[json!({"url": "https://*.example.com/admin/*"})]);
        assert!(allows(&scope, "https://api.example.com/orders"));
        assert!(!allows(&scope, "https://api.example.com/admin/users"));
        assert!(!allows(&scope, "https://api.example.com/orders/../admin/users"));
        assert!(!allows(&scope, "https://api.example.com/%61dmin/users?x"));
        assert!(!allows(&scope, "https://api.example.com/a/%2e%2E/%61dmi%6e/users"));
        assert!(!allows(&scope, "https://api.example.com/%61%64min%2Fx/../admin/%"));
        assert!(allows(&scope, "https://api.example.com/%c3%a9/100%"));
        assert!(!allows(&scope, "https://api.example.com./admin/users"), "by its other name");
        for spelling in [
            "//admin/users",
            "/orders/..%2Fadmin/users",
            "/orders%2f..%2fadmin%2fusers",
            "/orders/%2e%2E%2Fadmin/users",
            "/orders%5C..%5cadmin/users",
            "/%2Fadmin/users",
            "/admin%2Fusers",
            "/./%2F/%61dmin//users",
            "/admin;x/users",
            "/orders/..;/admin/users",
            "/orders;a=b/..;/%61dmin;c%2Fusers",
        ] {
            assert!(!allows(&scope, &format!("https://api.example.com{spelling}")), "{spelling}");
        }
        let scope = self::scope(
            &[json!("https://api.example.com/*")],
            &[json!("https://api.example.com/*\\?*admin=*")],
        );
        assert!(allows(&scope, "https://api.example.com/orders?page=2&q=100%25"));
        for query in ["admin=1", "a=b&admin=", "%61dmin=1", "a=b&ad%6Din=1"] {
            assert!(!allows(&scope, &format!("https://api.example.com/orders?{query}")), "{query}");
        }
    }

    #[test]
    fn an_address_without_a_path_is_all_of_it() {
        for root in ["https://api.example.com", "https://api.example.com/"] {
            let open = scope(&[json!(root)], &[]);
            assert!(
                allows(&open, "https://api.example.com/") && allows(&open, "https://api.example.com/a/b?c")
            );
            assert!(!allows(&open, "https://api.example.com.evil.example/a"));
            let closed = scope(&[json!("https://*/*")], &[json!(root)]);
            assert!(
                !allows(&closed, "https://api.example.com/a/b") && allows(&closed, "https://other.example/a")
            );
            assert!(!allows(&closed, "https://api.example.com./a/b"), "by its other name");
        }
    }

    #[test]
    fn a_path_and_a_port_are_what_they_say() {
        let scope = scope(&[json!("http://localhost:*/v1/*"), json!("https://api.example.com/status")], &[]);
        assert!(allows(&scope, "http://localhost:8787/v1/orders"));
        assert!(!allows(&scope, "http://localhost:8787/v2/orders"));
        assert!(allows(&scope, "https://api.example.com/status"));
        assert!(allows(&scope, "https://api.example.com/status?verbose"));
        assert!(!allows(&scope, "https://api.example.com/status/all"));
    }

    #[test]
    fn no_spelling_of_a_path_leaves_what_is_allowed() {
        let scope =
            scope(&[json!("https://api.example.com/v1/*"), json!("https://api.example.com/p/:id/x")], &[]);
        for good in
            ["/v1/a", "/v1/", "/v1/a;b=c/d", "/v1/a%2Fb", "/v1//a", "/v1/a/../b", "/v1/a%2F..%2Fb", "/p/1/x"]
        {
            assert!(allows(&scope, &format!("https://api.example.com{good}")), "{good}");
        }
        for bad in [
            "/v1/..%2Fadmin",
            "/v1/a/..%2f..%2Fadmin",
            "/v1/%2e%2e%5Cadmin",
            "/v1/../admin",
            "/p/..%2F..%2Fadmin/x",
        ] {
            assert!(!allows(&scope, &format!("https://api.example.com{bad}")), "{bad}");
        }
    }

    #[test]
    fn an_entry_that_is_no_pattern_is_named_whatever_is_called() {
        for (entry, named) in [
            (json!("https://api.example.com/("), "https://api.example.com/("),
            (json!({"url": "/orders"}), "/orders"),
            (json!({"url": 5}), "5"),
            (json!({"path": "https://api.example.com/*"}), "path"),
            (json!({"url": "https://api.example.com/*", "method": "GET"}), "method"),
            (json!([]), "[]"),
        ] {
            for scope in [
                scope(&[json!("https://api.example.com/*"), entry.clone()], &[]),
                scope(&[json!("https://api.example.com/*")], std::slice::from_ref(&entry)),
            ] {
                let error = scope.check(&"https://api.example.com/".parse().unwrap()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{entry}");
                assert!(
                    error.message().contains(&format!("{named:?}")[1..named.len() + 1]),
                    "{entry}: {error}"
                );
            }
        }
    }

    #[test]
    fn e3_a_refusal_names_the_origin_and_no_more_of_the_url() {
        let url = "https://e.example/canary?code=canary#canary".parse().unwrap();
        let error = scope(&[], &[]).check(&url).unwrap_err();
        assert!(error.message().contains("https://e.example:"), "{error}");
        assert!(!error.message().contains("canary"), "{error}");
    }
}
