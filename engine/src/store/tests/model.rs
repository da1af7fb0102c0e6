//! Whatever is done, the store holds what a simple model says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
