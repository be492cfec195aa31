//! Lists and their pages.

mod pages;
