//! One running node: wires the parts, owns the threads, starts and stops as a whole.

mod build;
mod config;
mod running;
#[cfg(test)]
mod tests;

pub use config::{Lent, NodeConfig, NodeError};
pub use running::{Answer, Answers, Node};

pub use crate::threads::MOST_WORKERS;

pub use crate::transport::NodeStats;
