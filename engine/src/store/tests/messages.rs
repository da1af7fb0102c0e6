//! What is stored and read, and how long it stays.

use super::*;

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
