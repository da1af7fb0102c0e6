//! A client request: what answers look like, in JSON and in bencode.

mod params;
mod status;
mod value;

pub use params::{Field, Invalid, NamespaceOrAll, Params};
pub use status::Status;
pub use value::{Encoding, Value};
