//! miette's `Diagnostic` for [`ApiError`], behind the feature `miette`.

use std::fmt::Display;

use ::miette::{Diagnostic, Severity};

use crate::error::ApiError;
use crate::error::display::OneLine;

/// The diagnostic's code consists of the service and the error code, such as `abaco::RATE_LIMIT_EXCEEDED`. If the
/// service sent no code, the variant replaces it, such as `abaco::timeout`. The help and the URL come from the
/// catalogue.
impl Diagnostic for ApiError {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(Box::new(format!("{}::{}", self.service(), OneLine(self.code().unwrap_or(self.kind())))))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(Box::new(Self::help(self)?))
    }

    fn url<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(Box::new(self.row()?.source?))
    }
}
