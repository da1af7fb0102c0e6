/* Allium's engine for programs in C and C++: the onion layers, the message store and a whole node of the Session Network.
 *
 * Written by cbindgen from capi/src; `make header` writes it anew.
 *
 * Handles. Every pointer to a struct that is only declared here (AlliumEngine, AlliumStore, ...) comes from a function
 * that says so, belongs to the caller, and is given back exactly once to the function that says it takes it. NULL is
 * refused with ALLIUM_STATUS_INVALID, and does nothing where there is no status.
 *
 * Bytes. What goes in is borrowed for the length of the call. AlliumBytes that come out belong to the caller, who gives
 * them to allium_bytes_free. Strings are UTF-8 and end with NUL.
 *
 * Threads. Every function may be called from any thread, and on one handle from several at once, but for those that take
 * the handle. Calls that wait say so. There is no global state: engines and stores are independent of each other.
 *
 * Errors. A function that returns a status writes its results only when that is ALLIUM_STATUS_OK. `error`, where not NULL,
 * then says in words why not. A bug inside the library ends as ALLIUM_STATUS_PANIC and not the process. Callbacks must
 * return: they may neither throw nor longjmp.
 *
 * Compatibility. Numbers of codes and layouts of structs stay as they are for as long as ALLIUM_ABI_VERSION does; there may
 * be new functions and codes. */


#ifndef ALLIUM_H
#define ALLIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Of this header. A library with another one is not for programs built with it.
 */
#define ALLIUM_ABI_VERSION 1

/**
 * How a call ended.
 */
enum AlliumStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As it should.
   */
  ALLIUM_STATUS_OK = 0,
  /**
   * An argument is NULL, or not what it must be.
   */
  ALLIUM_STATUS_INVALID = 1,
  /**
   * What was asked for is not there.
   */
  ALLIUM_STATUS_NOT_FOUND = 2,
  /**
   * A socket, a thread or a file.
   */
  ALLIUM_STATUS_IO = 3,
  /**
   * As much is under way as may be; try again later.
   */
  ALLIUM_STATUS_BUSY = 4,
  /**
   * The engine or the store is stopped.
   */
  ALLIUM_STATUS_CLOSED = 5,
  /**
   * The store is full until messages expire.
   */
  ALLIUM_STATUS_STORE_FULL = 6,
  /**
   * The account's share of the store is full until its messages expire.
   */
  ALLIUM_STATUS_ACCOUNT_FULL = 7,
  /**
   * Another program has the store open.
   */
  ALLIUM_STATUS_STORE_IN_USE = 8,
  /**
   * The store has a format that this version does not read.
   */
  ALLIUM_STATUS_STORE_FORMAT = 9,
  /**
   * The store's file is not as it was written.
   */
  ALLIUM_STATUS_STORE_DAMAGED = 10,
  /**
   * The store's disk is full, or fails.
   */
  ALLIUM_STATUS_DISK = 11,
  /**
   * Something that was encrypted does not open.
   */
  ALLIUM_STATUS_CIPHERTEXT = 12,
  /**
   * A bug of the library. What the call was about may be half done.
   */
  ALLIUM_STATUS_PANIC = 100,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum AlliumStatus AlliumStatus;
#else
typedef int32_t AlliumStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What is under a layer.
 */
enum AlliumPeeledKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A request for this node: `body` is JSON `{"method", "params"}`.
   */
  ALLIUM_PEELED_KIND_FINAL = 0,
  /**
   * For a server: `body` is to be posted to `target` at `host`.
   */
  ALLIUM_PEELED_KIND_SERVER = 1,
  /**
   * For the node `destination`: `body` is what `sn.onion_request` of that node takes.
   */
  ALLIUM_PEELED_KIND_RELAY = 2,
  /**
   * Nothing that opens: answered in the clear with status 400 and `Invalid ciphertext`.
   */
  ALLIUM_PEELED_KIND_CIPHERTEXT = 3,
  /**
   * Nothing that can be read: answered under `key` with status 400 and `Invalid json`.
   */
  ALLIUM_PEELED_KIND_JSON = 4,
  /**
   * A server that may not be posted to: answered under `key` with status 400 and `Invalid url`.
   */
  ALLIUM_PEELED_KIND_URL = 5,
  /**
   * The payload is no layer: answered in the clear with status 400 and the text in `body`.
   */
  ALLIUM_PEELED_KIND_MALFORMED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum AlliumPeeledKind AlliumPeeledKind;
#else
typedef int32_t AlliumPeeledKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What became of a message.
 */
enum AlliumOutcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It was not there.
   */
  ALLIUM_OUTCOME_NEW = 0,
  /**
   * It was there; its expiry is later now.
   */
  ALLIUM_OUTCOME_EXTENDED = 1,
  /**
   * It was there and stays as it was.
   */
  ALLIUM_OUTCOME_EXISTS = 2,
  /**
   * It was deleted since, or the public outbox holds a newer one.
   */
  ALLIUM_OUTCOME_OBSOLETE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum AlliumOutcome AlliumOutcome;
#else
typedef int32_t AlliumOutcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How an engine is to run.
 */
typedef struct AlliumBuilder AlliumBuilder;

/**
 * A client's request that waits for an answer.
 */
typedef struct AlliumCall AlliumCall;

/**
 * A running engine.
 */
typedef struct AlliumEngine AlliumEngine;

/**
 * Seals the answer to one layer.
 */
typedef struct AlliumLayerKey AlliumLayerKey;

/**
 * Opens the answer to one request.
 */
typedef struct AlliumReplyKey AlliumReplyKey;

/**
 * A message store.
 */
typedef struct AlliumStore AlliumStore;

/**
 * Bytes that belong to the caller.
 */
typedef struct {
  /**
   * NULL when there are none.
   */
  uint8_t *data;
  /**
   * How many.
   */
  size_t len;
} AlliumBytes;

/**
 * A key or a hash.
 */
typedef struct {
  /**
   * As it is.
   */
  uint8_t bytes[32];
} AlliumKey;

/**
 * A node's public keys, and the secret one that opens its layers.
 */
typedef struct {
  /**
   * Names it.
   */
  AlliumKey ed25519;
  /**
   * Onion layers are encrypted to it.
   */
  AlliumKey x25519;
  /**
   * Opens them; wipe it.
   */
  AlliumKey x25519_secret;
} AlliumIdentity;

/**
 * Why a call failed, in words.
 */
typedef struct {
  /**
   * Cut off where it does not fit.
   */
  char text[256];
} AlliumError;

/**
 * Told of a request, on a thread that serves others too: it must not wait. `call` belongs to the callback, which gives it
 * to `allium_call_answer` or `allium_call_refuse`, then or within 30 s from any thread. `user` is what it was set with.
 */
typedef void (*AlliumOnCall)(void *user, AlliumCall *call);

/**
 * One registered node.
 */
typedef struct {
  /**
   * Registered key.
   */
  AlliumKey legacy;
  /**
   * Names it in onion layers.
   */
  AlliumKey ed25519;
  /**
   * Its layers are encrypted to it.
   */
  AlliumKey x25519;
  /**
   * Public IPv4 address; 0.0.0.0 while unknown.
   */
  uint8_t ip[4];
  /**
   * HTTPS port.
   */
  uint16_t https_port;
  /**
   * OMQ (TCP) and QUIC (UDP) port.
   */
  uint16_t omq_port;
  /**
   * Its swarm; `UINT64_MAX` for none.
   */
  uint64_t swarm;
  /**
   * Version of the protocol that it advertises.
   */
  uint16_t version[3];
  /**
   * Height at which its stake unlocks, or 0.
   */
  uint64_t requested_unlock_height;
} AlliumNode;

/**
 * Bytes that somebody else owns.
 */
typedef struct {
  /**
   * May be NULL when there are none.
   */
  const uint8_t *data;
  /**
   * How many.
   */
  size_t len;
} AlliumSlice;

/**
 * An answer to a request.
 */
typedef struct {
  /**
   * An HTTP status.
   */
  uint16_t status;
  /**
   * For `allium_bytes_free`.
   */
  AlliumBytes body;
} AlliumAnswer;

/**
 * What an engine is doing. New numbers come at the end.
 */
typedef struct {
  /**
   * Nodes in the network in force.
   */
  uint64_t nodes;
  /**
   * Its height.
   */
  uint64_t height;
  /**
   * Clients' requests under way.
   */
  uint64_t requests;
  /**
   * Onion requests waiting for another node or a server.
   */
  uint64_t relaying;
  /**
   * Subscriptions to accounts.
   */
  uint64_t monitors;
  /**
   * QUIC connections to other nodes.
   */
  uint64_t quic_peers;
  /**
   * Members of the swarm that have missed something.
   */
  uint64_t members_behind;
  /**
   * Transfers to other nodes that are not finished.
   */
  uint64_t transfers;
  /**
   * Messages in the store.
   */
  uint64_t messages;
  /**
   * Bytes charged for them.
   */
  uint64_t store_bytes;
  /**
   * Bytes that they may take.
   */
  uint64_t store_max_bytes;
  /**
   * How often 1, 2, up to 4, 8, 16, 32 and 64 onion layers were opened together.
   */
  uint64_t peel_batches[7];
  /**
   * The same of signatures.
   */
  uint64_t verify_batches[7];
} AlliumStats;

/**
 * A layer, opened or not. For `allium_peeled_free`.
 */
typedef struct {
  /**
   * What there is.
   */
  AlliumPeeledKind kind;
  /**
   * Seals the answer; NULL when nothing was opened.
   */
  AlliumLayerKey *key;
  /**
   * As `kind` says.
   */
  AlliumBytes body;
  /**
   * Of a relay.
   */
  AlliumKey destination;
  /**
   * Of a server: its name or address, not ended with NUL.
   */
  AlliumBytes host;
  /**
   * Of a server: the path, not ended with NUL.
   */
  AlliumBytes target;
  /**
   * Of a server.
   */
  uint16_t port;
  /**
   * Of a server: HTTPS rather than HTTP.
   */
  bool https;
  /**
   * Of a request: the answer's `body` as a JSON value rather than as text.
   */
  bool json;
  /**
   * Of a request: the answer in base64 rather than raw.
   */
  bool base64;
} AlliumPeeled;

/**
 * A node on a path.
 */
typedef struct {
  /**
   * How the hop before it names it.
   */
  AlliumKey ed25519;
  /**
   * What its layer is encrypted to.
   */
  AlliumKey x25519;
} AlliumHop;

/**
 * An account: the network's byte (5 for users), and a key.
 */
typedef struct {
  /**
   * As it is.
   */
  uint8_t bytes[33];
} AlliumAccount;

/**
 * A message. Times are milliseconds since 1970.
 */
typedef struct {
  /**
   * Whose it is.
   */
  AlliumAccount account;
  /**
   * Where in the account.
   */
  int16_t namespace_id;
  /**
   * When the sender says it was sent.
   */
  uint64_t timestamp;
  /**
   * When it goes.
   */
  uint64_t expiry;
  /**
   * What it says. Of a message that a callback is told of, valid until the callback returns.
   */
  AlliumSlice data;
  /**
   * Its name, which follows from account, namespace and data. Not read by `allium_store_put`.
   */
  AlliumKey hash;
} AlliumMessage;

/**
 * Told of a message, which is valid until it returns; false ends the walk. It may call the library.
 */
typedef bool (*AlliumOnMessage)(void *user, const AlliumMessage *message);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * `ALLIUM_ABI_VERSION` of the library that is loaded.
 */
uint32_t allium_abi_version(void);

/**
 * Gives bytes back. None are left in `bytes`, so that a second time does nothing.
 */
void allium_bytes_free(AlliumBytes *bytes);

/**
 * The method that is asked for. Valid until the call is answered or refused.
 */
const char *allium_call_method(const AlliumCall *call);

/**
 * Its params: a JSON object. Valid until the call is answered or refused.
 */
const char *allium_call_params(const AlliumCall *call);

/**
 * Answers with an HTTP status and JSON; a JSON string is told as text. Takes `call`, whatever the status returned: with
 * another than `ALLIUM_STATUS_OK` it is refused.
 */
AlliumStatus allium_call_answer(AlliumCall *call, uint16_t status, const char *json);

/**
 * Refuses with status 500. Takes `call`.
 */
void allium_call_refuse(AlliumCall *call);

/**
 * The keys that belong to an Ed25519 seed.
 */
AlliumStatus allium_identity(const AlliumKey *seed, AlliumIdentity *identity, AlliumError *error);

/**
 * An engine whose messages and certificate are in the directory `data_dir`, which is made when it is not there, whose
 * keys come from `ed25519_seed` and whose registered key is `legacy_key`. What is not said is as a node of the network
 * has it. `builder` is for `allium_engine_start` or `allium_builder_free`.
 */
AlliumStatus allium_builder_new(const char *data_dir,
                                const AlliumKey *ed25519_seed,
                                const AlliumKey *legacy_key,
                                AlliumBuilder **builder,
                                AlliumError *error);

/**
 * Takes `builder` without starting anything.
 */
void allium_builder_free(AlliumBuilder *builder);

/**
 * Listens on the address `ip`: HTTPS on TCP `https_port`, OMQ on TCP `omq_port`, QUIC on UDP `omq_port`.
 */
AlliumStatus allium_builder_bind(AlliumBuilder *builder,
                                 const char *ip,
                                 uint16_t https_port,
                                 uint16_t omq_port,
                                 AlliumError *error);

/**
 * Keeps no messages: relays onion requests, and tells clients which swarm has what they ask for.
 */
AlliumStatus allium_builder_without_store(AlliumBuilder *builder);

/**
 * Bytes that messages may take, of all accounts and of one, and messages that one account may have. One account's are meant
 * twice: in its public inboxes, and in its other namespaces.
 */
AlliumStatus allium_builder_store_limits(AlliumBuilder *builder,
                                         uint64_t bytes,
                                         uint64_t account_bytes,
                                         uint64_t account_messages);

/**
 * Whether an acknowledged write is on disk (true, as it is from the start), or with the operating system, which writes
 * every second.
 */
AlliumStatus allium_builder_sync(AlliumBuilder *builder, bool sync);

/**
 * Threads that serve requests: at least one, whatever is said, and at most 1024, else `ALLIUM_STATUS_INVALID`.
 */
AlliumStatus allium_builder_workers(AlliumBuilder *builder, size_t threads);

/**
 * Clients' requests that may be under way; more are told that the node is busy.
 */
AlliumStatus allium_builder_queue(AlliumBuilder *builder, size_t requests);

/**
 * How many requests of one address may come at once, and per second in the long run.
 */
AlliumStatus allium_builder_rate_limit(AlliumBuilder *builder, uint32_t burst, uint32_t per_second);

/**
 * Posts onion requests also to servers at private, loopback and link-local addresses. For test networks.
 */
AlliumStatus allium_builder_allow_private_servers(AlliumBuilder *builder);

/**
 * Hands clients' requests for any of `count` `methods` over, whether the protocol knows them or not. `user` goes with
 * `callback`, which is called from several threads at once, until `allium_engine_stop` returns. A second call of this takes
 * the place of the first.
 */
AlliumStatus allium_builder_answers(AlliumBuilder *builder,
                                    const char *const *methods,
                                    size_t count,
                                    AlliumOnCall callback,
                                    void *user,
                                    AlliumError *error);

/**
 * Opens the store, binds the sockets, serves. Requests are refused until there is a network with this node in it. Takes
 * `builder`, also when it fails. `engine` is for `allium_engine_stop`.
 */
AlliumStatus allium_engine_start(AlliumBuilder *builder, AlliumEngine **engine, AlliumError *error);

/**
 * Refuses new requests, finishes those under way (for at most 70 s), writes what is queued, closes. Takes `engine`. Waits.
 */
void allium_engine_stop(AlliumEngine *engine);

/**
 * Puts a new picture of the network in force, as of the block at `height` with the hash `block_hash` (64 hex digits, or
 * empty). `hardfork` is two numbers, such as 19 and 4.
 */
AlliumStatus allium_engine_set_network(const AlliumEngine *engine,
                                       uint64_t height,
                                       const char *block_hash,
                                       uint16_t hardfork,
                                       uint16_t revision,
                                       const AlliumNode *nodes,
                                       size_t count,
                                       AlliumError *error);

/**
 * Whether the engine serves; if not, `why`, where not NULL, says why not.
 */
bool allium_engine_is_ready(const AlliumEngine *engine, AlliumError *why);

/**
 * An onion request that came over a transport of the embedder's own. Waits, for other nodes at most 30 s each. Not for
 * callbacks.
 */
AlliumStatus allium_engine_onion(const AlliumEngine *engine,
                                 AlliumSlice payload,
                                 AlliumAnswer *out,
                                 AlliumError *error);

/**
 * A client's request, JSON `{"method", "params"}`, that came over a transport of the embedder's own. Waits. Not for
 * callbacks.
 */
AlliumStatus allium_engine_request(const AlliumEngine *engine, AlliumSlice body, AlliumAnswer *out, AlliumError *error);

/**
 * What the engine is doing. `size` is `sizeof(AlliumStats)`: no more is written than the program knows of.
 */
AlliumStatus allium_engine_stats(const AlliumEngine *engine, AlliumStats *stats, size_t size, AlliumError *error);

/**
 * The engine's messages; `ALLIUM_STATUS_NOT_FOUND` when it keeps none. `store` is for `allium_store_close`, which leaves the
 * engine's store open.
 */
AlliumStatus allium_engine_store(const AlliumEngine *engine,
                                 AlliumStore **store,
                                 AlliumError *error);

/**
 * Opens the layer of a payload that a client has posted, with the node's X25519 secret. What is wrong with the payload is
 * for whoever sent it, and in `peeled`; the status is about the call.
 */
AlliumStatus allium_onion_peel(const AlliumKey *x25519_secret,
                               AlliumSlice payload,
                               AlliumPeeled *peeled,
                               AlliumError *error);

/**
 * `allium_onion_peel` for `count` payloads at a fraction of the cost; `peeled` has room for as many.
 */
AlliumStatus allium_onion_peel_batch(const AlliumKey *x25519_secret,
                                     const AlliumSlice *payloads,
                                     size_t count,
                                     AlliumPeeled *peeled,
                                     AlliumError *error);

/**
 * Gives back what is in a layer, key included. Nothing is left in it.
 */
void allium_peeled_free(AlliumPeeled *peeled);

/**
 * Seals an answer for whoever sent the layer of `key`, in base64 or raw. `sealed` is for `allium_bytes_free`.
 */
AlliumStatus allium_onion_seal(const AlliumLayerKey *key,
                               AlliumSlice plaintext,
                               bool base64,
                               AlliumBytes *sealed,
                               AlliumError *error);

/**
 * What a client posts to the first of `count` nodes of `path` (to `destination` itself without any). `body` is JSON
 * `{"method", "params"}`; `enc_type` is `aes-gcm` (also for NULL), `xchacha20` or `aes-cbc`. `payload` is for
 * `allium_bytes_free`, `key` for `allium_reply_key_free`.
 */
AlliumStatus allium_onion_build(const AlliumHop *path,
                                size_t count,
                                const AlliumHop *destination,
                                AlliumSlice body,
                                const char *enc_type,
                                AlliumBytes *payload,
                                AlliumReplyKey **key,
                                AlliumError *error);

/**
 * The plaintext of the answer to a request; `ALLIUM_STATUS_CIPHERTEXT` when it is not from the destination. `plaintext` is
 * for `allium_bytes_free`.
 */
AlliumStatus allium_reply_key_open(const AlliumReplyKey *key,
                                   AlliumSlice reply,
                                   bool base64,
                                   AlliumBytes *plaintext,
                                   AlliumError *error);

/**
 * Takes `key`.
 */
void allium_reply_key_free(AlliumReplyKey *key);

/**
 * Opens the store in the directory `path`, which is made when it is not there. The limits are bytes that messages may
 * take, of all accounts and of one, and messages that one account may have; 0 is the network's. One account's are meant
 * twice: in its public inboxes, and in its other namespaces. `sync` says whether an acknowledged write is on disk, or with
 * the operating system, which writes every second. `store` is for `allium_store_close`.
 */
AlliumStatus allium_store_open(const char *path,
                               uint64_t max_bytes,
                               uint64_t account_bytes,
                               uint64_t account_messages,
                               bool sync,
                               AlliumStore **store,
                               AlliumError *error);

/**
 * Writes what is queued and closes; an engine's store stays open. Takes `store`. Waits.
 */
void allium_store_close(AlliumStore *store);

/**
 * Stores a message; `hash` and `outcome` may be NULL. Waits until it is on disk (or with the operating system, if the
 * store was opened so). Puts from several threads share one write.
 */
AlliumStatus allium_store_put(const AlliumStore *store,
                              const AlliumMessage *message,
                              AlliumKey *hash,
                              AlliumOutcome *outcome,
                              AlliumError *error);

/**
 * One message of an account; `ALLIUM_STATUS_NOT_FOUND` when it is not there. `data` is for `allium_bytes_free`; `message`,
 * which may be NULL, has no data.
 */
AlliumStatus allium_store_get(const AlliumStore *store,
                              const AlliumAccount *account,
                              const AlliumKey *hash,
                              AlliumBytes *data,
                              AlliumMessage *message,
                              AlliumError *error);

/**
 * Messages of one namespace of an account in the order in which they were stored, after the one with the hash `after` if
 * that is there, else (also with NULL) from the start. At most `max_count` (0 is any number) of at most `max_size` bytes
 * together, but at least one. `more`, which may be NULL, says whether there are further ones.
 */
AlliumStatus allium_store_retrieve(const AlliumStore *store,
                                   const AlliumAccount *account,
                                   int16_t namespace_id,
                                   const AlliumKey *after,
                                   uint64_t max_count,
                                   uint64_t max_size,
                                   AlliumOnMessage callback,
                                   void *user,
                                   bool *more,
                                   AlliumError *error);

/**
 * Every message of every account, those of one account and namespace beside each other. What is stored meanwhile may be
 * told of or not.
 */
AlliumStatus allium_store_each(const AlliumStore *store, AlliumOnMessage callback, void *user, AlliumError *error);

/**
 * Removes a message; `ALLIUM_STATUS_NOT_FOUND` when it is not there. Waits as `allium_store_put` does.
 */
AlliumStatus allium_store_remove(const AlliumStore *store,
                                 const AlliumAccount *account,
                                 const AlliumKey *hash,
                                 AlliumError *error);

/**
 * How many messages there are and what they are charged; either may be NULL.
 */
AlliumStatus allium_store_count(const AlliumStore *store, uint64_t *messages, uint64_t *bytes, AlliumError *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ALLIUM_H */
