//! Generated documents, the public API, code that must not compile, imports and prose.

mod compile_fail;
mod generated_docs;
mod layers;
mod prose;
mod public_api;
