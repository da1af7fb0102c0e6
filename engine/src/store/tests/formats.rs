//! Directories that older versions left, and an export.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use super::*;

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
