//! Subscriptions: whoever proves that it may read an account is told of each new message (`spec/node-rpc` §4.17).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::auth::{Auth, Subaccount, flag};
use crate::{
    bencode::Bt,
    crypto::ed25519_to_x25519,
    store::{NewMessage, Store, StoreError},
    types::{AccountId, Millis, Namespace},
};

/// How long a subscription lasts after it was made or renewed.
const LIFETIME: Duration = Duration::from_secs(65 * 60);
/// Signatures may be this old, or this far ahead, in seconds.
const OLDEST: u64 = 14 * 86_400;
const NEWEST: u64 = 86_400;
/// Subscriptions of the whole node, at some 300 bytes each.
const MOST: usize = 1 << 20;

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
    /// Sends one notification: a bencoded dict.
    fn notify(&self, dict: Bytes);
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

    fn arguments(what: &str) -> Self {
        Self::new(code::ARGUMENTS, format!("Invalid arguments: {what}"))
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
        Bt::dict([("errcode", Bt::Int(self.code.into())), ("error", self.text.as_bytes().into())])
    }
}

/// The fields of one subscription.
type Fields = BTreeMap<Vec<u8>, Bt>;

/// A subscription as it was asked for, not yet proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose messages.
    pub account: AccountId,
    namespaces: Vec<Namespace>,
    data: bool,
    signed_at: u64,
    auth: Auth,
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
        let proof = proof.ok_or_else(|| Refusal::arguments("s is required"))?;
        let signed_at = match fields.get(b"t".as_slice()) {
            Some(Bt::Int(time)) => u64::try_from(*time).ok(),
            _ => None,
        };
        let signed_at = signed_at.ok_or_else(|| Refusal::arguments("t is required: Unix seconds"))?;
        let subaccount = match (token, signature) {
            (None, None) => None,
            (Some(token), Some(signature)) => Some(Subaccount { token, signature }),
            _ => return Err(Refusal::arguments("S and T need each other")),
        };
        let auth = Auth { signature: proof, pubkey_ed25519: ed25519, subaccount };
        Ok(Self { account, namespaces, data, signed_at, auth })
    }

    /// Whether the account gave permission, and lately.
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
        if self.auth.verify(store, &self.account, text.as_bytes(), flag::READ, false)? {
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
    let Some(Bt::List(items)) = fields.get(b"n".as_slice()) else {
        return Err(Refusal::arguments("n is required: a list of namespaces"));
    };
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
        _ => Err(Refusal::arguments("expected a dict, or a list of dicts")),
    };
    match Bt::parse(body) {
        Ok(Bt::List(items)) => Ok((items.into_iter().map(dict).collect::<Result<_, _>>()?, true)),
        Ok(one) => Ok((vec![dict(one)?], false)),
        Err(error) => Err(Refusal::arguments(&error.to_string())),
    }
}

struct Entry {
    subscriber: Arc<dyn Subscriber>,
    namespaces: BTreeSet<i16>,
    data: bool,
    ends: Instant,
}

#[derive(Default)]
struct Tables {
    by_account: HashMap<AccountId, Vec<Entry>>,
    by_connection: HashMap<Vec<u8>, BTreeSet<AccountId>>,
    entries: usize,
}

/// The subscriptions in force.
#[derive(Default)]
pub struct Monitors(RwLock<Tables>);

impl Monitors {
    /// Puts a proven subscription in force; one of the same connection and account is widened and renewed.
    ///
    /// # Errors
    /// [`Refusal`] when the node has no room for more.
    pub fn add(&self, subscription: &Subscription, subscriber: &Arc<dyn Subscriber>) -> Result<(), Refusal> {
        let mut tables = self.0.write();
        let tables = &mut *tables;
        let ends = Instant::now() + LIFETIME;
        let namespaces = subscription.namespaces.iter().map(|namespace| namespace.0);
        let entries = tables.by_account.entry(subscription.account).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.subscriber.connection() == subscriber.connection()) {
            entry.namespaces.extend(namespaces);
            entry.data |= subscription.data;
            entry.ends = ends;
            return Ok(());
        }
        if tables.entries >= MOST {
            if entries.is_empty() {
                tables.by_account.remove(&subscription.account);
            }
            return Err(Refusal::arguments("this node has no room for more subscriptions"));
        }
        let (namespaces, data) = (namespaces.collect(), subscription.data);
        entries.push(Entry { subscriber: Arc::clone(subscriber), namespaces, data, ends });
        tables.by_connection.entry(subscriber.connection().to_vec()).or_default().insert(subscription.account);
        tables.entries += 1;
        Ok(())
    }

    /// Whether anybody subscribes to this account at all: a cheap look before a message is copied.
    #[must_use]
    pub fn any(&self, account: &AccountId) -> bool {
        self.0.read().by_account.contains_key(account)
    }

    /// Tells every subscriber of a message that was new.
    pub fn notify(&self, message: &NewMessage) {
        let tables = self.0.read();
        let now = Instant::now();
        let entries = tables.by_account.get(&message.account).map_or(&[][..], Vec::as_slice);
        let wanted = |entry: &&Entry| entry.ends > now && entry.namespaces.contains(&message.namespace.0);
        let (mut bare, mut whole) = (None, None);
        for entry in entries.iter().filter(wanted) {
            let cached = if entry.data { &mut whole } else { &mut bare };
            entry.subscriber.notify(cached.get_or_insert_with(|| notification(message, entry.data)).clone());
        }
    }

    /// The connection is gone.
    pub fn forget(&self, connection: &[u8]) {
        let mut tables = self.0.write();
        for account in tables.by_connection.remove(connection).unwrap_or_default() {
            tables.retain(&account, |entry| entry.subscriber.connection() != connection);
        }
    }

    /// Drops what was not renewed in time.
    pub fn prune(&self) {
        let mut tables = self.0.write();
        let now = Instant::now();
        let ended: Vec<(AccountId, Vec<u8>)> = tables
            .by_account
            .iter()
            .flat_map(|(account, entries)| entries.iter().map(move |entry| (account, entry)))
            .filter(|(_, entry)| entry.ends <= now)
            .map(|(account, entry)| (*account, entry.subscriber.connection().to_vec()))
            .collect();
        for (account, connection) in ended {
            tables.retain(&account, |entry| entry.ends > now);
            if let Some(accounts) = tables.by_connection.get_mut(&connection) {
                accounts.remove(&account);
                if accounts.is_empty() {
                    tables.by_connection.remove(&connection);
                }
            }
        }
    }

    /// Subscriptions in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.read().entries
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tables {
    fn retain(&mut self, account: &AccountId, keep: impl Fn(&Entry) -> bool) {
        let Some(entries) = self.by_account.get_mut(account) else { return };
        let before = entries.len();
        entries.retain(keep);
        self.entries -= before - entries.len();
        if entries.is_empty() {
            self.by_account.remove(account);
        }
    }
}

fn notification(message: &NewMessage, data: bool) -> Bytes {
    let mut fields = vec![
        ("@", message.account.0.as_slice().into()),
        ("h", message.hash.to_string().as_bytes().into()),
        ("n", Bt::Int(message.namespace.0.into())),
        ("t", message.timestamp.0.into()),
        ("z", message.expiry.0.into()),
    ];
    if data {
        fields.push(("~", message.data.as_slice().into()));
    }
    Bt::dict(fields).encode().into()
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::{clock::Clock, crypto::Ed25519Secret, store::StoreConfig, types::MessageHash};

    struct Inbox(u8, Mutex<Vec<Bytes>>);

    impl Subscriber for Inbox {
        fn connection(&self) -> &[u8] {
            std::slice::from_ref(&self.0)
        }

        fn notify(&self, dict: Bytes) {
            self.1.lock().push(dict);
        }
    }

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

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        (dir, store)
    }

    #[test]
    fn the_published_signature_is_taken_and_refusals_have_their_numbers() {
        let (_dir, store) = store();
        let now = Millis(1_700_000_000_000);
        let subscription = Subscription::parse(&fields()).unwrap();
        assert_eq!(subscription.verify(&store, now), Ok(Ok(())));
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
        assert_eq!(refused(&|fields| drop(fields.remove(b"t".as_slice()))).0, 1);
        assert_eq!(requests(b"i1e").unwrap_err().code, 1);
        assert_eq!(requests(b"li1ee").unwrap_err().code, 1);
        assert_eq!(requests(b"ldedee").unwrap(), (vec![BTreeMap::new(); 2], true));
    }

    #[test]
    fn subscribers_hear_of_what_they_asked_for() {
        let monitors = Monitors::default();
        let subscription = Subscription::parse(&fields()).unwrap();
        let (a, b) = (Arc::new(Inbox(1, Mutex::default())), Arc::new(Inbox(2, Mutex::default())));
        let as_subscriber = |inbox: &Arc<Inbox>| Arc::clone(inbox) as Arc<dyn Subscriber>;
        monitors.add(&subscription, &as_subscriber(&a)).unwrap();
        monitors.add(&subscription, &as_subscriber(&a)).unwrap();
        let bare = Subscription { data: false, namespaces: vec![Namespace(3)], ..subscription.clone() };
        monitors.add(&bare, &as_subscriber(&b)).unwrap();
        assert_eq!(monitors.len(), 2);
        let message = |namespace: i16| {
            let (account, namespace, data) = (subscription.account, Namespace(namespace), b"hi".to_vec());
            let hash = MessageHash::of(&account, namespace, &data);
            let (stored, changed) = (Millis(7), Millis(7));
            NewMessage { account, namespace, hash, timestamp: Millis(7), expiry: Millis(9), stored, changed, data }
        };
        for namespace in [0, 3, 4] {
            monitors.notify(&message(namespace));
        }
        let told = a.1.lock().clone();
        assert_eq!(told.len(), 1);
        let Ok(Bt::Dict(dict)) = Bt::parse(&told[0]) else { panic!("not a dict") };
        let keys: Vec<_> = dict.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        assert_eq!(keys, ["@", "h", "n", "t", "z", "~"]);
        assert_eq!((&dict[b"t".as_slice()], &dict[b"z".as_slice()]), (&Bt::Int(7), &Bt::Int(9)));
        assert_eq!(dict[b"~".as_slice()], Bt::Bytes(b"hi".to_vec()));
        assert_eq!(b.1.lock().len(), 1);
        assert!(!b.1.lock()[0].ends_with(b"2:hie"));
        monitors.forget(&[1]);
        monitors.notify(&message(0));
        assert_eq!((monitors.len(), a.1.lock().len()), (1, 1));
        monitors.prune();
        assert_eq!(monitors.len(), 1);
        monitors.forget(&[2]);
        assert!(monitors.is_empty() && !monitors.any(&subscription.account));
    }
}
