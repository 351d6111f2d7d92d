//! What the app and the plugin have to say, on stderr.

use std::io;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Follows `RUST_LOG` as far as targets and levels go.
pub(crate) fn start() {
    let usual = || {
        Targets::new().with_default(LevelFilter::WARN).with_target("tauri_plugin_otpless", LevelFilter::INFO)
    };
    let filter = match std::env::var("RUST_LOG").map(|wanted| wanted.parse::<Targets>()) {
        Ok(Ok(targets)) => targets,
        Ok(Err(problem)) => {
            eprintln!("otpless-demo: RUST_LOG is not understood ({problem}); going on without it");
            usual()
        }
        Err(_) => usual(),
    };
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_writer(io::stderr)).init();
}
