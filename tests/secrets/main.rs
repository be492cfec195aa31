//! Keys and other secrets: redaction, memory, destinations, certificates and rejected inputs.

mod certificates;
mod echoes;
mod key_sources;
mod keys;
mod many_keys;
mod origins;
mod rejected_inputs;
mod rotation;
mod secrets;
mod zeroing;

#[path = "../support/mod.rs"]
mod support;
