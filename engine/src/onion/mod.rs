//! Onion layers (`spec/onion`): their frame, what is inside, how to make them and answer them. No I/O.

pub mod build;
mod control;
mod frame;
mod hop;
mod peel;
mod piece;

pub use control::{ControlError, Layer, MAX_HOPS, OnionError, parse_entry};
pub use frame::FrameError;
pub use hop::{decode_hop, encode_hop};
pub use peel::{Opened, PeelError, Peeled, ServerTarget, peel, peel_batch, wrap_reply, wrap_written};
pub use piece::Piece;
