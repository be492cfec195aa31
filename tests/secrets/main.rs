//! Keys and other secrets: redaction, memory, destinations, certificates and rejected inputs.

mod certificates;
mod echoes;
mod keys;
mod origins;
mod rejected_inputs;
mod secrets;
mod zeroing;

#[path = "../support/mod.rs"]
mod support;
