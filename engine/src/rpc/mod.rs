//! A client request: what answers look like, in JSON and in bencode.

mod status;
mod value;

pub use status::Status;
pub use value::{Encoding, Value};
