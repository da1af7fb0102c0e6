//! What is asked of a node: the bytes of each request.

use std::time::{SystemTime, UNIX_EPOCH};

use allium_engine::{
    crypto::{Ed25519Secret, EncType},
    onion::build::{Destination, Hop, build},
};
use anyhow::Result;
use serde_json::{Value, json};

/// Accounts that messages are stored for, so that each has some.
const ACCOUNTS: u64 = 10_000;
const DAY: u64 = 86_400_000;

/// What one row asks, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The cheapest request: what the transport alone costs.
    Info,
    /// A new message: answered when it is on disk.
    Store,
    /// Signed; everything that there is has been retrieved before.
    RetrieveNothing,
    /// Signed; ten messages.
    RetrieveTen,
    /// `info`, padded to the size of a message, in this many onion layers.
    OnionInfo(usize),
    /// [`Work::RetrieveNothing`] in one onion layer.
    OnionRetrieve,
}

impl Work {
    pub(crate) const fn route(self) -> &'static str {
        match self {
            Self::OnionInfo(_) | Self::OnionRetrieve => "/onion_req/v2",
            _ => "/storage_rpc/v1",
        }
    }

    /// Whether the accounts have to have messages first.
    pub(crate) const fn needs_messages(self) -> bool {
        matches!(self, Self::RetrieveNothing | Self::RetrieveTen | Self::OnionRetrieve)
    }
}

pub(crate) fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Numbers without pattern, quickly: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Result<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        Ok(Self(u64::from_le_bytes(seed) | 1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }
}

/// One of the accounts that messages are stored for; its 32 bytes are spread over all swarms.
pub(crate) fn account(number: u64) -> [u8; 33] {
    let digest = Random((number % ACCOUNTS).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).array();
    let mut account = [5; 33];
    account[1..].copy_from_slice(&digest);
    account
}

impl Random {
    fn array(mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}

/// An account that signs.
pub(crate) struct User {
    secret: Ed25519Secret,
    account: String,
    ed25519: String,
}

impl User {
    pub(crate) fn new(random: &mut Random) -> Result<Self> {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let secret = Ed25519Secret::from_seed(&seed);
        let x25519 = secret.x25519().public();
        Ok(Self { account: format!("05{x25519}"), ed25519: secret.public().to_string(), secret })
    }

    fn store(&self, data: &[u8]) -> Result<Value> {
        Ok(json!({"method": "store", "params": {
            "pubkey": self.account, "timestamp": now_ms()?, "ttl": DAY,
            "data": base64_simd::STANDARD.encode_to_string(data),
        }}))
    }

    fn retrieve(&self, last_hash: Option<&str>) -> Result<Value> {
        let timestamp = now_ms()?;
        let signature = self.secret.sign(format!("retrieve{timestamp}").as_bytes());
        let mut params = json!({
            "pubkey": self.account, "pubkey_ed25519": self.ed25519, "timestamp": timestamp,
            "signature": base64_simd::STANDARD.encode_to_string(signature),
        });
        if let Some(hash) = last_hash {
            params["last_hash"] = hash.into();
        }
        Ok(json!({"method": "retrieve", "params": params}))
    }
}

/// What one connection sends: a whole HTTP request, of which some bytes may change from one to the next.
pub(crate) struct Requests {
    work: Work,
    random: Random,
    bytes: usize,
    user: User,
    /// How long messages are to be kept, in milliseconds.
    ttl: u64,
    /// The user's newest message.
    pub(crate) last_hash: Option<String>,
    path: Vec<Hop>,
    whole: Vec<u8>,
    /// Bytes of it before the body.
    head: usize,
}

impl Requests {
    /// `path`: the nodes that onion requests go through, the first of which is asked.
    pub(crate) fn new(work: Work, bytes: usize, path: &[Hop]) -> Result<Self> {
        let mut random = Random::new()?;
        let user = User::new(&mut random)?;
        let (path, whole) = (path.to_vec(), Vec::new());
        Ok(Self { work, random, bytes, user, ttl: DAY, last_hash: None, path, whole, head: 0 })
    }

    /// Messages of [`Work::Store`] are to be kept for so many milliseconds.
    pub(crate) fn storage(self, ttl: u64) -> Self {
        Self { ttl, ..self }
    }

    /// The requests that give the user ten messages.
    pub(crate) fn preparation(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut data = vec![0; self.bytes];
        let mut requests = Vec::new();
        if self.work.needs_messages() && self.last_hash.is_none() {
            for _ in 0..10 {
                self.random.fill(&mut data);
                requests.push(http("/storage_rpc/v1", self.user.store(&data)?.to_string().as_bytes()));
            }
        }
        Ok(requests)
    }

    /// Makes the requests of one round: their times and signatures are of now.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let info = json!({"method": "info", "params": {}});
        let retrieve = |last: bool| self.user.retrieve(self.last_hash.as_deref().filter(|_| last));
        let body = match self.work {
            Work::Info => info.to_string().into_bytes(),
            Work::Store => Vec::new(),
            Work::RetrieveNothing => retrieve(true)?.to_string().into_bytes(),
            Work::RetrieveTen => retrieve(false)?.to_string().into_bytes(),
            Work::OnionInfo(layers) => {
                // As large as a message: layers cost by their size too.
                let padded = json!({"method": "info", "params": {"padding": "0".repeat(self.bytes)}});
                self.onion(layers, &padded)?
            }
            Work::OnionRetrieve => self.onion(1, &retrieve(true)?)?,
        };
        self.whole = http(self.work.route(), &body);
        self.head = self.whole.len() - body.len();
        Ok(())
    }

    /// The next request, as it goes over the wire.
    pub(crate) fn next(&mut self) -> Result<&[u8]> {
        if self.work == Work::Store {
            let mut data = vec![0; self.bytes];
            self.random.fill(&mut data);
            let account = account(self.random.next());
            // Written by hand: the load must not cost more than the node.
            let body = format!(
                r#"{{"method":"store","params":{{"pubkey":"{}","timestamp":{},"ttl":{},"data":"{}"}}}}"#,
                hex::encode(account),
                now_ms()?,
                self.ttl,
                base64_simd::STANDARD.encode_to_string(&data),
            );
            self.whole = http(self.work.route(), body.as_bytes());
        }
        Ok(&self.whole)
    }

    /// The request as it goes over QUIC: endpoint and body.
    pub(crate) fn quic(&self) -> Result<(&'static str, &[u8])> {
        Ok(match self.work {
            Work::Info => ("info", b"{}"),
            Work::OnionInfo(_) | Work::OnionRetrieve => ("onion_req", &self.whole[self.head..]),
            work => anyhow::bail!("{work:?} is not asked over QUIC"),
        })
    }

    fn onion(&self, layers: usize, request: &Value) -> Result<Vec<u8>> {
        let [hops @ .., last] = &self.path[..layers] else { anyhow::bail!("a path without a node") };
        let (payload, _) = build(hops, &Destination::Node(*last), request.to_string().as_bytes(), EncType::AesGcm)?;
        Ok(payload)
    }
}

/// A whole request.
pub(crate) fn http(route: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {route} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
