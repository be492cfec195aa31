//! Lists and their pages.

mod complete;
mod pages;
