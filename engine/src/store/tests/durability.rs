//! What is on disk, and when: what a crash leaves, and who is told of a writer that ends.

use std::sync::Arc;

use super::*;
use crate::{store::tables::Tables, watchdog::Ward};

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

/// What is to be told after a crash is known without a walk through all there is: what was in flight when the trees took it,
/// and what is in the log.
#[test]
fn what_was_in_flight_is_listed_beside_the_trees() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 1 << 20);
    let runtime = runtime();
    let names =
        |unreplicated: &[ReplicationGuard]| unreplicated.iter().map(|guard| guard.message().1).collect::<Vec<_>>();
    let [first, told, deleted, logged] =
        [b"first", b"told!", b"gone!", b"after"].map(|data| message(1, 0, data, 1, FAR));
    let (_guards, hash) = runtime.block_on(async {
        // The first of all has no mark before it.
        let (_, untold) = store.put_as_coordinator(first.clone()).await.unwrap();
        store.put_as_coordinator(told.clone()).await.unwrap().1.told();
        let (_, gone) = store.put_as_coordinator(deleted.clone()).await.unwrap();
        store.checkpoint().await.unwrap();
        let (_, later) = store.put_as_coordinator(logged.clone()).await.unwrap();
        store.delete(account(1), vec![deleted.hash], quiet(&store)).await.unwrap();
        ([untold, gone, later], [first.hash, logged.hash])
    });
    let crashed = copied(&dir);
    let again = open(&crashed, 1 << 20);
    let unreplicated = again.take_unreplicated();
    assert_eq!(names(&unreplicated), hash);
    // Before anything is checkpointed a second time, and after.
    assert_eq!(names(&open(&copied(&crashed), 1 << 20).take_unreplicated()), hash);
    runtime.block_on(async {
        again.put(message(2, 0, b"another", 1, FAR)).await.unwrap();
        again.checkpoint().await.unwrap();
    });
    assert_eq!(names(&open(&copied(&crashed), 1 << 20).take_unreplicated()), hash);
    // Trees that went on without the list, as a version before would: all behind the mark.
    let older = copied(&crashed);
    {
        let tables = Tables::open(&StoreConfig::new(older.path().join("store"))).unwrap();
        let mut txn = tables.env.write_txn().unwrap();
        let checkpointed = tables.meta(&txn, layout::Meta::Checkpointed).unwrap();
        tables.set_meta(&mut txn, layout::Meta::Checkpointed, checkpointed + 1).unwrap();
        tables.set_meta(&mut txn, layout::Meta::Replicated, 1).unwrap();
        txn.commit().unwrap();
    }
    let all = open(&older, 1 << 20).take_unreplicated();
    assert_eq!(names(&all).len(), 3, "told, after, another");
    assert!(names(&all).contains(&told.hash));
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
