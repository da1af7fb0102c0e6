//! Deletions and changes of expiries: what they write, and in which order they count.

use super::*;

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
