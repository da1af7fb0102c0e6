//! A running engine.

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    net::Ipv4Addr,
    ptr,
};

use allium_engine::{
    Answer, Engine, EngineBuilder, Identity,
    node::MOST_WORKERS,
    store::Durability,
    swarm::{NodeInfo, Snapshot, SwarmId},
    types::{Ed25519PublicKey, LegacyPublicKey, X25519PublicKey},
};
use zeroize::Zeroizing;

use crate::{
    borrow::{AlliumBytes, AlliumKey, AlliumSlice, array, string},
    call::{AlliumOnCall, Handler},
    error::{AlliumError, AlliumStatus, Failure, given, guard, invalid, quietly},
    store::AlliumStore,
};

/// How an engine is to run.
pub struct AlliumBuilder(Option<EngineBuilder>);

impl AlliumBuilder {
    fn change(&mut self, change: impl FnOnce(EngineBuilder) -> EngineBuilder) {
        self.0 = self.0.take().map(change);
    }
}

/// A running engine.
pub struct AlliumEngine(Engine);

/// A node's public keys, and the secret one that opens its layers.
#[repr(C)]
pub struct AlliumIdentity {
    /// Names it.
    pub ed25519: AlliumKey,
    /// Onion layers are encrypted to it.
    pub x25519: AlliumKey,
    /// Opens them; wipe it.
    pub x25519_secret: AlliumKey,
}

/// The keys that belong to an Ed25519 seed.
#[unsafe(no_mangle)]
pub extern "C" fn allium_identity(
    seed: Option<&AlliumKey>,
    identity: Option<&mut MaybeUninit<AlliumIdentity>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (seed, out) = (given(seed, "seed")?, given(identity, "identity")?);
        let identity = Identity::new(&seed.bytes, LegacyPublicKey([0; 32]));
        let key = |bytes| AlliumKey { bytes };
        out.write(AlliumIdentity {
            ed25519: key(identity.ed25519.public().0),
            x25519: key(identity.x25519.public().0),
            x25519_secret: key(*identity.x25519.to_bytes()),
        });
        Ok(())
    })
}

/// An engine whose messages and certificate are in the directory `data_dir`, which is made when it is not there, whose
/// keys come from `ed25519_seed` and whose registered key is `legacy_key`. What is not said is as a node of the network
/// has it. `builder` is for `allium_engine_start` or `allium_builder_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_builder_new(
    data_dir: *const c_char,
    ed25519_seed: Option<&AlliumKey>,
    legacy_key: Option<&AlliumKey>,
    builder: Option<&mut MaybeUninit<*mut AlliumBuilder>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        // SAFETY: as the header asks.
        let data_dir = unsafe { string(data_dir, "data_dir") }?;
        let seed = Zeroizing::new(given(ed25519_seed, "ed25519_seed")?.bytes);
        let legacy = LegacyPublicKey(given(legacy_key, "legacy_key")?.bytes);
        let out = given(builder, "builder")?;
        let builder = Engine::builder(data_dir, Identity::new(&seed, legacy));
        out.write(Box::into_raw(Box::new(AlliumBuilder(Some(builder)))));
        Ok(())
    })
}

/// Takes `builder` without starting anything.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_free(builder: Option<Box<AlliumBuilder>>) {
    quietly((), || {
        drop(builder);
        Some(())
    });
}

/// Listens on the address `ip`: HTTPS on TCP `https_port`, OMQ on TCP `omq_port`, QUIC on UDP `omq_port`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_builder_bind(
    builder: Option<&mut AlliumBuilder>,
    ip: *const c_char,
    https_port: u16,
    omq_port: u16,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        // SAFETY: as the header asks.
        let ip = unsafe { string(ip, "ip") }?;
        let ip = ip.parse().map_err(|_| invalid(format!("no IP address: {ip}")))?;
        given(builder, "builder")?.change(|builder| builder.bind(ip, https_port, omq_port));
        Ok(())
    })
}

fn change(builder: Option<&mut AlliumBuilder>, change: impl FnOnce(EngineBuilder) -> EngineBuilder) -> AlliumStatus {
    guard(None, || {
        given(builder, "builder")?.change(change);
        Ok(())
    })
}

/// Keeps no messages: relays onion requests, and tells clients which swarm has what they ask for.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_without_store(builder: Option<&mut AlliumBuilder>) -> AlliumStatus {
    change(builder, EngineBuilder::without_store)
}

/// Bytes that messages may take, of all accounts and of one, and messages that one account may have. One account's are meant
/// twice: in its public inboxes, and in its other namespaces.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_store_limits(
    builder: Option<&mut AlliumBuilder>,
    bytes: u64,
    account_bytes: u64,
    account_messages: u64,
) -> AlliumStatus {
    change(builder, |builder| builder.store_limits(bytes, account_bytes, account_messages))
}

/// Whether an acknowledged write is on disk (true, as it is from the start), or with the operating system, which writes
/// every second.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_sync(builder: Option<&mut AlliumBuilder>, sync: bool) -> AlliumStatus {
    change(builder, |builder| builder.durability(durability(sync)))
}

pub(crate) const fn durability(sync: bool) -> Durability {
    if sync { Durability::Sync } else { Durability::Async }
}

/// Threads that serve requests: at least one, whatever is said, and at most 1024, else `ALLIUM_STATUS_INVALID`.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_workers(builder: Option<&mut AlliumBuilder>, threads: usize) -> AlliumStatus {
    if threads > MOST_WORKERS {
        return AlliumStatus::Invalid;
    }
    change(builder, |builder| builder.workers(threads))
}

/// Clients' requests that may be under way; more are told that the node is busy.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_queue(builder: Option<&mut AlliumBuilder>, requests: usize) -> AlliumStatus {
    change(builder, |builder| builder.queue(requests))
}

/// How many requests of one address may come at once, and per second in the long run.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_rate_limit(
    builder: Option<&mut AlliumBuilder>,
    burst: u32,
    per_second: u32,
) -> AlliumStatus {
    change(builder, |builder| builder.rate_limit(burst, per_second))
}

/// Posts onion requests also to servers at private, loopback and link-local addresses. For test networks.
#[unsafe(no_mangle)]
pub extern "C" fn allium_builder_allow_private_servers(builder: Option<&mut AlliumBuilder>) -> AlliumStatus {
    change(builder, EngineBuilder::allow_private_servers)
}

/// Hands clients' requests for any of `count` `methods` over, whether the protocol knows them or not. `user` goes with
/// `callback`, which is called from several threads at once, until `allium_engine_stop` returns. A second call of this takes
/// the place of the first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_builder_answers(
    builder: Option<&mut AlliumBuilder>,
    methods: *const *const c_char,
    count: usize,
    callback: AlliumOnCall,
    user: *mut c_void,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        // SAFETY: as the header asks.
        let methods = unsafe { array(methods, count, "methods") }?;
        // SAFETY: as the header asks.
        let method = |text: &*const c_char| unsafe { string(*text, "a method") }.map(str::to_owned);
        let methods: Vec<String> = methods.iter().map(method).collect::<Result<_, Failure>>()?;
        let handler = Handler { callback: given(callback, "callback")?, user };
        given(builder, "builder")?.change(|builder| builder.answers(methods, move |call| handler.take(call)));
        Ok(())
    })
}

/// Opens the store, binds the sockets, serves. Requests are refused until there is a network with this node in it. Takes
/// `builder`, also when it fails. `engine` is for `allium_engine_stop`.
#[unsafe(no_mangle)]
pub extern "C" fn allium_engine_start(
    builder: Option<Box<AlliumBuilder>>,
    engine: Option<&mut MaybeUninit<*mut AlliumEngine>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (builder, out) = (given(builder, "builder")?, given(engine, "engine")?);
        let builder = builder.0.ok_or_else(|| invalid("the builder has failed before"))?;
        out.write(Box::into_raw(Box::new(AlliumEngine(builder.start()?))));
        Ok(())
    })
}

/// Refuses new requests, finishes those under way (for at most 70 s), writes what is queued, closes. Takes `engine`. Waits.
#[unsafe(no_mangle)]
pub extern "C" fn allium_engine_stop(engine: Option<Box<AlliumEngine>>) {
    quietly((), || {
        engine?.0.shutdown();
        Some(())
    });
}

/// One registered node.
#[repr(C)]
pub struct AlliumNode {
    /// Registered key.
    pub legacy: AlliumKey,
    /// Names it in onion layers.
    pub ed25519: AlliumKey,
    /// Its layers are encrypted to it.
    pub x25519: AlliumKey,
    /// Public IPv4 address; 0.0.0.0 while unknown.
    pub ip: [u8; 4],
    /// HTTPS port.
    pub https_port: u16,
    /// OMQ (TCP) and QUIC (UDP) port.
    pub omq_port: u16,
    /// Its swarm; `UINT64_MAX` for none.
    pub swarm: u64,
    /// Version of the protocol that it advertises.
    pub version: [u16; 3],
    /// Height at which its stake unlocks, or 0.
    pub requested_unlock_height: u64,
}

impl AlliumNode {
    const fn info(&self) -> NodeInfo {
        let [a, b, c, d] = self.ip;
        NodeInfo {
            legacy: LegacyPublicKey(self.legacy.bytes),
            ed25519: Ed25519PublicKey(self.ed25519.bytes),
            x25519: X25519PublicKey(self.x25519.bytes),
            ip: Ipv4Addr::new(a, b, c, d),
            https_port: self.https_port,
            omq_port: self.omq_port,
            swarm: SwarmId(self.swarm),
            version: self.version,
            requested_unlock_height: self.requested_unlock_height,
        }
    }
}

/// Puts a new picture of the network in force, as of the block at `height` with the hash `block_hash` (64 hex digits, or
/// empty). `hardfork` is two numbers, such as 19 and 4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_engine_set_network(
    engine: Option<&AlliumEngine>,
    height: u64,
    block_hash: *const c_char,
    hardfork: u16,
    revision: u16,
    nodes: *const AlliumNode,
    count: usize,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let engine = given(engine, "engine")?;
        // SAFETY: as the header asks.
        let block_hash = unsafe { string(block_hash, "block_hash") }?.to_owned();
        // SAFETY: as the header asks.
        let nodes = unsafe { array(nodes, count, "nodes") }?.iter().map(AlliumNode::info).collect();
        let snapshot = Snapshot::new(height, block_hash, [hardfork, revision], nodes);
        engine.0.set_network(snapshot);
        Ok(())
    })
}

/// Whether the engine serves; if not, `why`, where not NULL, says why not.
#[unsafe(no_mangle)]
pub extern "C" fn allium_engine_is_ready(
    engine: Option<&AlliumEngine>,
    why: Option<&mut MaybeUninit<AlliumError>>,
) -> bool {
    let status = guard(why, || match given(engine, "engine")?.0.not_ready() {
        Some(reason) => Err(Failure(AlliumStatus::Busy, reason)),
        None => Ok(()),
    });
    status == AlliumStatus::Ok
}

/// An answer to a request.
#[repr(C)]
pub struct AlliumAnswer {
    /// An HTTP status.
    pub status: u16,
    /// For `allium_bytes_free`.
    pub body: AlliumBytes,
}

fn answer(
    engine: Option<&AlliumEngine>,
    request: AlliumSlice,
    answer: Option<&mut MaybeUninit<AlliumAnswer>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
    ask: impl FnOnce(&Engine, Vec<u8>) -> Answer,
) -> AlliumStatus {
    guard(error, || {
        let (engine, out) = (given(engine, "engine")?, given(answer, "answer")?);
        // SAFETY: as the header asks.
        let request = unsafe { request.bytes() }?.to_vec();
        let Answer { status, body } = ask(&engine.0, request);
        out.write(AlliumAnswer { status, body: AlliumBytes::new(body.to_vec()) });
        Ok(())
    })
}

/// An onion request that came over a transport of the embedder's own. Waits, for other nodes at most 30 s each. Not for
/// callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn allium_engine_onion(
    engine: Option<&AlliumEngine>,
    payload: AlliumSlice,
    out: Option<&mut MaybeUninit<AlliumAnswer>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    answer(engine, payload, out, error, |engine, payload| pollster::block_on(engine.onion(payload)))
}

/// A client's request, JSON `{"method", "params"}`, that came over a transport of the embedder's own. Waits. Not for
/// callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn allium_engine_request(
    engine: Option<&AlliumEngine>,
    body: AlliumSlice,
    out: Option<&mut MaybeUninit<AlliumAnswer>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    answer(engine, body, out, error, |engine, body| pollster::block_on(engine.request(body)))
}

/// What an engine is doing. New numbers come at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AlliumStats {
    /// Nodes in the network in force.
    pub nodes: u64,
    /// Its height.
    pub height: u64,
    /// Clients' requests under way.
    pub requests: u64,
    /// Onion requests waiting for another node or a server.
    pub relaying: u64,
    /// Subscriptions to accounts.
    pub monitors: u64,
    /// QUIC connections to other nodes.
    pub quic_peers: u64,
    /// Members of the swarm that have missed something.
    pub members_behind: u64,
    /// Transfers to other nodes that are not finished.
    pub transfers: u64,
    /// Messages in the store.
    pub messages: u64,
    /// Bytes charged for them.
    pub store_bytes: u64,
    /// Bytes that they may take.
    pub store_max_bytes: u64,
    /// How often 1, 2, up to 4, 8, 16, 32 and 64 onion layers were opened together.
    pub peel_batches: [u64; 7],
    /// The same of signatures.
    pub verify_batches: [u64; 7],
}

/// What the engine is doing. `size` is `sizeof(AlliumStats)`: no more is written than the program knows of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_engine_stats(
    engine: Option<&AlliumEngine>,
    stats: *mut AlliumStats,
    size: usize,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        if stats.is_null() {
            return Err(invalid("stats is NULL"));
        }
        let engine = given(engine, "engine")?.0.stats()?;
        let number = |count: usize| count as u64;
        let all = AlliumStats {
            nodes: number(engine.nodes),
            height: engine.height,
            requests: number(engine.requests),
            relaying: number(engine.relaying),
            monitors: number(engine.monitors),
            quic_peers: number(engine.quic_peers),
            members_behind: number(engine.members_behind),
            transfers: number(engine.transfers),
            messages: engine.store.messages,
            store_bytes: engine.store.bytes,
            store_max_bytes: engine.store.max_bytes,
            peel_batches: engine.peel_batches,
            verify_batches: engine.verify_batches,
        };
        let known = size.min(size_of::<AlliumStats>());
        // SAFETY: the caller has `size` bytes there, as the header asks; the struct is numbers only.
        unsafe { ptr::copy_nonoverlapping((&raw const all).cast::<u8>(), stats.cast(), known) };
        Ok(())
    })
}

/// The engine's messages; `ALLIUM_STATUS_NOT_FOUND` when it keeps none. `store` is for `allium_store_close`, which leaves the
/// engine's store open.
#[unsafe(no_mangle)]
pub extern "C" fn allium_engine_store(
    engine: Option<&AlliumEngine>,
    store: Option<&mut MaybeUninit<*mut AlliumStore>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (engine, out) = (given(engine, "engine")?, given(store, "store")?);
        let none = || Failure(AlliumStatus::NotFound, "the engine keeps no messages".to_owned());
        let store = AlliumStore::of_engine(engine.0.store().ok_or_else(none)?.clone());
        out.write(Box::into_raw(Box::new(store)));
        Ok(())
    })
}
