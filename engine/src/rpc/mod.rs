//! A client request: decode, authorise, execute, encode. JSON and bencode take one path.

mod auth;
mod counts;
mod custom_methods;
mod limit;
mod metrics;
mod monitor;
mod monitors;
mod params;
mod pipeline;
mod receiving;
mod reply;
mod request;
mod room;
mod service;
mod status;
mod value;
mod verifier;
mod version;

pub use auth::{Auth, Subaccount, account, flag, token};
pub use counts::{Counted, RequestCounts};
pub use custom_methods::{Call, CustomMethods};
pub use metrics::{RequestMetrics, RequestTimes, Requests, Via};
pub use monitor::{Notice, Subscriber};
pub use monitors::{Monitors, SUBSCRIPTION};
pub use params::{Field, Invalid, NamespaceOrAll, Params};
pub use pipeline::{Pipeline, Ticket, Turn};
pub use reply::{Body, Reply};
pub use request::{METHODS, Request};
pub use service::{KEEPS_NOTHING, Rpc, RpcParts, Storage, base32z};
pub use status::{BUSY, Status};
pub use value::{Encoding, Value};
pub use verifier::Verifier;
pub use version::{AGENT, PROTOCOL_VERSION, Version};
