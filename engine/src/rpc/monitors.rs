//! The subscriptions in force, and who is told what.
//!
//! They are in memory, which is bounded: whoever holds many gets the fewer new ones the less room is left, so that somebody
//! who has none finds room whatever others do, and nobody's are taken away for another's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::monitor::{MOST_NAMESPACES, Notice, Refusal, Subscriber, Subscription};
use crate::{
    bencode::Bt,
    holder::{Holder, may_have_more},
    store::{NewMessage, Store},
    types::AccountId,
};

/// How long a subscription lasts after it was made or renewed.
const LIFETIME: Duration = Duration::from_secs(65 * 60);
/// Bytes of memory that a subscription takes, with its share of the tables, at most.
pub const SUBSCRIPTION: usize = 512;

struct Entry {
    subscriber: Arc<dyn Subscriber>,
    namespaces: BTreeSet<i16>,
    data: bool,
    /// Whose permission it stands on, where it is not the account's own.
    token: Option<[u8; 36]>,
    ends: Instant,
}

#[derive(Default)]
struct Tables {
    by_account: HashMap<AccountId, Vec<Entry>>,
    by_connection: HashMap<Vec<u8>, BTreeSet<AccountId>>,
    by_holder: HashMap<Holder, usize>,
    entries: usize,
}

/// The subscriptions in force.
pub struct Monitors {
    tables: RwLock<Tables>,
    /// How many there may be.
    room: usize,
}

impl Monitors {
    /// None, with room for so many.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { tables: RwLock::default(), room }
    }

    /// Puts a proven subscription in force; one of the same connection and account is widened and renewed.
    ///
    /// # Errors
    /// [`Refusal`] when the node has no room for more.
    pub fn add(&self, subscription: &Subscription, subscriber: &Arc<dyn Subscriber>) -> Result<(), Refusal> {
        let mut tables = self.tables.write();
        let tables = &mut *tables;
        let ends = Instant::now() + LIFETIME;
        let namespaces = subscription.namespaces.iter().map(|namespace| namespace.0);
        let entries = tables.by_account.entry(subscription.account).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.subscriber.connection() == subscriber.connection()) {
            let widened: BTreeSet<i16> = entry.namespaces.iter().copied().chain(namespaces).collect();
            if widened.len() > MOST_NAMESPACES {
                return Err(Refusal::too_many_namespaces());
            }
            entry.namespaces = widened;
            entry.data |= subscription.data;
            // Who has once proven to be the account needs nobody's permission.
            entry.token = entry.token.and(subscription.token());
            entry.ends = ends;
            return Ok(());
        }
        let held = tables.by_holder.get(&subscriber.holder()).copied().unwrap_or(0);
        if !may_have_more(held as u64, tables.entries as u64, self.room as u64) {
            if entries.is_empty() {
                tables.by_account.remove(&subscription.account);
            }
            return Err(Refusal::arguments("this node has no room for more of your subscriptions; try another node"));
        }
        let (namespaces, data, token) = (namespaces.collect(), subscription.data, subscription.token());
        entries.push(Entry { subscriber: Arc::clone(subscriber), namespaces, data, token, ends });
        tables.by_holder.insert(subscriber.holder(), held + 1);
        tables.by_connection.entry(subscriber.connection().to_vec()).or_default().insert(subscription.account);
        tables.entries += 1;
        Ok(())
    }

    /// Whether anybody subscribes to this account at all: a cheap look before a message is copied.
    #[must_use]
    pub fn any(&self, account: &AccountId) -> bool {
        self.tables.read().by_account.contains_key(account)
    }

    /// Tells every subscriber of a message that was new. `store` says which of them may not hear of it any more, and is
    /// asked only about those that stand on a token.
    pub fn notify(&self, message: &NewMessage, store: &Store) {
        let tables = self.tables.read();
        let now = Instant::now();
        let entries = tables.by_account.get(&message.account).map_or(&[][..], Vec::as_slice);
        let wanted = |entry: &&Entry| entry.ends > now && entry.namespaces.contains(&message.namespace.0);
        let (mut bare, mut whole, mut revoked) = (None, None, BTreeSet::new());
        for entry in entries.iter().filter(wanted) {
            if let Some(token) = entry.token {
                match store.is_revoked(&message.account, &token) {
                    Ok(false) => {}
                    Ok(true) => {
                        revoked.insert(token);
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, "revocations could not be read");
                        continue;
                    }
                }
            }
            let cached = if entry.data { &mut whole } else { &mut bare };
            entry
                .subscriber
                .notify(Notice::Message, cached.get_or_insert_with(|| notification(message, entry.data)).clone());
        }
        drop(tables);
        if !revoked.is_empty() {
            let is_over = |entry: &Entry| entry.token.is_some_and(|token| revoked.contains(&token));
            self.tables.write().remove(&message.account, is_over);
        }
    }

    /// Ends the subscriptions to accounts that are not ours any more, and tells the subscribers where they are.
    pub(super) fn end(
        &self,
        is_ours: impl Fn(&AccountId) -> bool,
        elsewhere: impl Fn(&AccountId) -> BTreeMap<Vec<u8>, Bt>,
    ) {
        let mut ended = Vec::new();
        let mut tables = self.tables.write();
        let gone: Vec<AccountId> = tables.by_account.keys().filter(|account| !is_ours(account)).copied().collect();
        for account in gone {
            ended.push((account, tables.remove(&account, |_| true)));
        }
        drop(tables);
        for (account, entries) in ended {
            let mut fields = elsewhere(&account);
            fields.insert(b"@".to_vec(), account.0.as_slice().into());
            let dict = Bytes::from(Bt::Dict(fields).encode());
            entries.iter().for_each(|entry| entry.subscriber.notify(Notice::Ended, dict.clone()));
        }
    }

    /// The connection is gone.
    pub fn forget(&self, connection: &[u8]) {
        let mut tables = self.tables.write();
        for account in tables.by_connection.remove(connection).unwrap_or_default() {
            tables.remove(&account, |entry| entry.subscriber.connection() == connection);
        }
    }

    /// Drops what was not renewed in time.
    pub fn prune(&self) {
        let mut tables = self.tables.write();
        let now = Instant::now();
        let is_over = |entry: &Entry| entry.ends <= now;
        let with_ended = tables.by_account.iter().filter(|(_, entries)| entries.iter().any(is_over));
        let accounts: Vec<AccountId> = with_ended.map(|(account, _)| *account).collect();
        for account in accounts {
            tables.remove(&account, is_over);
        }
    }

    /// Subscriptions in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.read().entries
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tables {
    /// Takes the subscriptions to this account that are `over` out of all tables.
    fn remove(&mut self, account: &AccountId, over: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let Some(entries) = self.by_account.get_mut(account) else { return Vec::new() };
        let removed: Vec<Entry> = entries.extract_if(.., |entry| over(entry)).collect();
        if entries.is_empty() {
            self.by_account.remove(account);
        }
        self.entries -= removed.len();
        for Entry { subscriber, .. } in &removed {
            if let Some(accounts) = self.by_connection.get_mut(subscriber.connection()) {
                accounts.remove(account);
                if accounts.is_empty() {
                    self.by_connection.remove(subscriber.connection());
                }
            }
            if let Some(held) = self.by_holder.get_mut(&subscriber.holder()) {
                *held -= 1;
                if *held == 0 {
                    self.by_holder.remove(&subscriber.holder());
                }
            }
        }
        removed
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
    use crate::{
        rpc::{
            auth::Subaccount,
            monitor::tests::{published, store},
        },
        store::{Change, Command},
        types::{MessageHash, Millis, Namespace},
    };

    /// A connection by its number, of the holder with the next.
    struct Inbox([u8; 2], Mutex<Vec<Bytes>>);

    impl Inbox {
        fn new(connection: u8, holder: u8) -> Arc<Self> {
            Arc::new(Self([connection, holder], Mutex::default()))
        }
    }

    impl Subscriber for Inbox {
        fn connection(&self) -> &[u8] {
            &self.0[..1]
        }

        fn holder(&self) -> Holder {
            Holder::at([192, 0, 2, self.0[1]].into())
        }

        fn notify(&self, _: Notice, dict: Bytes) {
            self.1.lock().push(dict);
        }
    }

    fn as_subscriber(inbox: &Arc<Inbox>) -> Arc<dyn Subscriber> {
        Arc::clone(inbox) as Arc<dyn Subscriber>
    }

    fn message(namespace: i16) -> NewMessage {
        let (account, namespace, data) = (published().account, Namespace(namespace), b"hi".to_vec());
        let hash = MessageHash::of(&account, namespace, &data);
        let (stored, changed) = (Millis(7), Millis(7));
        NewMessage { account, namespace, hash, timestamp: Millis(7), expiry: Millis(9), stored, changed, data }
    }

    #[test]
    fn subscribers_hear_of_what_they_asked_for() {
        let (_dir, store) = store();
        let monitors = Monitors::new(100);
        let subscription = published();
        let (a, b) = (Inbox::new(1, 1), Inbox::new(2, 1));
        monitors.add(&subscription, &as_subscriber(&a)).unwrap();
        monitors.add(&subscription, &as_subscriber(&a)).unwrap();
        let bare = Subscription { data: false, namespaces: vec![Namespace(3)], ..subscription.clone() };
        monitors.add(&bare, &as_subscriber(&b)).unwrap();
        assert_eq!(monitors.len(), 2);
        for namespace in [0, 3, 4] {
            monitors.notify(&message(namespace), &store);
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
        monitors.notify(&message(0), &store);
        assert_eq!((monitors.len(), a.1.lock().len()), (1, 1));
        monitors.prune();
        assert_eq!(monitors.len(), 1);
        monitors.forget(&[2]);
        assert!(monitors.is_empty() && !monitors.any(&subscription.account));
    }

    #[test]
    fn nobody_takes_all_the_room() {
        let monitors = Monitors::new(100);
        let of = |number: u8| Subscription { account: AccountId([number; 33]), ..published() };
        let add = |number: u8, holder: u8| monitors.add(&of(number), &as_subscriber(&Inbox::new(holder, holder)));
        let taken = |holder: u8| (0..100).take_while(|number| add(*number, holder).is_ok()).count();
        // 4 x 20 = 100 - 20, and so on: ten greedy ones leave a place for the next.
        assert_eq!(taken(1), 20);
        let others: Vec<usize> = (2..=10).map(taken).collect();
        assert!(others.is_sorted_by(|a, b| a >= b) && others[8] >= 2, "{others:?}");
        assert!(monitors.len() < 100 && add(0, 11).is_ok());
        // What is in force can be renewed, and what ends makes room.
        assert!(add(3, 1).is_ok() && add(99, 1).is_err());
        (2..=10).for_each(|holder| monitors.forget(&[holder]));
        assert!(add(99, 11).is_ok());
        [1, 11].iter().for_each(|holder| monitors.forget(&[*holder]));
        assert!(monitors.is_empty() && monitors.tables.read().by_holder.is_empty());
    }

    #[tokio::test]
    async fn a_subscription_ends_when_its_token_is_revoked() {
        let (_dir, store) = store();
        let monitors = Monitors::new(100);
        let own = published();
        let account = own.account;
        let with = |token: u8| {
            let mut subscription = published();
            subscription.auth.subaccount = Some(Subaccount { token: [token; 36], signature: [0; 64] });
            subscription
        };
        let inboxes: Vec<Arc<Inbox>> = (1..=4).map(|number| Inbox::new(number, number)).collect();
        let add = |subscription: &Subscription, of: usize| {
            monitors.add(subscription, &as_subscriber(&inboxes[of])).unwrap();
        };
        add(&own, 0);
        add(&with(1), 1);
        add(&with(2), 2);
        // This one has proven to be the account since.
        add(&with(1), 3);
        add(&own, 3);
        let heard = || {
            monitors.notify(&message(0), &store);
            inboxes.iter().map(|inbox| inbox.1.lock().len()).collect::<Vec<_>>()
        };
        assert_eq!(heard(), [1, 1, 1, 1]);
        let command = Command { method: "revoke_subaccount".to_owned(), params: b"de".to_vec() };
        let change = Change { at: store.stamp(), command, members: Vec::new() };
        store.set_revoked(account, vec![[1; 36]], true, change).await.unwrap();
        assert_eq!(heard(), [2, 1, 2, 2]);
        assert_eq!(monitors.len(), 3);
        assert!(!monitors.tables.read().by_connection.contains_key([2].as_slice()));
    }
}
