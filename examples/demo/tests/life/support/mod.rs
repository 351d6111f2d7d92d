//! What the tests stand on: the stage with the app, the local OTPless, a backend and the witnesses.

mod app;
mod backend;
mod driver;
mod home;
mod keychain;
mod scan;
mod stage;
mod wait;

pub(crate) use app::{App, Theme};
pub(crate) use backend::{Backend, COOKIE_CANARY};
pub(crate) use keychain::Slot;
pub(crate) use scan::Hit;
pub(crate) use stage::{Policy, RETRY_BOUND, SHORT, Stage};
pub(crate) use wait::eventually;
