//! The dashboard in a real browser, against a real cutover under a little load.

mod built;
mod reach;
mod seen;
mod view;
