//! Tests that need the machine for themselves: load, large bodies, and being killed again and again.

mod bodies;
mod crash;
mod demo;
mod thousand_flips;
