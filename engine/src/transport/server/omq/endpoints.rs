//! The commands that others may send, who may, and how many calls of each kind may be under way (`spec/transports` §2.3).

use super::super::control;
use crate::{rpc::METHODS, transport::slots::Slots};

/// Who may call, and how many calls may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// Other active nodes.
    Sn,
    /// Anyone.
    Storage,
    /// Anyone.
    Monitor,
    /// Configured keys.
    Service,
    /// Anyone.
    Control,
    /// Other nodes, also those that are not active.
    Gossip,
}

/// Calls under way, by category. Clones share them.
#[derive(Clone)]
pub(super) struct InFlight {
    sn: Slots,
    storage: Slots,
    monitor: Slots,
    service: Slots,
    control: Slots,
    gossip: Slots,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self {
            sn: Slots::new(1000),
            storage: Slots::new(200),
            monitor: Slots::new(500),
            service: Slots::new(20),
            control: Slots::new(128),
            gossip: Slots::new(128),
        }
    }

    /// By name: how many there are, and may be.
    pub(super) fn read(&self) -> [(&'static str, usize, usize); 6] {
        [
            ("omq_sn", &self.sn),
            ("omq_storage", &self.storage),
            ("omq_monitor", &self.monitor),
            ("omq_service", &self.service),
            ("omq_control", &self.control),
            ("omq_gossip", &self.gossip),
        ]
        .map(|(name, slots)| (name, slots.taken(), slots.limit()))
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.read().iter().all(|(_, taken, _)| *taken == 0)
    }

    pub(super) const fn of(&self, category: Category) -> &Slots {
        match category {
            Category::Sn => &self.sn,
            Category::Storage => &self.storage,
            Category::Monitor => &self.monitor,
            Category::Service => &self.service,
            Category::Control => &self.control,
            Category::Gossip => &self.gossip,
        }
    }
}

/// A command, recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Ping,
    Onion,
    Forwarded,
    Data,
    DataReady,
    StorageTest,
    Monitor,
    Stats,
    /// A client method of this name.
    Rpc(&'static str),
    /// A question for whoever runs the node.
    Control(&'static str),
    /// What a node tells whoever runs this one.
    Gossip(&'static str),
}

impl Endpoint {
    pub(super) fn find(command: &[u8]) -> Option<Self> {
        match command {
            b"sn.ping" => Some(Self::Ping),
            b"sn.onion_request" => Some(Self::Onion),
            b"sn.storage_cc" => Some(Self::Forwarded),
            b"sn.data" => Some(Self::Data),
            b"sn.data_ready" => Some(Self::DataReady),
            b"sn.storage_test" => Some(Self::StorageTest),
            b"monitor.messages" => Some(Self::Monitor),
            b"service.get_stats" => Some(Self::Stats),
            _ => {
                let named = |name: &&&str| name.as_bytes() == command;
                if let Some(name) = control::CLAIMS.iter().find(named) {
                    return Some(Self::Control(name));
                }
                if let Some(name) = control::LIVENESS.iter().find(named) {
                    return Some(Self::Gossip(name));
                }
                let method = command.strip_prefix(b"storage.")?;
                METHODS.iter().find(|name| name.as_bytes() == method).map(|name| Self::Rpc(name))
            }
        }
    }

    /// Whether it takes effect after what came before it on the same connection.
    pub(super) const fn is_ordered(self) -> bool {
        matches!(self, Self::Rpc(_) | Self::Forwarded)
    }

    /// Its name, if it is for nodes to ask each other.
    pub(super) const fn between_nodes(self) -> Option<&'static str> {
        match self {
            Self::Ping => Some("sn.ping"),
            Self::Onion => Some("sn.onion_request"),
            Self::Forwarded => Some("sn.storage_cc"),
            Self::Data => Some("sn.data"),
            Self::DataReady => Some("sn.data_ready"),
            Self::StorageTest => Some("sn.storage_test"),
            Self::Gossip(name) => Some(name),
            Self::Rpc(_) | Self::Monitor | Self::Stats | Self::Control(_) => None,
        }
    }

    pub(super) const fn category(self) -> Category {
        match self {
            Self::Ping | Self::Onion | Self::Forwarded | Self::Data | Self::DataReady | Self::StorageTest => {
                Category::Sn
            }
            Self::Rpc(_) => Category::Storage,
            Self::Monitor => Category::Monitor,
            Self::Stats => Category::Service,
            Self::Control(_) => Category::Control,
            Self::Gossip(_) => Category::Gossip,
        }
    }
}
