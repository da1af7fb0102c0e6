//! What one account may take, and what happens when there is no room.

use super::*;

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

#[test]
fn of_many_those_that_fit_are_kept() {
    let dir = TempDir::new().unwrap();
    let config = StoreConfig { account_messages: 2, ..StoreConfig::new(dir.path()) };
    let store = Store::open(config, Clock::default()).unwrap();
    let of = |account: u8, data: &[u8]| message(account, 0, data, 1, FAR);
    let all = vec![of(1, b"a"), of(1, b"b"), of(1, b"c"), of(2, b"d"), of(1, b"a")];
    let kept = runtime().block_on(store.put_all(all)).unwrap();
    let kept: Vec<_> = kept.into_iter().map(|one| one.map(|one| one.outcome)).collect();
    let (new, exists) = (Ok(Outcome::New), Ok(Outcome::Exists));
    assert_eq!(kept, [new.clone(), new.clone(), Err(StoreError::AccountFull), new, exists]);
    assert_eq!(store.stats().unwrap().messages, 3);
}
