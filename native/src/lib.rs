//! The Python face of `allium-engine`: conversions and nothing else.
