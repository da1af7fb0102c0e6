//! The data plane of a Session Network node: onion layers, message store, swarm replication.
//!
//! Nothing here knows of Python; other node builds embed this crate as it is, from Rust or through the C ABI
//! (`engine/include/allium.h`).
//!
//! * [`Engine`]: a whole node, or a relay without a store. The embedder says who is in the network
//!   ([`Engine::set_network`]), and may answer requests itself ([`EngineBuilder::answers`]).
//! * [`onion`]: layers, opened one by one or many together, and made. No I/O.
//! * [`Store`]: the message store by itself, without a network.
//! * [`swarm`]: which swarm an account belongs to, and the picture of the network that says so.
//!
//! There is no global state: engines and stores are values, and several of them live in one process. Blocking and
//! `async` are marked; a [`Store`]'s futures need no particular runtime, an [`Engine`] runs on tokio, its own or one that
//! is handed in.
//!
//! Semantic versioning covers what this documentation shows. Items hidden from it serve Allium's own node, its
//! measurements and its fuzzing, and change without notice.
//!
//! ```no_run
//! use allium_engine::{Engine, Identity, types::LegacyPublicKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::new(&[7; 32], LegacyPublicKey([1; 32]));
//! let engine = Engine::builder("data", identity).without_store().start()?;
//! assert!(engine.not_ready().is_some());
//! engine.shutdown();
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod allowance;
#[doc(hidden)]
pub mod batch;
#[doc(hidden)]
pub mod bencode;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod crypto;
mod engine;
#[doc(hidden)]
pub mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod holder;
mod json;
#[doc(hidden)]
pub mod metrics;
#[doc(hidden)]
pub mod node;
pub mod onion;
#[doc(hidden)]
pub mod replicate;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod rpc;
pub mod store;
pub mod swarm;
mod threads;
#[doc(hidden)]
pub mod transport;
pub mod types;
#[doc(hidden)]
pub mod watchdog;

#[doc(inline)]
pub use clock::Clock;
#[doc(inline)]
pub use crypto::{Ed25519Secret, EncType, Identity, LayerKey, X25519Secret};
#[doc(inline)]
pub use engine::{Answer, Call, Compared, Engine, EngineBuilder, EngineError, EngineStats};
#[doc(inline)]
pub use rpc::PROTOCOL_VERSION;
#[doc(inline)]
pub use store::Store;
#[doc(inline)]
pub use swarm::Swarm;
