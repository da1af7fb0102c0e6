/* Every function with NULL, nothing, too much and what is stopped: a code and words, or nothing where nothing is promised.
 *
 * cc refusals.c -lallium -o refusals && ./refusals DIRECTORY HTTPS_PORT OMQ_PORT */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allium.h"

static AlliumError error;
static int refused;

/* What `call` returns, with words when it is not OK. */
#define EXPECT(status, call)                                                        \
  do {                                                                              \
    memset(&error, 0, sizeof error);                                                \
    AlliumStatus got = (call);                                                      \
    if (got != (status)) {                                                          \
      fprintf(stderr, "line %d: %s: %d, %s\n", __LINE__, #call, (int)got, error.text); \
      exit(1);                                                                      \
    }                                                                               \
    refused += got != ALLIUM_STATUS_OK;                                             \
  } while (0)
#define OK(call) EXPECT(ALLIUM_STATUS_OK, call)
#define INVALID(call) EXPECT(ALLIUM_STATUS_INVALID, call)
#define SAYS(words, call)                                                        \
  do {                                                                           \
    INVALID(call);                                                               \
    if (strcmp(error.text, words) != 0) {                                        \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, error.text);         \
      exit(1);                                                                   \
    }                                                                            \
  } while (0)
#define HOLDS(what)                                         \
  do {                                                      \
    if (!(what)) {                                          \
      fprintf(stderr, "line %d: not %s\n", __LINE__, #what); \
      exit(1);                                              \
    }                                                       \
  } while (0)

static const AlliumKey key = {{7}};
static const AlliumAccount account = {{5, 7}};
static const AlliumSlice none = {NULL, 0};
static const AlliumSlice lost = {NULL, 1};
static const uint8_t byte = 'x';
static const AlliumSlice huge = {&byte, SIZE_MAX};

static bool another(void *user, const AlliumMessage *message) {
  (void)message;
  ++*(int *)user;
  return true;
}

static void builders(const char *directory) {
  AlliumBuilder *builder = NULL;
  AlliumEngine *engine = NULL;
  const char *methods[] = {"one", NULL};
  SAYS("data_dir is NULL", allium_builder_new(NULL, &key, &key, &builder, &error));
  SAYS("ed25519_seed is NULL", allium_builder_new(directory, NULL, &key, &builder, &error));
  SAYS("legacy_key is NULL", allium_builder_new(directory, &key, NULL, &builder, &error));
  SAYS("builder is NULL", allium_builder_new(directory, &key, &key, NULL, &error));
  INVALID(allium_builder_new(directory, &key, &key, NULL, NULL));
  SAYS("builder is NULL", allium_builder_bind(NULL, "127.0.0.1", 1, 2, &error));
  INVALID(allium_builder_without_store(NULL));
  INVALID(allium_builder_store_limits(NULL, 1, 1, 1));
  INVALID(allium_builder_sync(NULL, true));
  INVALID(allium_builder_workers(NULL, 1));
  INVALID(allium_builder_queue(NULL, 1));
  INVALID(allium_builder_rate_limit(NULL, 1, 1));
  INVALID(allium_builder_allow_private_servers(NULL));
  SAYS("callback is NULL", allium_builder_answers(NULL, NULL, 0, NULL, NULL, &error));
  SAYS("builder is NULL", allium_engine_start(NULL, &engine, &error));

  OK(allium_builder_new(directory, &key, &key, &builder, &error));
  SAYS("ip is NULL", allium_builder_bind(builder, NULL, 1, 2, &error));
  INVALID(allium_builder_bind(builder, "", 1, 2, &error));
  INVALID(allium_builder_bind(builder, "localhost", 1, 2, &error));
  SAYS("methods is no array", allium_builder_answers(builder, NULL, 1, NULL, NULL, &error));
  SAYS("methods is no array", allium_builder_answers(builder, methods, SIZE_MAX, NULL, NULL, &error));
  SAYS("a method is NULL", allium_builder_answers(builder, methods, 2, NULL, NULL, &error));
  INVALID(allium_builder_workers(builder, SIZE_MAX));
  INVALID(allium_builder_workers(builder, 1025));
  OK(allium_builder_queue(builder, SIZE_MAX));
  OK(allium_builder_rate_limit(builder, UINT32_MAX, UINT32_MAX));
  OK(allium_builder_rate_limit(builder, 0, 0));
  /* It takes the builder all the same. */
  SAYS("engine is NULL", allium_engine_start(builder, NULL, &error));

  /* A file where a directory must be is named. */
  char path[4096];
  snprintf(path, sizeof path, "%s/file", directory);
  FILE *file = fopen(path, "w");
  HOLDS(file != NULL && fclose(file) == 0);
  OK(allium_builder_new(path, &key, &key, &builder, &error));
  EXPECT(ALLIUM_STATUS_IO, allium_engine_start(builder, &engine, &error));
  HOLDS(strncmp(error.text, path, strlen(path)) == 0);
  AlliumStore *store = NULL;
  EXPECT(ALLIUM_STATUS_IO, allium_store_open(path, 0, 0, 0, true, &store, &error));
  HOLDS(engine == NULL && store == NULL);
  /* More than a machine has. */
  snprintf(path, sizeof path, "%s/large", directory);
  OK(allium_builder_new(path, &key, &key, &builder, &error));
  OK(allium_builder_store_limits(builder, UINT64_MAX, UINT64_MAX, UINT64_MAX));
  EXPECT(ALLIUM_STATUS_IO, allium_engine_start(builder, &engine, &error));
  allium_builder_free(NULL);
}

static void engines(const char *directory, uint16_t https_port, uint16_t omq_port) {
  AlliumBuilder *builder;
  AlliumEngine *engine;
  char path[4096];
  snprintf(path, sizeof path, "%s/engine", directory);
  OK(allium_builder_new(path, &key, &key, &builder, &error));
  OK(allium_builder_bind(builder, "127.0.0.1", https_port, omq_port, &error));
  OK(allium_builder_workers(builder, 0));
  OK(allium_engine_start(builder, &engine, &error));

  AlliumIdentity identity;
  SAYS("seed is NULL", allium_identity(NULL, &identity, &error));
  SAYS("identity is NULL", allium_identity(&key, NULL, &error));
  OK(allium_identity(&key, &identity, &error));

  AlliumNode node;
  memset(&node, 0, sizeof node);
  SAYS("engine is NULL", allium_engine_set_network(NULL, 1, "", 19, 4, &node, 1, &error));
  SAYS("block_hash is NULL", allium_engine_set_network(engine, 1, NULL, 19, 4, &node, 1, &error));
  SAYS("nodes is no array", allium_engine_set_network(engine, 1, "", 19, 4, NULL, 1, &error));
  SAYS("nodes is no array", allium_engine_set_network(engine, 1, "", 19, 4, &node, SIZE_MAX, &error));
  SAYS("nodes is no array", allium_engine_set_network(engine, 1, "", 19, 4, &node, SIZE_MAX / sizeof node, &error));
  HOLDS(!allium_engine_is_ready(engine, &error) && strlen(error.text) > 0);
  HOLDS(!allium_engine_is_ready(NULL, &error) && strcmp(error.text, "engine is NULL") == 0);
  HOLDS(!allium_engine_is_ready(engine, NULL));
  AlliumAnswer answer;
  /* Without a network. */
  OK(allium_engine_request(engine, none, &answer, &error));
  HOLDS(answer.status == 503);
  allium_bytes_free(&answer.body);
  OK(allium_engine_set_network(engine, UINT64_MAX, "no hash", 65535, 65535, NULL, 0, &error));
  node.legacy = key;
  node.ed25519 = identity.ed25519;
  node.x25519 = identity.x25519;
  node.swarm = 7;
  OK(allium_engine_set_network(engine, 1, "", 19, 4, &node, 1, &error));
  HOLDS(allium_engine_is_ready(engine, NULL));

  const AlliumSlice what[] = {none, {&byte, 0}, {&byte, 1}};
  for (size_t i = 0; i < 3; i++) {
    OK(allium_engine_request(engine, what[i], &answer, &error));
    HOLDS(answer.status == 400 && answer.body.len > 0);
    allium_bytes_free(&answer.body);
    OK(allium_engine_onion(engine, what[i], &answer, &error));
    HOLDS(answer.status == 400);
    allium_bytes_free(&answer.body);
  }
  SAYS("data is no array", allium_engine_request(engine, lost, &answer, &error));
  SAYS("data is no array", allium_engine_onion(engine, huge, &answer, &error));
  SAYS("answer is NULL", allium_engine_request(engine, none, NULL, &error));
  SAYS("engine is NULL", allium_engine_onion(NULL, none, &answer, &error));

  /* No more is written than there is room for. */
  AlliumStats stats[2];
  memset(stats, 0xa5, sizeof stats);
  SAYS("stats is NULL", allium_engine_stats(engine, NULL, sizeof *stats, &error));
  SAYS("engine is NULL", allium_engine_stats(NULL, stats, sizeof *stats, &error));
  OK(allium_engine_stats(engine, stats, 0, &error));
  HOLDS(stats->nodes == UINT64_C(0xa5a5a5a5a5a5a5a5));
  OK(allium_engine_stats(engine, stats, sizeof(uint64_t), &error));
  HOLDS(stats->nodes == 1 && stats->height == UINT64_C(0xa5a5a5a5a5a5a5a5));
  OK(allium_engine_stats(engine, stats, sizeof stats, &error));
  HOLDS(stats->height == 1 && stats[1].nodes == UINT64_C(0xa5a5a5a5a5a5a5a5));

  AlliumStore *store = NULL;
  SAYS("engine is NULL", allium_engine_store(NULL, &store, &error));
  SAYS("store is NULL", allium_engine_store(engine, NULL, &error));
  OK(allium_engine_store(engine, &store, &error));
  allium_engine_stop(engine);
  /* A store that outlives its engine says so. */
  uint64_t messages = 5;
  AlliumMessage message;
  memset(&message, 0, sizeof message);
  message.account = account;
  message.expiry = UINT64_MAX;
  EXPECT(ALLIUM_STATUS_CLOSED, allium_store_put(store, &message, NULL, NULL, &error));
  EXPECT(ALLIUM_STATUS_CLOSED, allium_store_remove(store, &account, &key, &error));
  HOLDS(messages == 5);
  allium_store_close(store);
  allium_engine_stop(NULL);
}

static void stores(const char *directory) {
  AlliumStore *store = NULL;
  char path[4096];
  snprintf(path, sizeof path, "%s/refusals", directory);
  SAYS("path is NULL", allium_store_open(NULL, 0, 0, 0, true, &store, &error));
  SAYS("store is NULL", allium_store_open(path, 0, 0, 0, true, NULL, &error));
  EXPECT(ALLIUM_STATUS_IO, allium_store_open(path, UINT64_MAX, 0, 0, true, &store, &error));
  HOLDS(store == NULL);
  OK(allium_store_open(path, 64 << 20, 0, 2, false, &store, &error));

  AlliumMessage message;
  memset(&message, 0, sizeof message);
  message.account = account;
  message.timestamp = (uint64_t)time(NULL) * 1000;
  message.expiry = message.timestamp + 3600000;
  AlliumBytes data = {NULL, 0};
  AlliumKey hash;
  SAYS("store is NULL", allium_store_put(NULL, &message, NULL, NULL, &error));
  SAYS("message is NULL", allium_store_put(store, NULL, NULL, NULL, &error));
  message.data = lost;
  SAYS("data is no array", allium_store_put(store, &message, NULL, NULL, &error));
  message.data = huge;
  SAYS("data is no array", allium_store_put(store, &message, NULL, NULL, &error));
  message.data = none;
  OK(allium_store_put(store, &message, &hash, NULL, &error));
  OK(allium_store_get(store, &account, &hash, &data, NULL, &error));
  HOLDS(data.data == NULL && data.len == 0);
  allium_bytes_free(&data);
  message.data.data = &byte;
  message.data.len = 1;
  OK(allium_store_put(store, &message, NULL, NULL, NULL));
  message.data.data = (const uint8_t *)"another";
  EXPECT(ALLIUM_STATUS_ACCOUNT_FULL, allium_store_put(store, &message, NULL, NULL, &error));
  /* As much again beside the public inboxes. */
  message.namespace_id = INT16_MIN;
  OK(allium_store_put(store, &message, NULL, NULL, NULL));
  message.namespace_id = INT16_MAX;
  OK(allium_store_put(store, &message, NULL, NULL, NULL));

  SAYS("store is NULL", allium_store_get(NULL, &account, &hash, &data, NULL, &error));
  SAYS("account is NULL", allium_store_get(store, NULL, &hash, &data, NULL, &error));
  SAYS("hash is NULL", allium_store_get(store, &account, NULL, &data, NULL, &error));
  SAYS("data is NULL", allium_store_get(store, &account, &hash, NULL, NULL, &error));
  EXPECT(ALLIUM_STATUS_NOT_FOUND, allium_store_get(store, &account, &key, &data, NULL, &error));
  int told = 0;
  bool more = true;
  SAYS("callback is NULL", allium_store_retrieve(store, &account, 0, NULL, 0, 0, NULL, NULL, NULL, &error));
  SAYS("account is NULL", allium_store_retrieve(store, NULL, 0, NULL, 0, 0, another, &told, NULL, &error));
  SAYS("store is NULL", allium_store_retrieve(NULL, &account, 0, NULL, 0, 0, another, &told, NULL, &error));
  OK(allium_store_retrieve(store, &account, 0, &key, UINT64_MAX, UINT64_MAX, another, &told, &more, &error));
  HOLDS(told == 2 && !more);
  SAYS("callback is NULL", allium_store_each(store, NULL, NULL, &error));
  SAYS("store is NULL", allium_store_each(NULL, another, &told, &error));
  SAYS("store is NULL", allium_store_remove(NULL, &account, &hash, &error));
  SAYS("account is NULL", allium_store_remove(store, NULL, &hash, &error));
  SAYS("hash is NULL", allium_store_remove(store, &account, NULL, &error));
  EXPECT(ALLIUM_STATUS_NOT_FOUND, allium_store_remove(store, &account, &key, &error));
  OK(allium_store_count(store, NULL, NULL, NULL));
  SAYS("store is NULL", allium_store_count(NULL, NULL, NULL, &error));
  allium_store_close(store);
  allium_store_close(NULL);
}

static void onions(void) {
  AlliumIdentity identity;
  OK(allium_identity(&key, &identity, &error));
  const AlliumHop hop = {identity.ed25519, identity.x25519}, zero = {{{0}}, {{0}}};
  AlliumBytes payload = {NULL, 0}, other = {NULL, 0};
  AlliumReplyKey *reply = NULL;
  AlliumPeeled peeled;
  const AlliumSlice body = {&byte, 1};
  SAYS("path is no array", allium_onion_build(NULL, 1, &hop, body, NULL, &payload, &reply, &error));
  SAYS("data is no array", allium_onion_build(NULL, 0, &hop, lost, NULL, &payload, &reply, &error));
  SAYS("destination is NULL", allium_onion_build(NULL, 0, NULL, body, NULL, &payload, &reply, &error));
  SAYS("payload is NULL", allium_onion_build(NULL, 0, &hop, body, NULL, NULL, &reply, &error));
  SAYS("key is NULL", allium_onion_build(NULL, 0, &hop, body, NULL, &payload, NULL, &error));
  INVALID(allium_onion_build(NULL, 0, &hop, body, "rot13", &payload, &reply, &error));
  INVALID(allium_onion_build(NULL, 0, &hop, body, "\xff", &payload, &reply, &error));
  INVALID(allium_onion_build(NULL, 0, &zero, body, NULL, &payload, &reply, &error));
  HOLDS(payload.data == NULL && reply == NULL);
  OK(allium_onion_build(NULL, 0, &hop, none, "aes-gcm", &payload, &reply, &error));

  const AlliumSlice sent = {payload.data, payload.len};
  SAYS("x25519_secret is NULL", allium_onion_peel(NULL, sent, &peeled, &error));
  SAYS("peeled is NULL", allium_onion_peel(&key, sent, NULL, &error));
  SAYS("data is no array", allium_onion_peel(&key, lost, &peeled, &error));
  SAYS("payloads is no array", allium_onion_peel_batch(&key, NULL, 1, &peeled, &error));
  SAYS("payloads is no array", allium_onion_peel_batch(&key, &sent, SIZE_MAX, &peeled, &error));
  OK(allium_onion_peel_batch(&key, NULL, 0, &peeled, &error));
  OK(allium_onion_peel(&key, none, &peeled, &error));
  HOLDS(peeled.kind == ALLIUM_PEELED_KIND_MALFORMED && peeled.key == NULL);
  allium_peeled_free(&peeled);
  allium_peeled_free(&peeled); /* a second time does nothing */
  allium_peeled_free(NULL);
  /* The secret of somebody else. */
  OK(allium_onion_peel(&key, sent, &peeled, &error));
  HOLDS(peeled.kind == ALLIUM_PEELED_KIND_CIPHERTEXT && peeled.key == NULL);
  SAYS("key is NULL", allium_onion_seal(peeled.key, body, true, &other, &error));
  allium_peeled_free(&peeled);
  OK(allium_onion_peel(&identity.x25519_secret, sent, &peeled, &error));
  HOLDS(peeled.key != NULL);
  SAYS("sealed is NULL", allium_onion_seal(peeled.key, body, true, NULL, &error));
  SAYS("data is no array", allium_onion_seal(peeled.key, lost, true, &other, &error));
  OK(allium_onion_seal(peeled.key, none, false, &other, &error));
  const AlliumSlice sealed = {other.data, other.len};
  AlliumBytes opened = {NULL, 5};
  SAYS("key is NULL", allium_reply_key_open(NULL, sealed, false, &opened, &error));
  SAYS("plaintext is NULL", allium_reply_key_open(reply, sealed, false, NULL, &error));
  EXPECT(ALLIUM_STATUS_CIPHERTEXT, allium_reply_key_open(reply, sealed, true, &opened, &error));
  EXPECT(ALLIUM_STATUS_CIPHERTEXT, allium_reply_key_open(reply, none, false, &opened, &error));
  HOLDS(opened.len == 5);
  OK(allium_reply_key_open(reply, sealed, false, &opened, &error));
  HOLDS(opened.data == NULL && opened.len == 0);
  allium_peeled_free(&peeled);
  allium_bytes_free(&other);
  allium_bytes_free(&payload);
  allium_reply_key_free(reply);
  allium_reply_key_free(NULL);
  HOLDS(allium_call_method(NULL) == NULL && allium_call_params(NULL) == NULL);
  INVALID(allium_call_answer(NULL, 200, "{}"));
  allium_call_refuse(NULL);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    return 2;
  }
  onions();
  stores(argv[1]);
  builders(argv[1]);
  engines(argv[1], (uint16_t)atoi(argv[2]), (uint16_t)atoi(argv[3]));
  printf("%d calls refused\n", refused);
  return 0;
}
