//! The relay against the local OTPless's v1, over real HTTP.

mod gone;
mod limits;
mod passes_on;
mod program;
mod refuses;
mod secrets;
mod support;
