//! How fast one address may ask (`spec/transports` §1.5): a token bucket per IPv4 address or IPv6 /64, shared by all
//! transports.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::holder::Source;

/// The limits of one address.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// Requests that may come at once.
    pub burst: u32,
    /// Requests per second in the long run.
    pub per_second: u32,
    /// Addresses whose buckets are kept; when all are in use, a new address is refused.
    pub addresses: usize,
    /// Networks (address, prefix length) that are not limited.
    pub exempt: Vec<(IpAddr, u8)>,
}

/// A network as text: an address, or an address and a prefix length (`192.0.2.0/24`).
///
/// # Errors
/// The text, when it is neither.
pub fn parse_network(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("no network: {text:?} (such as 192.0.2.0/24 or 2001:db8::/32)");
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| wrong())?;
    if prefix > longest { Err(wrong()) } else { Ok((address, prefix)) }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { burst: 600, per_second: 300, addresses: 10_000, exempt: Vec::new() }
    }
}

/// Tokens in parts of a request, so that any rate divides a nanosecond evenly enough.
struct Bucket {
    /// Time at which the bucket is full again: how full it is now follows from it.
    full_at: Instant,
}

/// The buckets.
pub struct Limiter {
    limits: RateLimits,
    /// What one request takes.
    cost: Duration,
    buckets: Mutex<HashMap<Source, Bucket>>,
}

impl Limiter {
    /// With these limits.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        let cost = Duration::from_secs(1) / limits.per_second.max(1);
        Self { limits, cost, buckets: Mutex::default() }
    }

    /// Whether a request from `address` may be served now; one that may is counted.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        self.allow_at(address, Instant::now())
    }

    /// Whether `address` is in one of the networks that are not limited.
    #[must_use]
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.limits.exempt.iter().any(|(network, prefix)| contains(*network, *prefix, address))
    }

    fn allow_at(&self, address: IpAddr, now: Instant) -> bool {
        if self.is_exempt(address) {
            return true;
        }
        let source = Source::of(address);
        let mut buckets = self.buckets.lock();
        if !buckets.contains_key(&source) && buckets.len() >= self.limits.addresses {
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= self.limits.addresses {
                return false;
            }
        }
        let bucket = buckets.entry(source).or_insert(Bucket { full_at: now });
        let full_at = bucket.full_at.max(now) + self.cost;
        if full_at - now > self.cost * self.limits.burst {
            return false;
        }
        bucket.full_at = full_at;
        true
    }

    /// Forgets addresses whose buckets are full.
    pub fn prune(&self) {
        let now = Instant::now();
        self.buckets.lock().retain(|_, bucket| bucket.full_at > now);
    }
}

/// Connections in all and by address, of all transports together.
#[derive(Clone)]
pub struct ConnectionLimits {
    most: usize,
    most_per_address: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_source: HashMap<Source, usize>,
}

/// A connection's place, until it is dropped.
pub(super) struct ConnectionPlace {
    open: Arc<Mutex<Open>>,
    source: Source,
}

impl ConnectionLimits {
    /// At most `most`, and `most_per_address` from one address.
    #[must_use]
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self { most, most_per_address, open: Arc::default() }
    }

    /// Whether `address` has fewer than an eighth of what it may have, and all of what there may be.
    pub(super) fn is_quiet(&self, address: IpAddr) -> bool {
        let open = self.open.lock();
        let of_address = open.by_source.get(&Source::of(address)).copied().unwrap_or(0);
        of_address < self.most_per_address / 8 && open.all < self.most / 8
    }

    /// A place for a connection from `address`; `None` when there are too many. `exempt`: only the sum counts.
    pub(super) fn take(&self, address: IpAddr, exempt: bool) -> Option<ConnectionPlace> {
        let source = Source::of(address);
        let mut open = self.open.lock();
        if open.all >= self.most {
            return None;
        }
        let count = open.by_source.entry(source).or_default();
        if *count >= self.most_per_address && !exempt {
            return None;
        }
        *count += 1;
        open.all += 1;
        Some(ConnectionPlace { open: Arc::clone(&self.open), source })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.all -= 1;
        if let Some(count) = open.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

fn contains(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let (network, address, bits) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_ipv6_mapped(), address.to_ipv6_mapped(), u32::from(prefix) + 96)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network, address, u32::from(prefix)),
        _ => return false,
    };
    let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
    let masked = |address: Ipv6Addr| u128::from(address) & mask;
    masked(network) == masked(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + last).into())
    }

    /// `spec/node-tests` §7.
    #[test]
    fn bursts_rates_and_addresses() {
        let limiter = Limiter::new(RateLimits::default());
        let start = Instant::now();
        let step = Duration::from_secs(1) / 300;
        assert!((0..600).all(|_| limiter.allow_at(address(1), start)));
        assert!(!limiter.allow_at(address(1), start));
        assert!(limiter.allow_at(address(2), start));
        assert!(limiter.allow_at(address(1), start + step));
        assert!(!limiter.allow_at(address(1), start + step));
        assert!((0..6000).all(|n| limiter.allow_at(address(3), start + step * n)));
        let limiter = Limiter::new(RateLimits::default());
        assert!((0..10_000).all(|n| limiter.allow_at(address(n), start)));
        assert!(!limiter.allow_at(address(10_000), start));
        assert!(limiter.allow_at(address(10_000), start + step));
    }

    #[test]
    fn connections_are_counted_by_address() {
        let limits = ConnectionLimits::new(3, 2);
        let first = limits.take(address(1), false).unwrap();
        let second = limits.take(address(1), false).unwrap();
        assert!(limits.take(address(1), false).is_none());
        let third = limits.take(address(1), true).unwrap();
        assert!(limits.take(address(2), false).is_none());
        drop((first, second, third));
        assert!(limits.take(address(2), false).is_some());
        assert!(limits.open.lock().by_source.is_empty());
    }

    #[test]
    fn sources_and_exemptions() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(Source::of(parse("::ffff:192.0.2.1")), Source::of(parse("192.0.2.1")));
        assert_eq!(Source::of(parse("2001:db8::1")), Source::of(parse("2001:db8::ffff")));
        assert_ne!(Source::of(parse("2001:db8::1")), Source::of(parse("2001:db8:0:1::1")));
        let exempt = vec![(parse("127.0.0.0"), 8), (parse("2001:db8::"), 32), (parse("192.0.2.7"), 32)];
        let limiter = Limiter::new(RateLimits { burst: 1, exempt, ..RateLimits::default() });
        for (text, exempt) in [
            ("127.1.2.3", true),
            ("::ffff:127.0.0.1", true),
            ("128.0.0.1", false),
            ("2001:db8:1::", true),
            ("2001:db9::", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
        ] {
            assert_eq!(limiter.is_exempt(parse(text)), exempt, "{text}");
            assert!(limiter.allow(parse(text)));
            assert_eq!(limiter.allow(parse(text)), exempt, "{text}");
        }
        assert!(contains(parse("1.2.3.4"), 0, parse("9.9.9.9")));
        assert_eq!(parse_network("192.0.2.0/24"), Ok((parse("192.0.2.0"), 24)));
        assert_eq!(parse_network("::1"), Ok((parse("::1"), 128)));
        for wrong in ["", "x", "1.2.3.4/33", "1.2.3.4/", "::/129"] {
            assert!(parse_network(wrong).unwrap_err().starts_with("no network"), "{wrong}");
        }
        limiter.prune();
    }
}
