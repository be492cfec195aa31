//! Generated documents, the public API, code that must not compile, paths, links, imports and prose.

mod compile_fail;
mod generated_docs;
mod layers;
mod links;
mod prose;
mod public_api;
mod routes;
