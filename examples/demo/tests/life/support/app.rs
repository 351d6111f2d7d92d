//! The app as a person has it before them: found by its labels for tests, clicked, typed into, read.

use super::driver::Driver;
use super::home::Home;
use super::wait::{bounded, eventually};
use fantoccini::{Client, Locator, elements::Element, wd::WindowHandle};
use serde_json::{Value, json};
use std::io::Cursor;
use std::time::Duration;

/// Longer than anything the page does in answer to a click, on a busy machine.
const ANSWER_BOUND: Duration = Duration::from_secs(30);

/// What WebKitWebDriver says when a page was held up for seconds before it answered, which a busy machine does. Looking does
/// nothing, so it may be done again; a page that has crashed does not answer the second time either.
const HELD_UP: &str = "Could not parse script result";

/// What the desktop says about colours; the page follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

pub(crate) struct App {
    driver: Driver,
    page: Client,
}

impl App {
    /// Starts the app with the settings among its `variables` and waits until its page knows whether somebody is signed
    /// in, or that the keychain does not tell.
    pub(crate) async fn start(home: &Home, theme: Theme, mut variables: Vec<(&str, String)>) -> Self {
        let gtk_theme = if theme == Theme::Dark { "Adwaita:dark" } else { "Adwaita" };
        variables.push(("GTK_THEME", gtk_theme.to_owned()));
        // The most talkative the app can be: what it prints is searched for tokens.
        variables.push(("RUST_LOG", "trace".to_owned()));
        let driver = Driver::start(home, &variables).await;
        let page = driver.open_app().await;
        let app = Self { driver, page };
        eventually("the page shows a status", ANSWER_BOUND, async || {
            let (status, storage) = (app.read("status").await?, app.read("storage").await?);
            let known = !status.is_empty() && (status != "restoring" || storage == "unavailable");
            if known { Ok(()) } else { Err(format!("status {status:?}, storage {storage:?}")) }
        })
        .await;
        let dark = app.run("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await;
        assert_eq!(dark, json!(theme == Theme::Dark), "the page follows the desktop's theme");
        app
    }

    pub(crate) async fn click(&self, label: &str) {
        let element = self.element(label).await;
        bounded(label, ANSWER_BOUND, element.click())
            .await
            .unwrap_or_else(|error| panic!("clicking {label}: {error}"));
    }

    /// Replaces what stands in a field.
    pub(crate) async fn fill(&self, label: &str, text: &str) {
        let element = self.element(label).await;
        let typed = async {
            element.clear().await?;
            element.send_keys(text).await
        };
        bounded(label, ANSWER_BOUND, typed).await.unwrap_or_else(|error| panic!("filling {label}: {error}"));
    }

    /// Chooses one of what a list offers.
    pub(crate) async fn choose(&self, label: &str, value: &str) {
        let element = self.element(label).await;
        bounded(label, ANSWER_BOUND, element.select_by_value(value))
            .await
            .unwrap_or_else(|error| panic!("choosing {value} of {label}: {error}"));
    }

    /// The machine-readable value of an element if it has one, otherwise the text in it; empty if it is not shown.
    pub(crate) async fn read(&self, label: &str) -> Result<String, String> {
        let script = "const e = document.querySelector(`[data-testid=\"${arguments[0]}\"]`); \
                      if (!e || !e.checkVisibility()) return ''; \
                      return e.dataset.value ?? e.textContent.trim();";
        let look =
            async || self.page.execute(script, vec![json!(label)]).await.map_err(|error| error.to_string());
        let value = match look().await {
            Err(error) if error.contains(HELD_UP) => {
                println!("        WebKitWebDriver: {error}; asked again");
                look().await?
            }
            value => value?,
        };
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// What the page says of itself, for a failure to tell.
    pub(crate) async fn account(&self) -> Value {
        let script = "const text = (id) => document.getElementById(id)?.innerText ?? ''; \
                      return [text('error'), text('sign-in-progress'), text('events'), document.visibilityState];";
        self.page.execute(script, vec![]).await.unwrap_or_else(|error| error.to_string().into())
    }

    /// A moment in time the page shows, in milliseconds since the epoch; `None` while it shows none.
    pub(crate) async fn moment(&self, label: &str) -> Option<i64> {
        self.read(label).await.expect("the page answers").parse().ok()
    }

    /// Waits until the page shows one of `wanted`; says which.
    pub(crate) async fn shows_one_of(&self, label: &str, wanted: &[&str], bound: Duration) -> String {
        eventually(&format!("{label} is one of {wanted:?}"), bound, async || match self.read(label).await {
            Ok(value) if wanted.contains(&value.as_str()) => Ok(value),
            Ok(value) => Err(value),
            Err(error) => Err(error),
        })
        .await
    }

    /// Waits until what the page shows there begins so.
    pub(crate) async fn begins(&self, label: &str, wanted: &str) {
        eventually(&format!("{label} begins with {wanted:?}"), ANSWER_BOUND, async || {
            let shown = self.read(label).await?;
            if shown.starts_with(wanted) { Ok(()) } else { Err(shown) }
        })
        .await;
    }

    /// Waits until somebody is; what the page has to say if nobody is tells why.
    pub(crate) async fn is_signed_in(&self) {
        eventually("somebody is signed in", ANSWER_BOUND, async || {
            let status = self.read("status").await?;
            if status == "active" { Ok(()) } else { Err(format!("{status:?}: {}", self.account().await)) }
        })
        .await;
    }

    pub(crate) async fn shows(&self, label: &str, wanted: &str) {
        self.shows_one_of(label, &[wanted], ANSWER_BOUND).await;
    }

    /// Waits until the timeline says `part` to those who do not see it.
    pub(crate) async fn timeline_says(&self, part: &str) {
        let script = "return document.querySelector('[data-testid=timeline]').getAttribute('aria-label')";
        eventually(&format!("the timeline says {part:?}"), ANSWER_BOUND, async || {
            let said = self.run(script, vec![]).await;
            if said.as_str().is_some_and(|said| said.contains(part)) { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// The words in an element that is shown.
    pub(crate) async fn words(&self, label: &str) -> String {
        let script = "return document.querySelector(`[data-testid=\"${arguments[0]}\"]`).innerText";
        self.run(script, vec![json!(label)]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Everything a page can keep, by name: what it stores, what it shows and what stands in its fields.
    pub(crate) async fn kept_by_page(&self) -> Vec<(String, String)> {
        let answer =
            bounded("the page tells what it keeps", ANSWER_BOUND, self.page.execute_async(KEPT, vec![]))
                .await
                .expect("the page answers");
        let mut kept: Vec<_> = answer
            .as_object()
            .expect("an object of names and texts")
            .iter()
            .map(|(name, value)| (format!("page: {name}"), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        // Only the driver sees cookies that are hidden from scripts.
        let cookies =
            bounded("cookies", ANSWER_BOUND, self.page.get_all_cookies()).await.expect("the driver answers");
        kept.extend(cookies.iter().map(|cookie| (format!("cookie {}", cookie.name()), cookie.to_string())));
        kept
    }

    /// Runs a script in the page, as a careless or hostile page could.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        bounded("a script", ANSWER_BOUND, self.page.execute(script, arguments))
            .await
            .expect("the script runs")
    }

    /// A PNG of the page as it is now.
    ///
    /// The driver copies the frame that was drawn last, which may be older than what the page has become. So the page
    /// gets a mark in its corner, and loses it again: the first frame without the mark after one with it is new.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.run(MARK, vec![]).await;
        self.picture_with(true).await;
        self.run(UNMARK, vec![]).await;
        self.picture_with(false).await
    }

    async fn picture_with(&self, mark: bool) -> Vec<u8> {
        let what = if mark { "a frame with the mark" } else { "a frame without the mark" };
        eventually(what, ANSWER_BOUND, async || {
            let picture = self.page.screenshot().await.map_err(|error| error.to_string())?;
            let corner = first_pixel(&picture);
            if (corner == MARK_COLOUR) == mark { Ok(picture) } else { Err(format!("{corner:?}")) }
        })
        .await
    }

    /// From here on the other window is the one clicked and read; says which one it was before.
    pub(crate) async fn turn_to_other_window(&self) -> WindowHandle {
        let this = self.window().await;
        self.turn_to_window_beside(std::slice::from_ref(&this)).await;
        this
    }

    /// From here on the window that is none of `known` is the one clicked and read.
    pub(crate) async fn turn_to_window_beside(&self, known: &[WindowHandle]) {
        let other = eventually("there is another window", ANSWER_BOUND, async || {
            let windows = self.page.windows().await.map_err(|error| error.to_string())?;
            windows.into_iter().find(|window| !known.contains(window)).ok_or_else(|| "none".to_owned())
        })
        .await;
        self.turn_to(other).await;
    }

    /// The one that is clicked and read.
    pub(crate) async fn window(&self) -> WindowHandle {
        self.page.window().await.expect("the driver answers")
    }

    pub(crate) async fn turn_to(&self, window: WindowHandle) {
        self.page.switch_to_window(window).await.expect("the driver turns to a window");
    }

    /// Makes the window this large, and waits until the page is.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        bounded("a new size", ANSWER_BOUND, self.page.set_window_size(width, height))
            .await
            .expect("the driver resizes windows");
        eventually("the page has the new width", ANSWER_BOUND, async || {
            let now = self.run("return innerWidth", vec![]).await;
            if now.as_u64() == Some(width.into()) { Ok(()) } else { Err(now) }
        })
        .await;
    }

    /// What the plugin tells developers.
    pub(crate) async fn diagnostics(&self) -> Value {
        let script = "const done = arguments[0]; \
                      window.__TAURI_INTERNALS__.invoke('plugin:otpless|diagnostics').then(done, done);";
        bounded("the diagnostics", ANSWER_BOUND, self.page.execute_async(script, vec![]))
            .await
            .expect("the page answers")
    }

    /// A person comes to the window.
    pub(crate) async fn focus(&self) {
        self.driver.focus().await;
    }

    /// `kill -9`: no chance to write, to say goodbye or to clean up.
    pub(crate) async fn kill(self) {
        self.driver.kill_app().await;
        drop(self.page);
    }

    /// Closes the windows, as a person does.
    pub(crate) async fn close(self) {
        let windows =
            bounded("the windows", ANSWER_BOUND, self.page.windows()).await.expect("the driver answers");
        for window in windows {
            let closed = async {
                self.page.switch_to_window(window).await?;
                self.page.close_window().await
            };
            bounded("a window closes", ANSWER_BOUND, closed).await.expect("the driver closes windows");
        }
        self.driver.app_is_gone().await;
    }

    async fn element(&self, label: &str) -> Element {
        let selector = format!("[data-testid=\"{label}\"]");
        let found = self.page.wait().at_most(ANSWER_BOUND).for_element(Locator::Css(&selector));
        bounded(label, ANSWER_BOUND, found)
            .await
            .unwrap_or_else(|error| panic!("the page has no {label}: {error}"))
    }
}

const MARK_COLOUR: [u8; 3] = [255, 0, 254];

const MARK: &str = r#"
const mark = document.createElement('div');
mark.id = 'mark-of-the-test';
Object.assign(mark.style, {
    position: 'fixed', left: '0', top: '0', width: '8px', height: '8px', zIndex: '2147483647', background: '#ff00fe',
});
document.body.append(mark);
"#;

const UNMARK: &str = "document.getElementById('mark-of-the-test').remove();";

/// Red, green and blue in the upper left corner.
fn first_pixel(picture: &[u8]) -> [u8; 3] {
    let mut decoder = png::Decoder::new(Cursor::new(picture));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().expect("a screenshot is a PNG");
    let row = reader.next_row().expect("a screenshot can be decoded").expect("a screenshot has rows");
    row.data().first_chunk().copied().expect("a row has pixels of three colours")
}

const KEPT: &str = r#"
const done = arguments[arguments.length - 1];
const attempt = async (look) => { try { return JSON.stringify(await look()) ?? ''; } catch (error) { return String(error); } };
(async () => done({
    localStorage: await attempt(() => ({ ...localStorage })),
    sessionStorage: await attempt(() => ({ ...sessionStorage })),
    databases: await attempt(() => indexedDB.databases()),
    caches: await attempt(() => caches.keys()),
    cookies: document.cookie,
    document: document.documentElement.outerHTML,
    fields: await attempt(() => [...document.querySelectorAll('input, textarea, select')].map((field) => field.value)),
    address: location.href,
    'window name': window.name,
    'history state': await attempt(() => history.state),
}))();
"#;
