//! What a listener shows its clients.
