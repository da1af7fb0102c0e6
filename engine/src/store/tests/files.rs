//! Files in use, torn, or not in agreement.

use super::*;
use crate::store::tables::Tables;

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

/// What is put past the log is what the log would have made of it.
#[test]
fn what_is_filled_in_order_agrees() {
    let dir = TempDir::new().unwrap();
    let config = StoreConfig::new(dir.path().join("store"));
    let all = |n: u8| (account(n), (0..20).map(|m| message(n, 0, &[n, m], 1, FAR + u64::from(n))).collect());
    assert_eq!(fill_in_order(&config, (1..=30).map(all)).unwrap(), 600);
    assert_eq!(super::super::verify(&config.path, &mut |_| {}).unwrap().problems, Vec::<String>::new());
    let store = open(&dir, 1 << 20);
    assert_eq!(store.stats().unwrap().messages, 600);
    let more = message(7, 0, b"more", 2, FAR);
    assert_eq!(runtime().block_on(store.put(now(&store, more))).unwrap().outcome, Outcome::New);
    assert_eq!(store.retrieve(&account(7), Namespace(0), None, ALL).unwrap().messages.len(), 21);
    store.close();
    drop(store);
    // Behind all that is there, too.
    for n in [9, 99] {
        assert!(fill_in_order(&config, std::iter::once(all(n))).unwrap_err().to_string().contains("is not empty"));
    }
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
