//! [`ApiError`] as a diagnostic of miette, behind the feature `miette`.

use std::fmt::Display;

use ::miette::{Diagnostic, Severity};

use crate::error::ApiError;
use crate::error::display::OneLine;

/// Its code is the service and the code it sent, `abaco::RATE_LIMIT_EXCEEDED`, or where none was sent, the variant; its
/// help and address come from the catalogue.
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
