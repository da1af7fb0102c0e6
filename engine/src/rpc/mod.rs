//! A client request: what answers look like, in JSON and in bencode.

mod auth;
mod params;
mod reply;
mod request;
mod status;
mod value;

pub use auth::{Auth, Subaccount, account, flag, token};
pub use params::{Field, Invalid, NamespaceOrAll, Params};
pub use reply::{Body, Reply};
pub use request::{METHODS, Request};
pub use status::Status;
pub use value::{Encoding, Value};
