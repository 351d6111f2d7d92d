//! The local OTPless over real HTTP, as a client sees it.

mod support;

mod console;
mod controls;
mod errors;
mod faults;
mod gates;
mod jwt;
mod life;
mod program;
mod sign_in;
mod v1;
mod v4;
