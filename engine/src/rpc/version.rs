//! The storage version that a node advertises, and what it does because of it.
//!
//! Other nodes and clients go by the version that the network's list names, so what is new in a version is done by those
//! alone that advertise it. Where the first version of something is not known, it is the first that is known to have it.

macro_rules! advertised {
    ($major:literal, $minor:literal, $patch:literal) => {
        /// The storage version whose behaviour this node has; what it advertises.
        pub const PROTOCOL_VERSION: [u16; 3] = [$major, $minor, $patch];

        /// The node software that answers and asks: the `Server` and `User-Agent` headers (`spec/transports` §1.3).
        pub const AGENT: &str = concat!("Oxen Storage Server/", $major, ".", $minor, ".", $patch);
    };
}

advertised!(2, 8, 0);

/// Nodes of the reference's 2.12.
const NEWER: [u16; 3] = [2, 12, 0];

/// A storage version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u16; 3]);

impl Default for Version {
    fn default() -> Self {
        Self(PROTOCOL_VERSION)
    }
}

impl Version {
    fn is_newer(self) -> bool {
        self.0 >= NEWER
    }

    /// Nodes without a known address are in no answer: neither in `snodes`, nor in `swarm`, whose command they get later.
    #[must_use]
    pub fn leaves_out_unreachable(self) -> bool {
        self.is_newer()
    }

    /// Without any swarm, accounts are answered 500 and not 421.
    #[must_use]
    pub fn says_no_swarms(self) -> bool {
        self.is_newer()
    }

    /// `expire` takes several expiries whatever the hardfork.
    #[must_use]
    pub fn expires_severally(self) -> bool {
        self.is_newer()
    }

    /// `expire` leaves a message as it is where it would live longer by less than a hundredth.
    #[must_use]
    pub fn ignores_small_extensions(self) -> bool {
        self.is_newer()
    }

    /// Who subscribes to an account is told when it leaves the node, and the subscription ends.
    #[must_use]
    pub fn ends_subscriptions(self) -> bool {
        self.is_newer()
    }

    /// A node in no swarm serves, and sends those who ask for accounts elsewhere.
    #[must_use]
    pub fn serves_outside_swarms(self) -> bool {
        self.is_newer()
    }

    /// The first hardfork and revision under which a node serves.
    #[must_use]
    pub fn first_hardfork(self) -> [u16; 2] {
        if self.is_newer() { [19, 6] } else { [19, 3] }
    }
}
