//! The documentation is held to its word: links lead somewhere, examples are right, the tutorial works, references are fresh.
#![cfg(test)]

mod api_page;
mod cli_page;
mod commands;
mod config_page;
mod configs;
mod fresh;
mod links;
mod page;
mod proofs;
mod shell;
mod tutorial;
