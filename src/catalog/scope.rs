//! The scopes of keys: [`Scope`].

/// A scope: a permission that a key needs for some of a service's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Scope {
    /// The name, such as `jobs:write`.
    pub name: &'static str,
    /// Advice on resolving an error about the missing scope, in one sentence that names it.
    pub fix: &'static str,
}

impl Scope {
    /// Creates a scope.
    #[must_use]
    pub const fn new(name: &'static str, fix: &'static str) -> Self {
        Self { name, fix }
    }
}
