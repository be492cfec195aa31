//! The charts of `docs/performance.md`.
