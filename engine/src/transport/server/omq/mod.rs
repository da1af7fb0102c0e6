//! The OMQ server, and the thread that owns every socket of OMQ. Requests that arrive run as tasks of the runtime; their
//! answers come back to the thread through its bounded queue.

mod canary;
mod commands;
mod doors;
mod endpoints;
mod leaving;
mod message;
mod server;
mod thread;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use message::fuzz_message;
pub use server::Omq;
