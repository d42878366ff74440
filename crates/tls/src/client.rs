//! What backends are asked for.
