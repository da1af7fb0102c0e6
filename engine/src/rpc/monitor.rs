//! Subscriptions: whoever proves that it may read an account is told of each new message (`spec/node-rpc` §4.17,
//! but that a token is no good once it is revoked).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::auth::{Auth, Subaccount, flag};
use crate::{
    bencode::Bt,
    crypto::ed25519_to_x25519,
    holder::Holder,
    store::{Store, StoreError},
    types::{AccountId, Millis, Namespace},
};

/// Signatures may be this old, or this far ahead, in seconds.
const OLDEST: u64 = 14 * 86_400;
const NEWEST: u64 = 86_400;
/// Subscriptions that one request may ask for.
const MOST_IN_REQUEST: usize = 100;
/// Namespaces that one subscription may name, and may have once it was widened.
pub(super) const MOST_NAMESPACES: usize = 64;

/// Error numbers that clients read.
mod code {
    pub(super) const ARGUMENTS: i64 = 1;
    pub(super) const PUBKEY: i64 = 2;
    pub(super) const NAMESPACES: i64 = 3;
    pub(super) const TIMESTAMP: i64 = 4;
    pub(super) const SIGNATURE: i64 = 5;
    pub(super) const WRONG_SWARM: i64 = 6;
}

/// A way to a subscriber. Never waits: what cannot be queued is lost to it, as on any broken connection.
pub trait Subscriber: Send + Sync {
    /// Tells the connection from all others, for as long as it lives.
    fn connection(&self) -> &[u8];
    /// To whose share its subscriptions count.
    fn holder(&self) -> Holder;
    /// Sends one notice: a bencoded dict.
    fn notify(&self, notice: Notice, dict: Bytes);
}

/// What a subscriber is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is a new message.
    Message,
    /// The account has left this node, and the subscription ends.
    Ended,
}

impl Notice {
    /// The command that tells it over OMQ.
    #[must_use]
    pub const fn omq(self) -> &'static str {
        match self {
            Self::Message => "notify.message",
            Self::Ended => "notify.monitor_ended",
        }
    }

    /// The command that tells it over QUIC.
    #[must_use]
    pub const fn quic(self) -> &'static str {
        match self {
            Self::Message => "notify",
            Self::Ended => "monitor_ended",
        }
    }
}

/// Why a subscription was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: i64,
    text: String,
}

impl Refusal {
    fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn arguments(what: &str) -> Self {
        Self::new(code::ARGUMENTS, format!("Invalid arguments: {what}"))
    }

    fn missing(key: &str) -> Self {
        Self::arguments(&format!("Key {key} not found!"))
    }

    /// Neither a dict nor a list of dicts.
    fn unreadable() -> Self {
        Self::arguments("monitor request takes a single bencoded dict or list parameter")
    }

    pub(super) fn too_many_namespaces() -> Self {
        let text = format!("Invalid n= namespace list: more than {MOST_NAMESPACES} namespaces");
        Self::new(code::NAMESPACES, text)
    }

    /// The account belongs elsewhere.
    #[must_use]
    pub fn wrong_swarm() -> Self {
        Self::new(code::WRONG_SWARM, "Wrong swarm")
    }

    /// The node cannot say.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::arguments("this node cannot check the signature now; try again")
    }

    /// As answered.
    #[must_use]
    pub fn to_bt(&self) -> Bt {
        Bt::Dict(self.fields())
    }

    /// The fields of what is answered.
    pub(super) fn fields(&self) -> Fields {
        [("errcode", Bt::Int(self.code.into())), ("error", self.text.as_bytes().into())]
            .map(|(key, value)| (key.into(), value))
            .into()
    }
}

/// The fields of one subscription.
type Fields = BTreeMap<Vec<u8>, Bt>;

/// A subscription as it was asked for, not yet proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose messages.
    pub account: AccountId,
    pub(super) namespaces: Vec<Namespace>,
    pub(super) data: bool,
    pub(super) signed_at: u64,
    pub(super) auth: Auth,
}

impl Subscription {
    /// From the dict of a request.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(fields: &Fields) -> Result<Self, Refusal> {
        let ed25519 = bytes(fields, "P", "Provided P= Session Ed25519 pubkey must be 32 bytes", code::PUBKEY)?;
        let signature = bytes(fields, "S", "Provided S subaccount signature must be 64 bytes", code::PUBKEY)?;
        let token = bytes(fields, "T", "Provided T subaccount token must be 36 bytes", code::PUBKEY)?;
        let data = match fields.get(b"d".as_slice()) {
            None | Some(Bt::Int(0)) => false,
            Some(Bt::Int(1)) => true,
            Some(_) => return Err(Refusal::arguments("d must be 0 or 1")),
        };
        let namespaces = namespaces(fields)?;
        let account = bytes(fields, "p", "Provided p= pubkey must be 33 bytes", code::PUBKEY)?;
        let account = match (ed25519, account) {
            (Some(_), Some(_)) => return Err(Refusal::arguments("P and p exclude each other")),
            (None, None) => return Err(Refusal::arguments("one of P and p is required")),
            (None, Some(account)) => AccountId(account),
            (Some(key), None) => {
                let key = ed25519_to_x25519(&key);
                let key = key.ok_or_else(|| Refusal::new(code::PUBKEY, "Invalid P= ed25519 public key"))?;
                AccountId::new(AccountId::SESSION, key)
            }
        };
        let proof = bytes(fields, "s", "Provided s= signature must be 64 bytes", code::SIGNATURE)?;
        let proof = proof.ok_or_else(|| Refusal::missing("s"))?;
        let signed_at = match fields.get(b"t".as_slice()) {
            None => return Err(Refusal::missing("t")),
            Some(Bt::Int(time)) => u64::try_from(*time).ok(),
            Some(_) => None,
        };
        let signed_at = signed_at.ok_or_else(|| Refusal::arguments("t must be Unix seconds"))?;
        let subaccount = match (token, signature) {
            (None, None) => None,
            (Some(token), Some(signature)) => Some(Subaccount { token, signature }),
            _ => return Err(Refusal::arguments("S and T need each other")),
        };
        let auth = Auth { signature: proof, pubkey_ed25519: ed25519, subaccount };
        Ok(Self { account, namespaces, data, signed_at, auth })
    }

    /// The token of whoever is not the account itself; once it is revoked, the subscription is over.
    pub(super) fn token(&self) -> Option<[u8; 36]> {
        self.auth.subaccount.as_ref().map(|subaccount| subaccount.token)
    }

    /// Whether the account gave permission, lately, and has not taken it back.
    ///
    /// # Errors
    /// [`Refusal`]; the outer error when the store cannot be read.
    pub fn verify(&self, store: &Store, now: Millis) -> Result<Result<(), Refusal>, StoreError> {
        let now = now.0 / 1000;
        let stale =
            |what| Err(Refusal::new(code::TIMESTAMP, format!("Invalid t= signature timestamp: timestamp is {what}")));
        if self.signed_at < now.saturating_sub(OLDEST) {
            return Ok(stale("too old"));
        }
        if self.signed_at > now + NEWEST {
            return Ok(stale("in the future"));
        }
        let namespaces: Vec<String> = self.namespaces.iter().map(|namespace| namespace.0.to_string()).collect();
        let data = u8::from(self.data);
        let text = format!("MONITOR{}{}{data}{}", self.account.hex(), self.signed_at, namespaces.join(","));
        if self.auth.verify(store, &self.account, text.as_bytes(), flag::READ, true)? {
            return Ok(Ok(()));
        }
        let text = match self.auth.subaccount {
            None => "Signature verification failed",
            Some(_) => "Subaccount verification failed: the token or its use is not permitted",
        };
        Ok(Err(Refusal::new(code::SIGNATURE, text)))
    }
}

/// `N` bytes under `name`, if there are any.
fn bytes<const N: usize>(fields: &Fields, name: &str, wrong: &str, code: i64) -> Result<Option<[u8; N]>, Refusal> {
    match fields.get(name.as_bytes()) {
        None => Ok(None),
        Some(Bt::Bytes(bytes)) => bytes.as_slice().try_into().map(Some).map_err(|_| Refusal::new(code, wrong)),
        Some(_) => Err(Refusal::arguments(&format!("{name} must be a string"))),
    }
}

fn namespaces(fields: &Fields) -> Result<Vec<Namespace>, Refusal> {
    let Bt::List(items) = fields.get(b"n".as_slice()).ok_or_else(|| Refusal::missing("n"))? else {
        return Err(Refusal::arguments("n must be a list of namespaces"));
    };
    if items.len() > MOST_NAMESPACES {
        return Err(Refusal::too_many_namespaces());
    }
    let number = |item: &Bt| match item {
        Bt::Int(number) => i16::try_from(*number).ok().map(Namespace),
        _ => None,
    };
    let namespaces: Option<Vec<Namespace>> = items.iter().map(number).collect();
    let namespaces = namespaces.ok_or_else(|| Refusal::arguments("n must hold 16-bit integers"))?;
    if namespaces.is_empty() {
        return Err(Refusal::new(code::NAMESPACES, "Invalid n= namespace list: no namespaces"));
    }
    if !namespaces.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Refusal::new(code::NAMESPACES, "Invalid n= namespace list: namespaces must be ascending"));
    }
    Ok(namespaces)
}

/// The subscriptions in a request: one dict, or a list of them, answered in the same form.
///
/// # Errors
/// The one refusal of a body that is neither.
pub(super) fn requests(body: &[u8]) -> Result<(Vec<Fields>, bool), Refusal> {
    let dict = |item: Bt| match item {
        Bt::Dict(fields) => Ok(fields),
        _ => Err(Refusal::unreadable()),
    };
    match Bt::parse(body) {
        Ok(Bt::List(items)) if items.len() > MOST_IN_REQUEST => {
            Err(Refusal::arguments(&format!("more than {MOST_IN_REQUEST} subscriptions in one request")))
        }
        Ok(Bt::List(items)) => Ok((items.into_iter().map(dict).collect::<Result<_, _>>()?, true)),
        Ok(one) => Ok((vec![dict(one)?], false)),
        Err(_) => Err(Refusal::unreadable()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{clock::Clock, crypto::Ed25519Secret, store::StoreConfig};

    fn secret(first: u8) -> Ed25519Secret {
        Ed25519Secret::from_seed(&std::array::from_fn(|i| first + i as u8))
    }

    /// `spec/node-tests` §4: `MONITOR<U>17000000001-10,0,2` by user U.
    fn fields() -> Fields {
        let user = secret(0);
        let account = AccountId::new(AccountId::SESSION, user.x25519().public().0);
        let signature = user.sign(format!("MONITOR{}17000000001-10,0,2", account.hex()).as_bytes());
        assert!(hex::encode(signature).starts_with("003d004b67a0b3b7b0228a374b20cd93"));
        let Bt::Dict(fields) = Bt::dict([
            ("P", user.public().0.as_slice().into()),
            ("d", Bt::Int(1)),
            ("n", Bt::List([-10, 0, 2].map(Bt::Int).into())),
            ("s", signature.as_slice().into()),
            ("t", Bt::Int(1_700_000_000)),
        ]) else {
            panic!("not a dict")
        };
        fields
    }

    pub(in super::super) fn published() -> Subscription {
        Subscription::parse(&fields()).unwrap()
    }

    pub(in super::super) fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        (dir, store)
    }

    #[test]
    fn the_published_signature_is_taken_and_refusals_have_their_numbers() {
        let (_dir, store) = store();
        let now = Millis(1_700_000_000_000);
        assert_eq!(published().verify(&store, now), Ok(Ok(())));
        let refused = |change: &dyn Fn(&mut Fields)| {
            let mut changed = fields();
            change(&mut changed);
            let checked = Subscription::parse(&changed).and_then(|s| s.verify(&store, now).unwrap());
            checked.map_or_else(|refusal| (refusal.code, refusal.text), |()| (0, String::new()))
        };
        let set = |name: &'static str, value: Bt| {
            move |fields: &mut Fields| {
                fields.insert(name.into(), value.clone());
            }
        };
        let long = || Bt::Bytes(vec![0; 65]);
        assert_eq!(refused(&set("P", long())).1, "Provided P= Session Ed25519 pubkey must be 32 bytes");
        assert_eq!(refused(&set("S", long())).1, "Provided S subaccount signature must be 64 bytes");
        assert_eq!(refused(&set("T", long())).1, "Provided T subaccount token must be 36 bytes");
        assert_eq!(refused(&set("p", long())), (2, "Provided p= pubkey must be 33 bytes".into()));
        assert_eq!(refused(&set("s", long())), (5, "Provided s= signature must be 64 bytes".into()));
        assert_eq!(refused(&set("p", Bt::Bytes(vec![5; 33]))).0, 1);
        assert_eq!(refused(&set("d", Bt::Int(0))), (5, "Signature verification failed".into()));
        let unsorted = Bt::List([0, 0].map(Bt::Int).into());
        let text = "Invalid n= namespace list: namespaces must be ascending";
        assert_eq!(refused(&set("n", unsorted)), (3, text.into()));
        let old = refused(&set("t", Bt::Int(1_700_000_000 - 14 * 86_400 - 1)));
        assert_eq!(old, (4, "Invalid t= signature timestamp: timestamp is too old".into()));
        let future = refused(&set("t", Bt::Int(1_700_000_000 + 86_401)));
        assert_eq!(future, (4, "Invalid t= signature timestamp: timestamp is in the future".into()));
        for (key, text) in [("n", "Key n not found!"), ("s", "Key s not found!"), ("t", "Key t not found!")] {
            let missing = refused(&|fields| drop(fields.remove(key.as_bytes())));
            assert_eq!(missing, (1, format!("Invalid arguments: {text}")));
        }
        assert_eq!(requests(b"i1e").unwrap_err().code, 1);
        assert_eq!(requests(b"li1ee").unwrap_err().code, 1);
        assert_eq!(requests(b"ldedee").unwrap(), (vec![BTreeMap::new(); 2], true));
    }
}
