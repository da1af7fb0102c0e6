use std::{collections::BTreeMap, ops::ControlFlow, os::unix::fs::PermissionsExt, sync::Arc};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{tables::Tables, *};
use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
    watchdog::Ward,
};

const ALL: Limits = Limits { max_count: None, max_size: u64::MAX };
const FAR: u64 = 4_000_000_000_000;

fn on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

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
        for (data, timestamp, outcome) in [
            (b"a", 10, Outcome::New),
            (b"b", 20, Outcome::New),
            (b"a", 15, Outcome::Obsolete),
            (b"c", 20, Outcome::New),
        ] {
            let message = now(&store, message(1, -1, data, timestamp, FAR));
            assert_eq!(store.put(message).await.unwrap().outcome, outcome);
        }
    });
    let page = store.retrieve(&account(1), Namespace(-1), None, ALL).unwrap();
    assert_eq!(page.messages.iter().map(|m| m.data.as_slice()).collect::<Vec<_>>(), [b"c"]);
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
    Checkpoint,
    Crash,
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
        1 => prop::sample::select(vec![Op::Reopen, Op::Checkpoint, Op::Crash]),
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

/// What a crash of the process would leave now, while nothing is written.
fn copied(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    std::fs::create_dir(copy.path().join("store")).unwrap();
    for file in ["data.mdb", "redo.0", "redo.1"] {
        std::fs::copy(dir.path().join("store").join(file), copy.path().join("store").join(file)).unwrap();
    }
    copy
}

/// Wherever the log is cut off or spoilt, what was before that is there, whole transactions of it, and nothing else.
#[test]
fn a_torn_log_keeps_what_was_before() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let messages: Vec<_> = (0..20_u8).map(|n| message(n, 0, &[n; 100], 1, FAR)).collect();
    runtime().block_on(async {
        for message in &messages {
            store.put(message.clone()).await.unwrap();
        }
    });
    let left = copied(&dir);
    let log = ["redo.0", "redo.1"].map(|name| left.path().join("store").join(name));
    let log = log.iter().find(|log| std::fs::read(log).unwrap().iter().any(|byte| *byte != 0)).unwrap();
    let whole = std::fs::read(log).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut kept = Vec::new();
    for cut in (0..end).step_by(end / 40) {
        for spoilt in [whole[..cut].to_vec(), [&whole[..cut], &[0x5a][..], &whole[cut + 1..]].concat()] {
            std::fs::write(log, spoilt).unwrap();
            let again = copied(&left);
            let store = open(&again, 1 << 20);
            let held = store.batch(&Cursor::default(), usize::MAX, |_| true).unwrap().messages;
            assert_eq!(held, messages[..held.len()]);
            assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
            kept.push(held.len());
        }
    }
    assert!(kept.contains(&0) && kept.iter().any(|kept| *kept > 15), "{kept:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_store_is_what_a_simple_model_says(ops in prop::collection::vec(op(), 1..60)) {
        let (mut dir, runtime) = (TempDir::new().unwrap(), runtime());
        let mut store = open(&dir, 1 << 20);
        let mut model = Model::new();
        for op in ops {
            match op {
                Op::Put { owner, namespace, data, timestamp, expiry } => {
                    let message = now(&store, message(owner, namespace, &[data], timestamp, expiry));
                    runtime.block_on(store.put(message)).unwrap();
                    let held = model.entry((owner, namespace)).or_default();
                    let outbox = namespace == -1;
                    if outbox && held.iter().any(|m| m.0 != data && m.1 > timestamp) {
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
                Op::Checkpoint => runtime.block_on(store.checkpoint()).unwrap(),
                Op::Crash => {
                    let left = copied(&dir);
                    prop_assert_eq!(maintenance::verify(&left.path().join("store"), &mut |_| {}).unwrap().found, 0);
                    store = open(&left, 1 << 20);
                    dir = left;
                }
            }
            for (&(owner, namespace), held) in &model {
                let page = store.retrieve(&account(owner), Namespace(namespace), None, ALL).unwrap();
                let got: Vec<_> = page.messages.iter().map(|m| (m.data[0], m.timestamp.0, m.expiry.0)).collect();
                prop_assert_eq!(&got, held);
            }
            let total: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(store.stats().unwrap().messages, total as u64);
            prop_assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
        }
    }
}

/// One account that is full is full alone, and has room again when it lets something go.
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
    store.close();
    drop(store);
    let store = open();
    assert_eq!(put(&store, 1, b"5"), Err(StoreError::AccountFull));
    assert_eq!(put(&store, 2, b"2"), Ok(Outcome::New));
    let all = runtime().block_on(store.delete_all(account(1), Scope::All, None, quiet(&store))).unwrap().done;
    assert_eq!(all.len(), 3);
    assert_eq!(put(&store, 1, b"5"), Ok(Outcome::New));
}

/// Who fills an account's public inbox, where anybody may, takes nothing from what the account signs; also in a directory of
/// format 4, which did not tell them apart.
#[test]
fn strangers_fill_an_inbox_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let open = || {
        let limits = StoreConfig { account_messages: 3, ..StoreConfig::new(dir.path().join("store")) };
        Store::open(limits, Clock::default()).unwrap()
    };
    let store = open();
    let put = |store: &Store, namespace: i16, n: u8| {
        runtime().block_on(store.put(message(1, namespace, &[n], 1, FAR))).map(|stored| stored.outcome)
    };
    for n in 0..3 {
        assert_eq!(put(&store, 10 * i16::from(n), n), Ok(Outcome::New));
    }
    assert_eq!(put(&store, 0, 3), Err(StoreError::AccountFull));
    assert_eq!(put(&store, -10, 3), Err(StoreError::AccountFull));
    for n in 0..3 {
        assert_eq!(put(&store, 3 + i16::from(n), n), Ok(Outcome::New));
    }
    assert_eq!(put(&store, 3, 3), Err(StoreError::AccountFull));
    store.close();
    // As format 4 had it.
    let mut txn = store.tables.env.write_txn().unwrap();
    let usage = store.tables.data.tree.get(&txn, &account(1).0).unwrap().unwrap()[..16].to_vec();
    store.tables.data.tree.put(&mut txn, &account(1).0, &usage).unwrap();
    txn.commit().unwrap();
    drop(store);
    let store = open();
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
    assert_eq!(put(&store, 0, 4), Err(StoreError::AccountFull));
    assert_eq!(put(&store, 3, 4), Err(StoreError::AccountFull));
    let gone = MessageHash::of(&account(1), Namespace(3), &[0]);
    assert_eq!(runtime().block_on(store.delete(account(1), vec![gone], quiet(&store))).unwrap().done, [gone]);
    assert_eq!(put(&store, 0, 4), Err(StoreError::AccountFull));
    assert_eq!(put(&store, 3, 4), Ok(Outcome::New));
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
}

/// The log of commands has a share for each account, in bytes; one copy is for all who are to be told.
#[test]
fn an_account_fills_its_own_share_of_the_log() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 30);
    let members: Vec<_> = (0..9).map(|n| crate::types::Ed25519PublicKey([n; 32])).collect();
    let large = vec![b'x'; 300_000];
    runtime().block_on(async {
        let others = change(&store, "delete", b"de");
        store.delete(account(2), Vec::new(), others).await.unwrap();
        for _ in 0..40 {
            let change = Change { members: members.clone(), ..change(&store, "delete", &large) };
            assert_eq!(store.delete(account(1), Vec::new(), change).await.unwrap().numbers.len(), members.len());
        }
    });
    let txn = store.tables.view().unwrap();
    let bytes = |owner: u8| -> usize {
        store.tables.commands.prefix_iter(&txn, &account(owner).0).unwrap().map(|entry| entry.unwrap().1.len()).sum()
    };
    assert!(bytes(1) > 3 << 20 && bytes(1) <= 4 << 20, "{}", bytes(1));
    assert!(bytes(2) > 0);
    assert_eq!(store.tables.logged(&txn), (bytes(1) + bytes(2)) as u64);
    let hints: usize = store.tables.hints.iter(&txn).unwrap().map(|entry| entry.unwrap().1.len()).sum();
    assert_eq!(hints, 40 * members.len() * 58);
    drop(txn);
    store.close();
    drop(store);
    let store = open(&dir, 1 << 30);
    assert_eq!(store.tables.logged(&store.tables.view().unwrap()), (4 << 20) / 300_007 * 300_007 + 9);
    // The newest is told, the oldest is forgotten.
    let hint = store.hints(&members[0], 40).unwrap();
    let told = |hint: &Hint| matches!(hint, Hint::Logged(key) if store.command(key).unwrap().is_some());
    assert!(told(&hint[39].1) && !told(&hint[0].1));
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
}

/// One small request changes the times of a whole account: what is written for it does not go by how long the messages are.
#[test]
fn a_change_of_times_writes_no_message_again() {
    const MESSAGES: usize = 100;
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 30);
    let clock = Clock::default();
    let sent: Vec<_> = (0..MESSAGES).map(|n| message(1, (n % 3) as i16, &[n as u8; 70_000], 1, FAR)).collect();
    let held = |store: &Store| -> Vec<NewMessage> {
        let wanted: Vec<_> = sent.iter().map(|message| (message.account, message.hash)).collect();
        store.messages(&wanted).unwrap()
    };
    runtime().block_on(async {
        store.receive(sent.clone()).await.unwrap();
        store.checkpoint().await.unwrap();
    });
    let mut txn = write_txn::WriteTxn::new(&store.tables, &clock).unwrap();
    let mut updated = Vec::new();
    let more = txn.expire_all((&account(1), Scope::All), Millis(FAR - 1), store.stamp(), None, &mut updated).unwrap();
    assert_eq!((more, updated.len()), (None, MESSAGES));
    assert!(txn.view.bytes() < 1000 * MESSAGES, "{}", txn.view.bytes());
    drop(txn);

    // It is the same for everybody who reads, before and after it is in the tables, and when it is read from the log.
    let at = runtime().block_on(async {
        let updated = store.expire_all(account(1), Scope::All, Millis(FAR - 2), quiet(&store)).await.unwrap();
        assert_eq!(updated.done.len(), MESSAGES);
        held(&store)[0].changed
    });
    let now: Vec<_> =
        sent.iter().map(|message| NewMessage { expiry: Millis(FAR - 2), changed: at, ..message.clone() }).collect();
    let check = |store: &Store| {
        assert_eq!(held(store), now);
        let page = store.retrieve(&account(1), Namespace(1), None, ALL).unwrap();
        assert!(page.messages.len() == 33 && page.messages.iter().all(|message| message.expiry == Millis(FAR - 2)));
        let expiries = store.expiries(&account(1), &[sent[0].hash]).unwrap();
        assert_eq!(expiries, [(sent[0].hash, Millis(FAR - 2))]);
        assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
    };
    check(&store);
    runtime().block_on(store.checkpoint()).unwrap();
    check(&store);
    store.close();
    drop(store);
    let store = open(&dir, 1 << 30);
    check(&store);
    // Nothing of a message that goes stays behind.
    let removed = runtime().block_on(store.delete_all(account(1), Scope::All, None, quiet(&store))).unwrap().done;
    assert_eq!(removed.len(), MESSAGES);
    assert_eq!(store.tables.times.iter(&store.tables.view().unwrap()).unwrap().count(), 0);
}

/// A directory of format 5, where each message was written again for a change of its times.
#[test]
fn format_5_is_read() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 64 << 20);
    let sent: Vec<_> = (0..9).map(|n| message(n % 2, 0, &[n], 1, FAR)).collect();
    runtime().block_on(store.receive(sent.clone())).unwrap();
    store.close();
    let mut txn = store.tables.env.write_txn().unwrap();
    // SAFETY: nobody uses it any more.
    unsafe { store.tables.times.tree.remove(&mut txn).unwrap() };
    store.tables.meta.tree.put(&mut txn, b"format", &5_u64.to_be_bytes()).unwrap();
    txn.commit().unwrap();
    drop(store);
    let store = open(&dir, 64 << 20);
    let wanted: Vec<_> = sent.iter().map(|message| (message.account, message.hash)).collect();
    assert_eq!(store.messages(&wanted).unwrap(), sent);
    let updated = runtime().block_on(store.expire_all(account(1), Scope::All, Millis(FAR - 1), quiet(&store)));
    assert_eq!(updated.unwrap().done.len(), 4);
    assert!(backup::place(&dir.path().join("store"), 5).exists());
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
}

/// What concerns all of an account takes several transactions, none of them large.
#[test]
fn a_large_account_is_changed_in_steps() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 30);
    let all: Vec<_> = (0..5000_u32).map(|n| message(1, (n % 3) as i16, &n.to_be_bytes(), 1, FAR)).collect();
    runtime().block_on(async {
        store.receive(all).await.unwrap();
        for n in 0..100 {
            store.put(message(2, 3, &[n; 76_800], 1, FAR)).await.unwrap();
        }
        let updated = store.expire_all(account(1), Scope::All, Millis(FAR - 1), quiet(&store)).await.unwrap().done;
        assert_eq!(updated.len(), 5000);
        let updated = store.expire_all(account(2), Scope::All, Millis(FAR - 1), quiet(&store)).await.unwrap().done;
        assert_eq!(updated.len(), 100);
        let removed = store.delete_all(account(1), Scope::One(Namespace(2)), None, quiet(&store)).await.unwrap().done;
        assert_eq!(removed.len(), 1666);
        let removed = store.delete_all(account(1), Scope::All, None, quiet(&store)).await.unwrap().done;
        assert_eq!(removed.len(), 3334);
    });
    assert_eq!(store.stats().unwrap().messages, 100);
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
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
        let named = format!("d8:messagesl43:{}43:{}ee", known.hash, unknown.hash);
        let deleted = change(&store, "delete", named.as_bytes());
        let deleted = store.delete(account(1), hashes, deleted).await.unwrap().done;
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

/// A member deletes what it never heard of, with a clock that is behind; and what is deleted can be stored again.
#[test]
fn a_deletion_comes_after_the_storing_and_before_the_next() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (ahead, behind) = (open(&one, 1 << 20), open(&other, 1 << 20));
    let margin = 10_000;
    let delete = |at, hash| {
        let command = Command { method: "delete".to_owned(), params: format!("d8:messagesl43:{hash}ee").into_bytes() };
        Change { at, command, members: Vec::new() }
    };
    ahead.clock.set_offset(3_000);
    behind.clock.set_offset(-3_000);
    let fresh = |n: u8| message(1, 0, &[n], ahead.clock.now().0, ahead.clock.now().0 + 60_000);
    runtime().block_on(async {
        // Deletions that came before make no storing later.
        let first = now(&ahead, fresh(1));
        ahead.put(first.clone()).await.unwrap();
        let change = delete(ahead.stamp_deletion(&account(1), margin), first.hash);
        ahead.delete(account(1), vec![first.hash], change).await.unwrap();
        let second = NewMessage { stored: ahead.stamp_message(&fresh(2)).unwrap(), ..fresh(2) };
        ahead.put(second.clone()).await.unwrap();
        let change = delete(behind.stamp_deletion(&account(1), margin), second.hash);
        behind.delete(account(1), vec![second.hash], change.clone()).await.unwrap();
        assert_eq!(behind.put(second.clone()).await.unwrap().outcome, Outcome::Obsolete);
        let deleted = ahead.delete(account(1), vec![second.hash], change).await.unwrap().done;
        assert_eq!(deleted, [second.hash]);
        // Stored again, it is later than both of its deletions.
        for store in [&ahead, &behind] {
            let again = NewMessage { stored: store.stamp_message(&second).unwrap(), ..second.clone() };
            assert_eq!(store.put(again).await.unwrap().outcome, Outcome::New);
        }
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
        let found = store.messages(&[(account(1), hash)]).unwrap();
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

/// Where small extensions are ignored, that is so too for a message that comes after the command.
#[test]
fn a_small_extension_changes_nothing_whenever_the_message_comes() {
    const DAY: u64 = 86_400_000;
    // Of 10 days: 0.9 % and 1 %; with a lifetime beyond the longest that there is, of that.
    for (lifetime, longer, ignored) in
        [(10 * DAY, DAY / 10 - 1, true), (10 * DAY, DAY / 10, false), (40 * DAY, DAY * 3 / 10, false)]
    {
        for (ignores, late) in [(true, false), (true, true), (false, false), (false, true)] {
            let dir = TempDir::new().unwrap();
            let config =
                StoreConfig { ignores_small_extensions: ignores, ..StoreConfig::new(dir.path().join("store")) };
            let store = Store::open(config, Clock::default()).unwrap();
            let (start, at) = (store.stamp(), store.stamp().plus(2));
            let expiry = start.plus(10 * DAY);
            let sent = Millis(expiry.0 - lifetime);
            let message =
                NewMessage { timestamp: sent, stored: start, changed: start, ..message(1, 0, b"x", 1, expiry.0) };
            let (hash, wanted) = (message.hash, expiry.plus(longer));
            let params = format!("d6:expiryi{wanted}e6:extendi1e8:messagesl43:{hash}ee");
            let change = Change { at, ..change(&store, "expire", params.as_bytes()) };
            let updated = runtime().block_on(async {
                if !late {
                    store.put(message.clone()).await.unwrap();
                }
                let changes = vec![(hash, wanted)];
                let done = store.expire(account(1), changes, ExpireMode::Extend, change).await.unwrap().done;
                if late {
                    store.put(message).await.unwrap();
                }
                done.updated.len()
            });
            let stays = ignores && ignored;
            assert_eq!(updated, usize::from(!late && !stays));
            let held = store.messages(&[(account(1), hash)]).unwrap();
            assert_eq!(held[0].expiry, if stays { expiry } else { wanted });
        }
    }
}

/// A directory as format 1 or 2 left it, with these messages (expiry, and data that tells which) and one revocation.
fn older(dir: &TempDir, format: u64, messages: &[NewMessage]) {
    let path = dir.path().join("store");
    std::fs::create_dir_all(&path).unwrap();
    let mut options = heed::EnvOpenOptions::new();
    options.map_size(256 << 20).max_dbs(32);
    // SAFETY: nobody else has this file.
    let env = unsafe { options.open(&path).unwrap() };
    let mut txn = env.write_txn().unwrap();
    let names = [
        "messages",
        "by_hash",
        "by_expiry",
        "accounts",
        "missed",
        "dumps",
        "tombs",
        "tombs_by_time",
        "revoked",
        "meta",
    ];
    let tables: BTreeMap<_, heed::Database<heed::types::Bytes, heed::types::Bytes>> =
        names.map(|name| (name, env.create_database(&mut txn, Some(name)).unwrap())).into();
    let mut bytes = 0;
    for (n, message) in (1..).zip(messages) {
        let NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data } = message;
        let namespace = (namespace.0.cast_unsigned() ^ 0x8000).to_be_bytes();
        let n = u64::to_be_bytes(n);
        let key = [&account.0[..], &namespace, &n].concat();
        let [timestamp, stored, changed] = [timestamp, stored, changed].map(|time| time.0.to_be_bytes());
        let value = match format {
            1 => [&hash.0[..], &timestamp, &expiry.0.to_be_bytes(), data].concat(),
            _ => [&hash.0[..], &timestamp, &(expiry.0 | 1 << 63).to_be_bytes(), &stored, &changed, data].concat(),
        };
        tables["messages"].put(&mut txn, &key, &value).unwrap();
        tables["by_hash"].put(&mut txn, &hash.0, &key).unwrap();
        tables["by_expiry"].put(&mut txn, &[expiry.0.to_be_bytes(), n].concat(), &key).unwrap();
        bytes += layout::charge(data.len());
    }
    let first = &messages[0];
    let hint = [&[0; 8][..], &[0], &first.hash.0].concat();
    tables["missed"].put(&mut txn, &[&[4; 32][..], &1_u64.to_be_bytes()].concat(), &hint).unwrap();
    tables["dumps"].put(&mut txn, &[6; 40], &[1; 43]).unwrap();
    let end: &[u8] = if format == 1 { &[] } else { &[1] };
    let revocation = [&9_u64.to_be_bytes()[..], end].concat();
    tables["revoked"].put(&mut txn, &layout::revoked_key(&account(1), &[3; 36]), &revocation).unwrap();
    let count = messages.len() as u64;
    for (name, number) in [("format", format), ("sequence", count), ("bytes", bytes), ("missed", 1), ("settled", count)]
    {
        tables["meta"].put(&mut txn, name.as_bytes(), &number.to_be_bytes()).unwrap();
    }
    txn.commit().unwrap();
}

/// Directories of formats 1 and 2 open, and all is as it was; also when the first start was cut off.
#[test]
fn older_formats_are_read() {
    for format in [1, 2] {
        let dir = TempDir::new().unwrap();
        let mut messages: Vec<_> = (0..=255_u8)
            .flat_map(|n| (0..20_u8).map(move |m| message(n % 50, i16::from(m % 3), &[n, m], 7, FAR + u64::from(m))))
            .collect();
        messages.push(message(1, 0, &[9; 70_000], 7, FAR));
        older(&dir, format, &messages);
        let store = open(&dir, 64 << 20);
        let found = verify::verify(&store.tables, &mut |_| {}).unwrap();
        assert_eq!((found.problems, found.messages), (Vec::new(), messages.len() as u64));
        let wanted: Vec<_> = messages.iter().map(|message| (message.account, message.hash)).collect();
        assert_eq!(store.messages(&wanted).unwrap(), messages);
        assert!(store.is_revoked(&account(1), &[3; 36]).unwrap());
        let member = crate::types::Ed25519PublicKey([4; 32]);
        let hint = Hint::Message(messages[0].account, messages[0].hash);
        assert_eq!(store.hints(&member, 9).unwrap(), [(1, hint)]);
        assert_eq!(store.handoffs().unwrap()[0].1, Cursor::default());
        let again = now(&store, NewMessage { expiry: Millis(FAR + 99), ..messages[0].clone() });
        assert_eq!(runtime().block_on(store.put(again)).unwrap().outcome, Outcome::Extended);
        store.close();
        drop(store);
        assert_eq!(open(&dir, 64 << 20).stats().unwrap().messages, messages.len() as u64);
        // The copy is of the older format, and of it all is there again.
        let (path, back) = (dir.path().join("store"), TempDir::new().unwrap());
        let copy = backup::place(&path, format);
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::create_dir(back.path().join("store")).unwrap();
        std::fs::rename(&copy, back.path().join("store").join("data.mdb")).unwrap();
        let store = open(&back, 64 << 20);
        assert_eq!(store.messages(&wanted).unwrap(), messages);
        assert!(backup::place(&back.path().join("store"), format).exists());
    }
}

/// Without room for a copy an older directory stays as it is, and so does one of a later format.
#[test]
fn what_cannot_be_undone_is_not_begun() {
    let dir = TempDir::new().unwrap();
    let messages = [message(1, 0, b"kept", 7, FAR)];
    older(&dir, 2, &messages);
    let path = dir.path().join("store");
    let environment = || {
        let mut options = heed::EnvOpenOptions::new().read_txn_without_tls();
        // SAFETY: nobody else has this file.
        unsafe { options.map_size(256 << 20).max_dbs(32).open(&path).unwrap() }
    };
    let env = environment();
    let before = std::fs::read(path.join("data.mdb")).unwrap();
    let refused = backup::keep(&env, &path, 2, before.len() as u64).unwrap_err().to_string();
    assert!(refused.contains("make room"), "{refused}");
    assert!(!backup::place(&path, 2).exists());
    let mut txn = env.write_txn().unwrap();
    let meta: heed::Database<heed::types::Bytes, heed::types::Bytes> =
        env.open_database(&txn, Some("meta")).unwrap().unwrap();
    meta.put(&mut txn, b"format", &(layout::FORMAT + 1).to_be_bytes()).unwrap();
    txn.commit().unwrap();
    env.prepare_for_closing().wait();
    let before = std::fs::read(path.join("data.mdb")).unwrap();
    let refused = Store::open(StoreConfig::new(&path), Clock::default()).err().unwrap();
    assert_eq!(refused, StoreError::Format { found: layout::FORMAT + 1, known: layout::FORMAT });
    assert!(refused.to_string().contains("use a version that wrote it"), "{refused}");
    assert!(before == std::fs::read(path.join("data.mdb")).unwrap());
    assert!(backup::available(&path).unwrap() > 0);
}

/// A message whose fan-out a crash cut off is named at the next start, and one whose guard was dropped at once; one that was
/// told of is not.
#[test]
fn what_the_swarm_was_not_told_of_is_known() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let runtime = runtime();
    let untold = message(1, 0, b"untold", 1, FAR);
    let named = |store: &Store| store.take_unreplicated();
    let guard = runtime.block_on(async {
        store.put_as_coordinator(message(1, 0, b"told", 1, FAR)).await.unwrap().1.told();
        let (_, guard) = store.put_as_coordinator(untold.clone()).await.unwrap();
        store.put(message(2, 0, b"another", 1, FAR)).await.unwrap();
        guard
    });
    assert!(named(&store).is_empty());
    // What is on disk while the guard is held is what a crash would leave.
    let copy = copied(&dir);
    let again = open(&copy, 1 << 20);
    let unreplicated = named(&again);
    assert!(unreplicated.iter().any(|unreplicated| unreplicated.message() == (account(1), untold.hash)));
    let told = MessageHash::of(&account(1), Namespace(0), b"told");
    assert!(unreplicated.iter().all(|unreplicated| unreplicated.message() != (account(1), told)));
    assert!(named(&again).is_empty());
    // A second crash before it was told forgets nothing.
    runtime.block_on(again.put(message(3, 0, b"later", 1, FAR))).unwrap();
    let third = copied(&copy);
    unreplicated.into_iter().for_each(ReplicationGuard::told);
    assert!(named(&open(&third, 1 << 20)).iter().any(|unreplicated| unreplicated.message().1 == untold.hash));
    // Whoever asked is gone.
    drop(guard);
    runtime.block_on(store.unreplicated());
    let unreplicated = named(&store);
    assert_eq!(
        unreplicated.iter().map(|unreplicated| unreplicated.message()).collect::<Vec<_>>(),
        [(account(1), untold.hash)]
    );
    unreplicated.into_iter().for_each(ReplicationGuard::told);
    runtime.block_on(async {
        // One that hangs up before it is answered, too: its message is stored, or is not and need not be told of.
        let hung_up = message(1, 0, b"hung up", 1, FAR);
        let mut put = Box::pin(store.put_as_coordinator(hung_up.clone()));
        drop(futures_util::FutureExt::now_or_never(put.as_mut()));
        drop(put);
        store.unreplicated().await;
        assert_eq!(named(&store)[0].message(), (account(1), hung_up.hash));
    });
}

/// What one process writes no other may.
#[test]
fn a_store_has_one_writer() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let path = dir.path().join("store");
    assert_eq!(compact(&path, &mut on).unwrap_err(), StoreError::InUse);
    store.close();
    drop(store);
    compact(&path, &mut on).unwrap();
}

/// Every kind of inconsistency is named.
#[test]
fn what_does_not_agree_is_found() {
    type Break = fn(&Tables, &mut heed::RwTxn<'_>, &[u8; layout::KEY], &NewMessage);
    let breaks: [(&str, Break); 10] = [
        ("its hash is", |tables, txn, key, message| {
            let data = [&message.hash.0[..], &[0; 32], b"changed"].concat();
            tables.data.put(txn, key, &data).unwrap();
        }),
        ("is not found by its hash", |tables, txn, _, message| {
            tables.data.delete(txn, &layout::hash_key(&message.account.0, &message.hash)).unwrap();
        }),
        ("leads to", |tables, txn, key, _| tables.data.delete(txn, key).unwrap()),
        ("is not in expiries", |tables, txn, key, message| {
            tables.expiries.delete(txn, &layout::expiry_entry(message.expiry, key).0).unwrap();
        }),
        ("expiries says", |tables, txn, key, _| {
            let (at, whose) = layout::expiry_entry(Millis(77), key);
            tables.expiries.put(txn, &at, &whose).unwrap();
        }),
        ("its entry says", |tables, txn, _, message| {
            tables.data.put(txn, &message.account.0, &layout::Usage::default().encode()).unwrap();
        }),
        ("meta says", |tables, txn, _, _| tables.set_meta(txn, layout::Meta::Messages, 7).unwrap()),
        ("times has", |tables, txn, key, message| {
            tables.times.put(txn, &layout::key(&message.account, Namespace(3), 1), &[0; 24]).unwrap();
            assert_ne!(layout::key(&message.account, Namespace(3), 1), *key);
        }),
        ("are cut off", |tables, txn, key, _| tables.times.put(txn, key, &[0; 23]).unwrap()),
        ("tombs_by_time has", |tables, txn, _, _| {
            tables.tombstones.tree.clear(txn).unwrap();
        }),
    ];
    for (words, break_it) in breaks {
        let dir = TempDir::new().unwrap();
        let store = open(&dir, 1 << 20);
        let (kept, gone) = (message(1, 2, b"kept", 1, FAR), message(1, 0, b"gone", 1, FAR));
        runtime().block_on(async {
            store.put(kept.clone()).await.unwrap();
            store.put(gone.clone()).await.unwrap();
            store.delete(account(1), vec![gone.hash], quiet(&store)).await.unwrap();
            store.checkpoint().await.unwrap();
        });
        assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
        let mut txn = store.tables.env.write_txn().unwrap();
        let key = store.tables.find(&txn, &account(1).0, &kept.hash).unwrap().unwrap();
        break_it(&store.tables, &mut txn, &key, &kept);
        txn.commit().unwrap();
        let report = verify::verify(&store.tables, &mut |_| {}).unwrap();
        assert!(report.problems.iter().any(|problem| problem.contains(words)), "{words}: {report:?}");
    }
}

/// A limit that is lowered holds at once, a limit that is raised again makes room at once, and what is there stays.
#[test]
fn the_limit_may_change_over_restarts() {
    let dir = TempDir::new().unwrap();
    let put = |store: &Store, n: u16| {
        runtime().block_on(store.put(message(1, 0, &[&n.to_be_bytes()[..], &[0; 4000]].concat(), 1, FAR)))
    };
    let count = 2000;
    let store = open(&dir, 1 << 30);
    for n in 0..count {
        assert_eq!(put(&store, n).unwrap().outcome, Outcome::New);
    }
    store.close();
    drop(store);
    let store = open(&dir, 1 << 20);
    assert_eq!(put(&store, count), Err(StoreError::Full));
    let gone = runtime().block_on(store.delete_all(account(1), Scope::All, None, quiet(&store))).unwrap().done;
    assert_eq!(gone.len(), usize::from(count));
    assert_eq!(put(&store, count).unwrap().outcome, Outcome::New);
    store.close();
    drop(store);
    let store = open(&dir, 1 << 30);
    for n in 0..count {
        assert_eq!(put(&store, n + count + 1).unwrap().outcome, Outcome::New);
    }
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
}

/// Whatever fills the map, stores are told that all is full and deletions go on; then there is room again.
#[test]
fn a_full_map_is_answered_and_recovers() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let filler = |n: u64| [&[7; 32][..], &n.to_be_bytes()].concat();
    let mut n = 0;
    // What messages are not charged for takes all of the map.
    loop {
        let mut txn = store.tables.env.write_txn().unwrap();
        let full = (0..16).any(|_| {
            n += 1;
            store.tables.hints.put(&mut txn, &filler(n), &[0; 500_000]).is_err()
        });
        if full {
            break;
        }
        txn.commit().unwrap();
    }
    assert_ne!(store.tables.left().unwrap(), tables::Left::Enough);
    let kept = message(1, 0, b"kept", 1, FAR);
    assert_eq!(runtime().block_on(store.put(kept.clone())), Err(StoreError::Full));
    let member = crate::types::Ed25519PublicKey([7; 32]);
    assert!(runtime().block_on(store.forget_member(member)).unwrap() > 0);
    assert_eq!(runtime().block_on(store.put(kept)).unwrap().outcome, Outcome::New);
    assert_eq!(verify::verify(&store.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
}

/// A file that lost its end, or its head, is refused with what to do; as are those of later versions.
#[test]
fn a_torn_file_is_refused() {
    let torn = |change: fn(&std::fs::File)| {
        let dir = TempDir::new().unwrap();
        let store = open(&dir, 1 << 20);
        let all = (0..200_u8).map(|n| message(n, 0, &[n; 3000], 1, FAR)).collect();
        runtime().block_on(store.receive(all)).unwrap();
        store.close();
        drop(store);
        change(&std::fs::File::options().write(true).open(dir.path().join("store/data.mdb")).unwrap());
        let config = StoreConfig { max_bytes: 1 << 20, ..StoreConfig::new(dir.path().join("store")) };
        Store::open(config, Clock::default()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(torn(|file| file.set_len(5000).unwrap()), StoreError::Damaged(_)));
    for error in [
        torn(|file| file.set_len(file.metadata().unwrap().len() / 2).unwrap()),
        torn(|file| std::os::unix::fs::FileExt::write_all_at(file, &[0x5a; 8192], 0).unwrap()),
    ] {
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        assert!(error.to_string().contains("move it away"), "{error}");
    }
}

/// An export holds all that an import needs to have the same.
#[test]
fn what_goes_out_comes_in() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(&one, 1 << 20);
    let clock = Clock::default().now().0;
    let gone = now(&store, message(1, -3, b"gone", clock, clock + 90_000));
    runtime().block_on(async {
        for n in 0..200_u8 {
            let message = message(n % 7, i16::from(n % 3) - 1, &[n; 30], clock + u64::from(n), clock + 60_000);
            store.put(now(&store, message)).await.unwrap();
        }
        store.put(gone.clone()).await.unwrap();
        store.delete(account(1), vec![gone.hash], quiet(&store)).await.unwrap();
        store.set_revoked(account(2), vec![[4; 36], [5; 36]], true, quiet(&store)).await.unwrap();
        store.set_revoked(account(2), vec![[5; 36]], false, quiet(&store)).await.unwrap();
    });
    let all = |store: &Store| {
        let batch = store.batch(&Cursor::default(), usize::MAX, |_| true).unwrap().messages;
        let commands: Vec<_> = {
            let txn = store.tables.view().unwrap();
            let entries = store.tables.commands.iter(&txn).unwrap();
            entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()).collect()
        };
        (batch, commands, store.revoked(&account(2)).unwrap())
    };
    let held = all(&store);
    store.close();
    drop(store);
    let mut text = Vec::new();
    let out = export(&one.path().join("store"), &mut text, &mut on).unwrap();
    let config = || StoreConfig::new(other.path().join("store"));
    // The second time there is nothing new in it.
    for new in [out.messages, 0] {
        assert_eq!(import(config(), &mut text.as_slice(), &mut on).unwrap(), Exported { new, ..out });
        let copy = open(&other, 1 << 20);
        assert_eq!(all(&copy), held);
        assert_eq!(verify::verify(&copy.tables, &mut |_| {}).unwrap().problems, Vec::<String>::new());
        let brought = runtime().block_on(copy.receive(vec![gone.clone()])).unwrap();
        assert_eq!(brought[0].outcome, Outcome::Obsolete);
    }
    let cut = &text[..text.len() - 40];
    for wrong in [cut, b"", b"{}\n", &text[20..], b"{\"allium_store\":{\"version\":9}}\n"] {
        let refused = import(config(), &mut &*wrong, &mut on).unwrap_err().to_string();
        assert!(refused.contains("line "), "{refused}");
    }
}

/// What was acknowledged without being on disk is there after a clean end.
#[test]
fn async_is_told_and_written_at_the_end() {
    let dir = TempDir::new().unwrap();
    let config = StoreConfig { durability: Durability::Async, ..StoreConfig::new(dir.path().join("store")) };
    let store = Store::open(config, Clock::default()).unwrap();
    assert_eq!(store.stats().unwrap().durability, Durability::Async);
    runtime().block_on(store.put(message(1, 0, b"x", 1, FAR))).unwrap();
    store.close();
    drop(store);
    assert_eq!(open(&dir, 1 << 20).stats().unwrap().messages, 1);
}

/// A tick of an idle store writes nothing.
#[test]
fn an_idle_store_does_not_write() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    runtime().block_on(store.put(message(1, 0, b"x", 1, FAR))).unwrap();
    runtime().block_on(store.checkpoint()).unwrap();
    let last = store.tables.env.info().last_txn_id;
    for _ in 0..3 {
        runtime().block_on(store.clean_expired()).unwrap();
    }
    assert_eq!(store.tables.env.info().last_txn_id, last);
}

/// A disk that gives no answer, and a defect.
#[test]
fn a_writer_that_stands_still_or_ends_is_told_of() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let (ward, mut patients) = (Ward::default(), Vec::new());
    store.put_in(&ward);
    let mut looks = |count: u64| {
        (0..count).for_each(|_| ward.look(&mut patients));
        let told = ward.conditions().into_iter().find(|told| told.name == "allium-store").unwrap();
        (told.stalled, told.ended)
    };
    let (begun, begin) = std::sync::mpsc::channel();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let writer = Arc::clone(&store.writer);
    let waiting = std::thread::spawn(move || {
        runtime().block_on(writer.submit(move |_| {
            begun.send(()).unwrap();
            let _ = held.recv();
            Ok(())
        }))
    });
    begin.recv().unwrap();
    assert_eq!(looks(10), (0, false));
    assert_eq!(looks(1), (10, false));
    drop(hold);
    waiting.join().unwrap().unwrap();
    while looks(1).0 > 0 {
        std::thread::yield_now();
    }
    let panics = runtime().block_on(store.writer.submit::<()>(|_| panic!("as it may be")));
    assert_eq!(panics, Err(StoreError::Closed));
    while !looks(1).1 {
        std::thread::yield_now();
    }
}

#[test]
fn nothing_goes_early_by_a_clock_that_others_contradict() {
    let (dir, clock) = (TempDir::new().unwrap(), Clock::unsure());
    let store = Store::open(StoreConfig::new(dir.path()), clock.clone()).unwrap();
    let (now, hours) = (clock.now().0, 8 * 3_600_000);
    let messages = || store.stats().unwrap().messages;
    runtime().block_on(async {
        store.put(message(1, 0, b"over", now - 2, now - 1)).await.unwrap();
        store.put(message(1, 0, b"for an hour", now, now + 3_600_000)).await.unwrap();
        // Nobody was asked.
        assert_eq!((store.clean_expired().await.unwrap(), messages()), (0, 2));
        let right = clock.shift();
        clock.set_offset(hours);
        clock.correct(right);
        assert_eq!((store.clean_expired().await.unwrap(), messages()), (1, 1));
        clock.trust_own();
        assert_eq!((store.clean_expired().await.unwrap(), messages()), (1, 0));
    });
}

/// What is remembered of an account's commands takes room from what it may sign, and from nothing else.
#[test]
fn the_log_counts_to_the_quota() {
    let dir = TempDir::new().unwrap();
    let limits = StoreConfig { account_bytes: 10_000, ..StoreConfig::new(dir.path().join("store")) };
    let store = Store::open(limits, Clock::default()).unwrap();
    let put = |owner: u8, namespace: i16, n: u8| {
        runtime().block_on(store.put(message(owner, namespace, &[n; 1000], 1, FAR))).map(|stored| stored.outcome)
    };
    let fill = |owner: u8, namespace: i16| (0..20).take_while(|n| put(owner, namespace, *n).is_ok()).count();
    let asked = change(&store, "test", &[b'x'; 5000]);
    runtime().block_on(store.delete_all(account(1), Scope::All, None, asked)).unwrap();
    assert_eq!([fill(1, 3), fill(2, 3), fill(1, 0)], [3, 7, 7]);
    // Whoever is full can ask for more all the same: what it deletes goes.
    let asked = change(&store, "test", &[b'y'; 5000]);
    let gone = runtime().block_on(store.delete_all(account(1), Scope::One(Namespace(3)), None, asked)).unwrap().done;
    assert_eq!(gone.len(), 3);
}

/// One account's deletions leave room for what is remembered of others'; what they take is known again after a restart.
#[test]
fn one_account_does_not_take_all_tombstones() {
    let dir = TempDir::new().unwrap();
    let remembered = |store: &Store, owner: u8| {
        let stored = now(store, message(owner, 0, b"x", 1, FAR));
        runtime().block_on(store.put(stored.clone())).unwrap();
        runtime().block_on(store.delete(stored.account, vec![stored.hash], quiet(store))).unwrap();
        store.tables.tombstone_at(&store.tables.view().unwrap(), &stored.account, &stored.hash).unwrap().is_some()
    };
    let held = |store: &Store, owner: u8| {
        store.tables.shares.held(shares::Book::Tombstones, &account(owner).0, &shares::Taken::default())
    };
    let store = open(&dir, 1 << 30);
    // As if it had deleted a quarter of what there is room for.
    let mut taken = shares::Taken::default();
    store.tables.shares.note(shares::Book::Tombstones, &account(1).0, 1 << 18, &mut taken);
    store.tables.shares.add(taken);
    assert!(!remembered(&store, 1));
    assert!(remembered(&store, 2));
    store.close();
    drop(store);
    let store = open(&dir, 1 << 30);
    assert_eq!([held(&store, 1), held(&store, 2)], [0, 1]);
    // Stored again, it is deleted no more.
    runtime().block_on(store.put(now(&store, message(2, 0, b"x", 1, FAR)))).unwrap();
    assert_eq!(held(&store, 2), 0);
    assert!(remembered(&store, 1));
}
