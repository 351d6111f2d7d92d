//! The relay against the local OTPless's v1, over real HTTP.

mod gone;
mod limits;
mod passes_on;
mod program;
mod refuses;
mod secrets;
mod support;
// Elsewhere than on Linux the system's own store of certificates decides, and no test can put one into it.
#[cfg(target_os = "linux")]
mod tls;
