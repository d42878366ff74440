//! What fuzz targets share: plain readers, a reference, and a world for the engine.

pub mod app;
pub mod head;
pub mod line_end;
pub mod message;
pub mod reference;
pub mod split;
pub mod world;
