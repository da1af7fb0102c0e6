//! Account to swarm (`spec/swarms` §1).

use std::fmt;

use crate::types::AccountId;

/// A point on the ring of 2^64 around which swarms are laid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwarmId(pub u64);

impl SwarmId {
    /// "In no swarm": unassigned or decommissioned.
    pub const UNASSIGNED: Self = Self(u64::MAX);
}

/// Lower-case hex without leading zeros, as `get_swarm` answers it.
impl fmt::Display for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Where on the ring `account` lies: its four 8-byte words, XORed.
#[must_use]
pub fn position(account: &AccountId) -> u64 {
    account.key().chunks_exact(8).fold(0, |acc, word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        acc ^ u64::from_be_bytes(bytes)
    })
}

/// The swarm nearest to `position` among `swarms` (ascending, none unassigned); ties go to the left.
#[must_use]
pub fn swarm_of(position: u64, swarms: &[SwarmId]) -> Option<SwarmId> {
    let last = swarms.last()?;
    let at = swarms.partition_point(|id| id.0 < position);
    let right = swarms.get(at).unwrap_or(&swarms[0]);
    let left = if at == 0 { last } else { &swarms[at - 1] };
    let to_right = right.0.wrapping_sub(position);
    let to_left = position.wrapping_sub(left.0);
    Some(if to_right < to_left { *right } else { *left })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(hex: &str) -> AccountId {
        hex.parse().unwrap()
    }

    /// `spec/node-tests` §1.1.
    #[test]
    fn positions_match_the_reference() {
        for (hex, want) in [
            ("053506f4a71324b7dd114eddbf4e311f39dde243e1f2cb97c40db1961f70ebaae8", 17_589_930_838_143_112_648),
            ("05cf27da303a50ac8c4b2d43d27259505c9bcd73fc21cf2a57902c3d050730b604", 10_370_619_079_776_428_163),
            ("03d3511706b8b34f6e8411bf07bd22ba6b2435ca56846fbccf6eb1e166a6cd15cc", 2_144_983_569_669_512_198),
            ("ff0f06693428fca9102a451e3f28d9cc743d8ea60a89ab6aa69eb119470c11cbd3", 9_690_840_703_409_570_833),
            ("05ffba630924aa1224bb930dde21c0d11bf004608f2812217f8ac812d6c7e3ad48", 4_532_060_000_165_252_872),
            ("05eeeeeeeeeeeeeeee777777777777777711111111111111118888888888888888", 0),
        ] {
            assert_eq!(position(&account(hex)), want, "{hex}");
        }
    }

    /// `spec/node-tests` §1.2.
    #[test]
    fn swarms_match_the_reference() {
        let mut swarms: Vec<SwarmId> = [100, 200, 300, 399, 498, 596, 694].map(SwarmId).to_vec();
        for (at, want) in [
            (0x64, 100),
            (0xc8, 200),
            (0x1f2, 498),
            (0, 100),
            (1, 100),
            (0x8000_0000_0000_0000, 694),
            (0xa000_0000_0000_0000, 100),
            (u64::MAX, 100),
            (u64::MAX - 1, 100),
            (0x95, 100),
            (0x96, 100),
            (0x97, 200),
            (0xf9, 200),
            (0xfa, 200),
            (0xfb, 300),
            (0x15d, 300),
            (0x15e, 399),
            (0x1c0, 399),
            (0x1c1, 498),
            (0x222, 498),
            (0x223, 498),
            (0x224, 596),
            (0x285, 596),
            (0x286, 694),
            (0x8000_0000_0000_018c, 694),
            (0x8000_0000_0000_018d, 694),
            (0x8000_0000_0000_018e, 100),
        ] {
            assert_eq!(swarm_of(at, &swarms), Some(SwarmId(want)), "{at:#x}");
        }
        let high = u64::MAX - 19;
        swarms.push(SwarmId(high));
        for (at, want) in [(0x27, high), (0x28, high), (0x29, 100)] {
            assert_eq!(swarm_of(at, &swarms), Some(SwarmId(want)), "{at:#x}");
        }
        swarms.insert(0, SwarmId(0));
        for at in [u64::MAX, u64::MAX - 1] {
            assert_eq!(swarm_of(at, &swarms), Some(SwarmId(0)), "{at:#x}");
        }
    }

    #[test]
    fn no_swarm_and_one_swarm() {
        assert_eq!(swarm_of(7, &[]), None);
        assert_eq!(swarm_of(7, &[SwarmId(3)]), Some(SwarmId(3)));
    }
}
