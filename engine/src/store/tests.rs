use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::types::Namespace;

const ALL: Limits = Limits { max_count: None, max_size: u64::MAX };
const FAR: u64 = 4_000_000_000_000;

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn open(dir: &TempDir, max_bytes: u64) -> Store {
    let config = StoreConfig { max_bytes, ..StoreConfig::new(dir.path().join("store")) };
    Store::open(config, Clock::default()).unwrap()
}

fn account(n: u8) -> AccountId {
    AccountId::new(5, [n; 32])
}

fn message(owner: u8, namespace: i16, data: &[u8], timestamp: u64, expiry: u64) -> NewMessage {
    let (account, namespace) = (account(owner), Namespace(namespace));
    NewMessage {
        account,
        namespace,
        hash: MessageHash::of(&account, namespace, data),
        timestamp: Millis(timestamp),
        expiry: Millis(expiry),
        stored: Millis(timestamp),
        changed: Millis(timestamp),
        data: data.to_vec(),
    }
}

/// A client's message, taken now.
fn now(store: &Store, message: NewMessage) -> NewMessage {
    let stored = store.stamp();
    NewMessage { stored, changed: stored, ..message }
}

/// A change, asked for now.
fn change(store: &Store, method: &str, params: &[u8]) -> Change {
    let command = Command { method: method.to_owned(), params: params.to_vec() };
    Change { at: store.stamp(), command, members: Vec::new() }
}

/// One that says nothing to messages that come later.
fn quiet(store: &Store) -> Change {
    change(store, "test", b"de")
}

/// `spec/node-tests` §8.
#[test]
fn the_same_message_is_stored_once_and_only_lives_longer() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    runtime().block_on(async {
        for (expiry, outcome, in_force) in [
            (FAR, Outcome::New, FAR),
            (FAR, Outcome::Exists, FAR),
            (FAR - 1, Outcome::Exists, FAR),
            (FAR + 1, Outcome::Extended, FAR + 1),
        ] {
            let stored = store.put(message(1, 0, b"x", 1, expiry)).await.unwrap();
            assert_eq!(stored, Stored { outcome, expiry: Millis(in_force) });
        }
    });
    assert_eq!(store.stats().unwrap().messages, 1);
}

#[test]
fn an_outbox_keeps_the_newest() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    runtime().block_on(async {
        for (data, timestamp, outcome) in
            [(b"a", 10, Outcome::New), (b"b", 20, Outcome::New), (b"a", 15, Outcome::Obsolete)]
        {
            assert_eq!(store.put(message(1, -1, data, timestamp, FAR)).await.unwrap().outcome, outcome);
        }
    });
    let page = store.retrieve(&account(1), Namespace(-1), None, ALL).unwrap();
    assert_eq!(page.messages.iter().map(|m| m.data.as_slice()).collect::<Vec<_>>(), [b"b"]);
}

/// The figures of `spec/node-tests` §9, big retrieve.
#[test]
fn pages_end_at_the_limits() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 64 << 20);
    runtime().block_on(async {
        for n in 0..90_u8 {
            store.put(message(1, 0, &[n; 70_000], 1, FAR)).await.unwrap();
        }
    });
    for (max_count, max_size, want) in [
        (Some(5), 7_800_000, 5),
        (Some(100), 7_800_000, 83),
        (None, 500_000, 5),
        (None, 600_000, 6),
        (None, 7_800_000 / 3, 27),
        (None, 7_800_000 / 5, 16),
        (Some(10), 700_000, 7),
        (None, 1, 1),
    ] {
        let page = store.retrieve(&account(1), Namespace(0), None, Limits { max_count, max_size }).unwrap();
        assert_eq!((page.messages.len(), page.more), (want, true), "{max_count:?} {max_size}");
    }
    let all = store.retrieve(&account(1), Namespace(0), None, ALL).unwrap();
    let rest = store.retrieve(&account(1), Namespace(0), Some(&all.messages[87].hash), ALL).unwrap();
    assert_eq!((rest.messages.as_slice(), rest.more), (&all.messages[88..], false));
}

#[test]
fn a_full_store_says_so_and_has_room_again_when_messages_expire() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 10_000);
    runtime().block_on(async {
        let mut stored = 0_u64;
        let refused = loop {
            match store.put(message(1, 0, &stored.to_be_bytes(), 1, 1_000)).await {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
            // The writer's own tick may clear what is already expired; that is the point.
            if stored > 1_000 {
                panic!("never full");
            }
        };
        assert_eq!(refused, StoreError::Full);
        assert!(store.clean_expired().await.unwrap() > 0);
        store.put(message(1, 0, b"room", 1, FAR)).await.unwrap();
    });
    assert_eq!(store.stats().unwrap().messages, 1);
}

#[test]
fn fifty_revocations_are_kept() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let tokens: Vec<[u8; 36]> = (0..61).map(|n| [n; 36]).collect();
    runtime().block_on(async {
        store.set_revoked(account(1), tokens.clone(), true, quiet(&store)).await.unwrap();
        assert_eq!(store.revoked(&account(1)).unwrap().len(), 50);
        assert!(!store.is_revoked(&account(2), &tokens[60]).unwrap());
        assert!(store.is_revoked(&account(1), &tokens[60]).unwrap());
        assert_eq!(store.set_revoked(account(1), tokens, false, quiet(&store)).await.unwrap().done, 50);
    });
}

#[test]
fn a_closed_store_refuses_writes() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    store.close();
    let refused = runtime().block_on(store.put(message(1, 0, b"x", 1, FAR)));
    assert_eq!(refused, Err(StoreError::Closed));
}

#[derive(Clone, Debug)]
enum Op {
    Put { owner: u8, namespace: i16, data: u8, timestamp: u64, expiry: u64 },
    Delete { owner: u8, namespace: i16, data: u8 },
    DeleteAll { owner: u8, namespace: Option<i16>, before: Option<u64> },
    ExpireAll { owner: u8, namespace: Option<i16>, expiry: u64 },
    Expire { owner: u8, namespace: i16, data: u8, expiry: u64, mode: u8 },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let namespace = prop::sample::select(vec![0_i16, 2, -10, -1]);
    let put = (0..3_u8, namespace.clone(), 0..6_u8, 0..9_u64, 0..9_u64).prop_map(
        |(owner, namespace, data, timestamp, expiry)| Op::Put {
            owner,
            namespace,
            data,
            timestamp,
            expiry: FAR + expiry,
        },
    );
    prop_oneof![
        6 => put,
        1 => (0..3_u8, namespace.clone(), 0..6_u8)
            .prop_map(|(owner, namespace, data)| Op::Delete { owner, namespace, data }),
        1 => (0..3_u8, prop::option::of(namespace.clone()), prop::option::of(0..9_u64))
            .prop_map(|(owner, namespace, before)| Op::DeleteAll { owner, namespace, before }),
        1 => (0..3_u8, prop::option::of(namespace.clone()), 0..9_u64)
            .prop_map(|(owner, namespace, expiry)| Op::ExpireAll { owner, namespace, expiry: FAR + expiry }),
        1 => (0..3_u8, namespace, 0..6_u8, 0..9_u64, 0..3_u8).prop_map(|(owner, namespace, data, expiry, mode)| {
            Op::Expire { owner, namespace, data, expiry: FAR + expiry, mode }
        }),
        1 => Just(Op::Reopen),
    ]
}

/// (owner, namespace) to messages in the order of their storing: data, timestamp, expiry.
type Model = BTreeMap<(u8, i16), Vec<(u8, u64, u64)>>;

fn in_scope(namespace: Option<i16>, key: (u8, i16), owner: u8) -> bool {
    key.0 == owner && namespace.is_none_or(|namespace| key.1 == namespace)
}

fn scope(namespace: Option<i16>) -> Scope {
    namespace.map_or(Scope::All, |namespace| Scope::One(Namespace(namespace)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_store_is_what_a_simple_model_says(ops in prop::collection::vec(op(), 1..60)) {
        let (dir, runtime) = (TempDir::new().unwrap(), runtime());
        let mut store = open(&dir, 1 << 20);
        let mut model = Model::new();
        for op in ops {
            match op {
                Op::Put { owner, namespace, data, timestamp, expiry } => {
                    let message = now(&store, message(owner, namespace, &[data], timestamp, expiry));
                    runtime.block_on(store.put(message)).unwrap();
                    let held = model.entry((owner, namespace)).or_default();
                    let outbox = namespace == -1;
                    if outbox && held.iter().any(|m| m.0 != data && m.1 >= timestamp) {
                        continue;
                    }
                    if outbox {
                        held.retain(|m| m.0 == data);
                    }
                    match held.iter_mut().find(|m| m.0 == data) {
                        Some(there) => there.2 = there.2.max(expiry),
                        None => held.push((data, timestamp, expiry)),
                    }
                }
                Op::Delete { owner, namespace, data } => {
                    let hash = message(owner, namespace, &[data], 0, 0).hash;
                    let deleted = runtime.block_on(store.delete(account(owner), vec![hash], quiet(&store))).unwrap().done;
                    let held = model.entry((owner, namespace)).or_default();
                    let before = held.len();
                    held.retain(|m| m.0 != data);
                    prop_assert_eq!(deleted.len(), before - held.len());
                }
                Op::DeleteAll { owner, namespace, before } => {
                    runtime
                        .block_on(store.delete_all(account(owner), scope(namespace), before.map(Millis), quiet(&store)))
                        .unwrap();
                    for (key, held) in &mut model {
                        if in_scope(namespace, *key, owner) {
                            held.retain(|m| before.is_some_and(|before| m.1 > before));
                        }
                    }
                }
                Op::ExpireAll { owner, namespace, expiry } => {
                    runtime.block_on(store.expire_all(account(owner), scope(namespace), Millis(expiry), quiet(&store))).unwrap();
                    for (key, held) in &mut model {
                        if in_scope(namespace, *key, owner) {
                            held.iter_mut().for_each(|m| m.2 = m.2.min(expiry));
                        }
                    }
                }
                Op::Expire { owner, namespace, data, expiry, mode } => {
                    let hash = message(owner, namespace, &[data], 0, 0).hash;
                    let mode = [ExpireMode::Set, ExpireMode::Extend, ExpireMode::Shorten][usize::from(mode)];
                    runtime.block_on(store.expire(account(owner), vec![(hash, Millis(expiry))], mode, quiet(&store))).unwrap();
                    for m in model.entry((owner, namespace)).or_default().iter_mut().filter(|m| m.0 == data) {
                        m.2 = match mode {
                            ExpireMode::Set => expiry,
                            ExpireMode::Extend => m.2.max(expiry),
                            ExpireMode::Shorten => m.2.min(expiry),
                        };
                    }
                }
                Op::Reopen => {
                    store.close();
                    drop(store);
                    store = open(&dir, 1 << 20);
                }
            }
            for (&(owner, namespace), held) in &model {
                let page = store.retrieve(&account(owner), Namespace(namespace), None, ALL).unwrap();
                let got: Vec<_> = page.messages.iter().map(|m| (m.data[0], m.timestamp.0, m.expiry.0)).collect();
                prop_assert_eq!(&got, held);
            }
            let total: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(store.stats().unwrap().messages, total as u64);
        }
    }
}

/// One account that is full is full alone, and has room again when it lets something go; also in a directory of a version
/// that did not count.
#[test]
fn an_account_cannot_take_the_room_of_others() {
    let dir = TempDir::new().unwrap();
    let open = || {
        let path = dir.path().join("store");
        let limits = StoreConfig { account_messages: 3, account_bytes: 2_000, ..StoreConfig::new(path) };
        Store::open(limits, Clock::default()).unwrap()
    };
    let store = open();
    let put = |store: &Store, owner: u8, data: &[u8]| {
        runtime().block_on(store.put(message(owner, 0, data, 1, FAR))).map(|stored| stored.outcome)
    };
    for data in [b"1", b"2", b"3"] {
        assert_eq!(put(&store, 1, data), Ok(Outcome::New));
    }
    assert_eq!(put(&store, 1, b"4"), Err(StoreError::AccountFull));
    assert_eq!(put(&store, 1, b"3"), Ok(Outcome::Exists));
    assert_eq!(put(&store, 2, b"1"), Ok(Outcome::New));
    assert_eq!(put(&store, 2, &[0; 1500]), Err(StoreError::AccountFull));
    let gone = MessageHash::of(&account(1), Namespace(0), b"1");
    assert_eq!(runtime().block_on(store.delete(account(1), vec![gone], quiet(&store))).unwrap().done, [gone]);
    assert_eq!(put(&store, 1, b"4"), Ok(Outcome::New));
    // As an older version left it.
    let mut txn = store.tables.env.write_txn().unwrap();
    store.tables.accounts.clear(&mut txn).unwrap();
    txn.commit().unwrap();
    store.close();
    drop(store);
    let store = open();
    assert_eq!(put(&store, 1, b"5"), Err(StoreError::AccountFull));
    assert_eq!(put(&store, 2, b"2"), Ok(Outcome::New));
    let all = runtime().block_on(store.delete_all(account(1), Scope::All, None, quiet(&store))).unwrap().done;
    assert_eq!(all.len(), 3);
    assert_eq!(put(&store, 1, b"5"), Ok(Outcome::New));
}

/// Another node's copy of what was deleted here stays out; a client may store the same again.
#[test]
fn what_was_deleted_is_not_brought_back() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let clock = Clock::default().now().0;
    let expiry = clock + 60_000;
    let known = now(&store, message(1, 0, b"known", clock, expiry));
    let (unknown, cleared) =
        (now(&store, message(1, 0, b"unknown", clock, expiry)), message(2, 2, b"cleared", 1, expiry));
    let held = |store: &Store| store.stats().unwrap().messages;
    runtime().block_on(async {
        store.put(known.clone()).await.unwrap();
        let hashes = vec![known.hash, unknown.hash];
        let deleted = store.delete(account(1), hashes, quiet(&store)).await.unwrap().done;
        assert_eq!(deleted, [known.hash]);
        let all = change(&store, "delete_all", b"d9:namespacei2ee");
        store.delete_all(account(2), Scope::One(Namespace(2)), None, all).await.unwrap();
    });
    store.close();
    drop(store);
    let store = open(&dir, 1 << 20);
    runtime().block_on(async {
        let later = now(&store, message(2, 2, b"later", 1, expiry));
        let copies = vec![known.clone(), unknown.clone(), cleared.clone(), later.clone()];
        let outcomes: Vec<_> = store.receive(copies).await.unwrap().iter().map(|stored| stored.outcome).collect();
        assert_eq!(outcomes, [Outcome::Obsolete, Outcome::Obsolete, Outcome::Obsolete, Outcome::New]);
        assert_eq!(held(&store), 1);
        let again = now(&store, known.clone());
        assert_eq!(store.put(again.clone()).await.unwrap().outcome, Outcome::New);
        assert_eq!(store.receive(vec![again.clone()]).await.unwrap()[0].outcome, Outcome::Exists);
        // A deletion from before that does it no harm, whenever it comes.
        let late = Change { at: known.stored, ..quiet(&store) };
        assert_eq!(store.delete(account(1), vec![known.hash], late).await.unwrap().done, []);
        assert_eq!(held(&store), 2);
    });
}

/// Members take the same changes in any order, and end with the same.
#[test]
fn the_order_in_which_changes_arrive_does_not_matter() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (a, b) = (open(&one, 1 << 20), open(&other, 1 << 20));
    let (start, far) = (a.stamp(), a.stamp().0 + 20 * 86_400_000);
    let at = |n: u64| start.plus(n);
    let message = |n: u64| NewMessage { stored: at(n), changed: at(n), ..message(1, 0, b"x", 1, far) };
    let hash = message(0).hash;
    let expire = |n: u64, expiry: u64, flag: &str| {
        let params = format!("d6:expiryi{expiry}e{flag}8:messagesl43:{hash}ee");
        Change { at: at(n), ..change(&a, "expire", params.as_bytes()) }
    };
    let delete = |n: u64| Change { at: at(n), ..change(&a, "delete", format!("d8:messagesl43:{hash}ee").as_bytes()) };
    let state = |store: &Store| {
        let found = store.messages(&[hash]).unwrap();
        found.first().map(|message| (message.stored.0 - start.0, message.changed.0 - start.0, message.expiry.0))
    };
    let run = |store: &Store, steps: &[u8]| {
        runtime().block_on(async {
            for step in steps {
                match step {
                    0 => drop(store.put(message(1)).await.unwrap()),
                    1 => drop(
                        store
                            .expire(account(1), vec![(hash, Millis(far - 9))], ExpireMode::Set, expire(2, far - 9, ""))
                            .await,
                    ),
                    2 => drop(store.delete(account(1), vec![hash], delete(3)).await.unwrap()),
                    3 => drop(store.put(message(4)).await.unwrap()),
                    _ => {
                        let change = expire(5, far - 5, "");
                        drop(
                            store
                                .expire(account(1), vec![(hash, Millis(far - 5))], ExpireMode::Set, change)
                                .await
                                .unwrap(),
                        );
                    }
                }
            }
        });
        state(store)
    };
    assert_eq!(run(&a, &[0, 1, 2, 3, 4]), Some((4, 5, far - 5)));
    assert_eq!(run(&b, &[4, 2, 3, 1, 0]), Some((4, 5, far - 5)));
}

/// A directory of format 1 opens, and its messages are as they were.
#[test]
fn the_older_format_is_read() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let old = message(1, 0, b"old", 7, FAR);
    runtime().block_on(store.put(old.clone())).unwrap();
    let mut txn = store.tables.env.write_txn().unwrap();
    let key = store.tables.by_hash.get(&txn, &old.hash.0).unwrap().unwrap().to_vec();
    // Hash, timestamp, expiry, data: 48 bytes and the data.
    let value = [&old.hash.0[..], &7_u64.to_be_bytes(), &FAR.to_be_bytes(), b"old"].concat();
    store.tables.messages.put(&mut txn, &key, &value).unwrap();
    store.tables.set_meta(&mut txn, layout::Meta::Format, 1).unwrap();
    store.tables.revoked.put(&mut txn, &layout::revoked_key(&account(1), &[3; 36]), &9_u64.to_be_bytes()).unwrap();
    txn.commit().unwrap();
    store.close();
    drop(store);
    let store = open(&dir, 1 << 20);
    assert_eq!(store.messages(&[old.hash]).unwrap(), std::slice::from_ref(&old));
    assert!(store.is_revoked(&account(1), &[3; 36]).unwrap());
    let again = now(&store, NewMessage { expiry: Millis(FAR + 1), ..old.clone() });
    assert_eq!(runtime().block_on(store.put(again)).unwrap().outcome, Outcome::Extended);
    assert_eq!(store.messages(&[old.hash]).unwrap()[0].expiry, Millis(FAR + 1));
}

/// A message whose fan-out a crash cut off is named at the next start; one that was told of is not.
#[test]
fn what_the_swarm_was_not_told_of_is_known_after_a_crash() {
    let (dir, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(&dir, 1 << 20);
    let runtime = runtime();
    let untold = message(1, 0, b"untold", 1, FAR);
    let guard = runtime.block_on(async {
        drop(store.put_first(message(1, 0, b"told", 1, FAR)).await.unwrap());
        let (_, guard) = store.put_first(untold.clone()).await.unwrap();
        store.put(message(2, 0, b"another", 1, FAR)).await.unwrap();
        guard
    });
    assert!(store.take_unsettled().is_empty());
    // What is on disk while the guard is held is what a crash would leave.
    std::fs::create_dir(copy.path().join("store")).unwrap();
    std::fs::copy(dir.path().join("store/data.mdb"), copy.path().join("store/data.mdb")).unwrap();
    drop(guard);
    let again = open(&copy, 1 << 20);
    let named = again.take_unsettled();
    assert!(named.contains(&untold.hash));
    assert!(!named.contains(&MessageHash::of(&account(1), Namespace(0), b"told")));
    assert!(again.take_unsettled().is_empty());
}
