//! Who is behind a connection, as far as a node can tell strangers apart: what is held for one of them counts to a share.

use std::net::{IpAddr, Ipv6Addr};

use crate::types::X25519PublicKey;

/// One IPv4 address, or the /64 that one IPv6 customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(u128);

impl Source {
    /// Of the address of a connection; an IPv4 address in IPv6 clothes is the IPv4 address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u128::from(v4.to_ipv6_mapped())),
            IpAddr::V6(v6) => Self(u128::from(v6) & !u128::from(u64::MAX)),
        }
    }

    /// An address of it.
    pub(crate) fn address(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self.0)).to_canonical()
    }

    /// What tells it from others.
    pub(crate) const fn number(self) -> u128 {
        self.0
    }
}

/// For whom memory, or a place in a table, is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Whoever is at an address; all of a /64 in IPv6.
    Address(Source),
    /// A node of the network.
    Node(X25519PublicKey),
}

impl Holder {
    /// Who is at `address`.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(Source::of(address))
    }
}

/// One may have this part of the room that is left: one alone gets a fifth of all, ten get a fourteenth each, and there is
/// always some left for who has nothing.
const PART: u64 = 4;

/// Whether one that holds so many may have one more, where all together use so many of the room.
pub(crate) const fn may_have_more(held: u64, used: u64, room: u64) -> bool {
    held.saturating_mul(PART) < room.saturating_sub(used)
}
