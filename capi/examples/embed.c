/* A store without a network, and an engine that relays, keeps messages and answers a method of its own.
 *
 * cc embed.c -lallium -o embed && ./embed DIRECTORY HTTPS_PORT OMQ_PORT */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allium.h"

#define LEN(array) (sizeof(array) / sizeof *(array))

static AlliumError error;

/* Ends the program unless the call went well. */
static void must(const char *what, AlliumStatus status) {
  if (status == ALLIUM_STATUS_OK) {
    return;
  }
  fprintf(stderr, "%s: %s (code %d)\n", what, error.text, (int)status);
  exit(1);
}

static void expect(const char *what, int holds) {
  if (!holds) {
    fprintf(stderr, "not as expected: %s\n", what);
    exit(1);
  }
}

static AlliumSlice slice(const char *text) {
  return (AlliumSlice){(const uint8_t *)text, strlen(text)};
}

static uint64_t now_ms(void) {
  return (uint64_t)time(NULL) * 1000;
}

static bool count_message(void *user, const AlliumMessage *message) {
  *(size_t *)user += message->data.len > 0;
  return true;
}

static bool stop_at_once(void *user, const AlliumMessage *message) {
  *(AlliumKey *)user = message->hash;
  return false;
}

static void a_store(const char *directory) {
  char path[4096];
  snprintf(path, sizeof path, "%s/store", directory);
  AlliumStore *store;
  must("store", allium_store_open(path, 64 << 20, 0, 0, true, &store, &error));

  AlliumMessage message = {.timestamp = now_ms(), .expiry = now_ms() + 3600000};
  message.account.bytes[0] = 5;
  memset(message.account.bytes + 1, 7, 32);
  AlliumKey hashes[3];
  for (size_t i = 0; i < LEN(hashes); i++) {
    char text[32];
    snprintf(text, sizeof text, "message %zu", i);
    message.data = slice(text);
    AlliumOutcome outcome;
    must("put", allium_store_put(store, &message, &hashes[i], &outcome, &error));
    expect("a new message", outcome == ALLIUM_OUTCOME_NEW);
  }

  AlliumBytes data;
  AlliumMessage found;
  must("get", allium_store_get(store, &message.account, &hashes[1], &data, &found, &error));
  expect("what was put", data.len == 9 && memcmp(data.data, "message 1", 9) == 0 && found.expiry == message.expiry);
  allium_bytes_free(&data);
  allium_bytes_free(&data); /* a second time does nothing */

  size_t seen = 0;
  bool more;
  must("retrieve", allium_store_retrieve(store, &message.account, 0, &hashes[0], 1, 1 << 20, count_message, &seen, &more, &error));
  expect("the second of three", seen == 1 && more);
  must("remove", allium_store_remove(store, &message.account, &hashes[0], &error));
  AlliumStatus again = allium_store_get(store, &message.account, &hashes[0], &data, NULL, NULL);
  expect("nothing left of it", again == ALLIUM_STATUS_NOT_FOUND);
  AlliumKey first;
  must("each", allium_store_each(store, stop_at_once, &first, &error));
  seen = 0;
  must("each", allium_store_each(store, count_message, &seen, &error));
  uint64_t messages;
  must("count", allium_store_count(store, &messages, NULL, &error));
  expect("two messages", seen == 2 && messages == 2);

  AlliumStore *second;
  AlliumStatus twice = allium_store_open(path, 0, 0, 0, true, &second, &error);
  expect("one writer", twice == ALLIUM_STATUS_STORE_IN_USE && strlen(error.text) > 0);
  allium_store_close(store);
  printf("store: %zu messages\n", seen);
}

/* Told of `greet`, on one of the engine's threads. */
static void greet(void *user, AlliumCall *call) {
  int *calls = user;
  __atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
  if (strstr(allium_call_params(call), "\"refuse\"") != NULL) {
    allium_call_refuse(call);
    return;
  }
  char answer[256];
  snprintf(answer, sizeof answer, "{\"method\": \"%s\", \"params\": %s}", allium_call_method(call), allium_call_params(call));
  allium_call_answer(call, 200, answer);
}

/* A request in an onion, as a client makes it, to the engine itself; the answer's plaintext. */
static AlliumBytes ask(const AlliumEngine *engine, const AlliumHop *hop, const char *body) {
  AlliumBytes payload, plaintext;
  AlliumReplyKey *key;
  must("build", allium_onion_build(NULL, 0, hop, slice(body), "xchacha20", &payload, &key, &error));
  AlliumAnswer answer;
  must("onion", allium_engine_onion(engine, (AlliumSlice){payload.data, payload.len}, &answer, &error));
  expect("an answer that is sealed", answer.status == 200);
  AlliumSlice sealed = {answer.body.data, answer.body.len};
  must("open", allium_reply_key_open(key, sealed, true, &plaintext, &error));
  allium_bytes_free(&answer.body);
  allium_bytes_free(&payload);
  allium_reply_key_free(key);
  return plaintext;
}

static bool says(const AlliumBytes *bytes, const char *text) {
  size_t length = strlen(text);
  for (size_t at = 0; at + length <= bytes->len; at++) {
    if (memcmp(bytes->data + at, text, length) == 0) {
      return true;
    }
  }
  return false;
}

static void an_engine(const char *directory, uint16_t https_port, uint16_t omq_port) {
  AlliumKey seed, legacy;
  memset(seed.bytes, 7, 32);
  memset(legacy.bytes, 1, 32);
  AlliumIdentity identity;
  must("identity", allium_identity(&seed, &identity, &error));

  char path[4096];
  snprintf(path, sizeof path, "%s/engine", directory);
  AlliumBuilder *builder;
  must("builder", allium_builder_new(path, &seed, &legacy, &builder, &error));
  must("bind", allium_builder_bind(builder, "127.0.0.1", https_port, omq_port, &error));
  must("workers", allium_builder_workers(builder, 1));
  int calls = 0;
  const char *methods[] = {"greet"};
  must("answers", allium_builder_answers(builder, methods, LEN(methods), greet, &calls, &error));
  AlliumEngine *engine;
  must("start", allium_engine_start(builder, &engine, &error));
  expect("not ready without a network", !allium_engine_is_ready(engine, &error) && strlen(error.text) > 0);

  /* The network is what the embedder says it is. */
  AlliumNode node = {
      .legacy = legacy,
      .ed25519 = identity.ed25519,
      .x25519 = identity.x25519,
      .ip = {127, 0, 0, 1},
      .https_port = https_port,
      .omq_port = omq_port,
      .swarm = 7,
      .version = {2, 8, 0},
  };
  must("network", allium_engine_set_network(engine, 1, "", 19, 4, &node, 1, &error));
  AlliumNode twins[] = {node, node};
  must("of two nodes with one key the first counts", allium_engine_set_network(engine, 2, "", 19, 4, twins, 2, &error));
  expect("ready", allium_engine_is_ready(engine, NULL));

  AlliumHop hop = {identity.ed25519, identity.x25519};
  AlliumBytes greeting = ask(engine, &hop, "{\"method\":\"greet\",\"params\":{\"name\":\"Ada\"}}");
  expect("its own method", says(&greeting, "Ada") && says(&greeting, "200"));
  allium_bytes_free(&greeting);
  greeting = ask(engine, &hop, "{\"method\":\"greet\",\"params\":{\"name\":\"refuse\"}}");
  expect("its refusal", says(&greeting, "500"));
  allium_bytes_free(&greeting);
  expect("two calls", __atomic_load_n(&calls, __ATOMIC_RELAXED) == 2);

  char request[512];
  snprintf(request, sizeof request,
           "{\"method\":\"store\",\"params\":{\"pubkey\":\"05%064d\",\"timestamp\":%llu,\"ttl\":86400000,\"data\":\"aGVsbG8=\"}}",
           0, (unsigned long long)now_ms());
  AlliumAnswer answer;
  must("request", allium_engine_request(engine, slice(request), &answer, &error));
  expect("a message kept", answer.status == 200);
  allium_bytes_free(&answer.body);

  AlliumStats stats;
  must("stats", allium_engine_stats(engine, &stats, sizeof stats, &error));
  expect("one message, one node", stats.messages == 1 && stats.nodes == 1 && stats.peel_batches[0] == 2);
  AlliumStore *store;
  must("its store", allium_engine_store(engine, &store, &error));
  size_t seen = 0;
  must("each", allium_store_each(store, count_message, &seen, &error));
  expect("that message", seen == 1);
  allium_store_close(store);
  allium_engine_stop(engine);
  printf("engine: %d calls answered, %zu message kept\n", calls, seen);
}

/* What embedders do that have a node of their own around it. */
static void peeling(void) {
  AlliumKey seed;
  memset(seed.bytes, 9, 32);
  AlliumIdentity identity;
  must("identity", allium_identity(&seed, &identity, &error));
  AlliumHop here = {identity.ed25519, identity.x25519}, there = here;
  memset(there.ed25519.bytes, 3, 32);
  AlliumBytes payloads[3] = {{NULL, 0}};
  AlliumReplyKey *keys[2];
  AlliumSlice body = slice("{\"method\":\"info\",\"params\":{}}");
  must("build", allium_onion_build(NULL, 0, &here, body, NULL, &payloads[0], &keys[0], &error));
  must("build", allium_onion_build(&here, 1, &there, body, NULL, &payloads[1], &keys[1], &error));
  AlliumSlice all[3];
  for (size_t i = 0; i < LEN(all); i++) {
    all[i] = (AlliumSlice){payloads[i].data, payloads[i].len};
  }
  AlliumPeeled peeled[LEN(all)];
  must("peel", allium_onion_peel_batch(&identity.x25519_secret, all, LEN(all), peeled, &error));
  expect("a request", peeled[0].kind == ALLIUM_PEELED_KIND_FINAL && peeled[0].body.len == body.len);
  expect("a layer for the next node", peeled[1].kind == ALLIUM_PEELED_KIND_RELAY && peeled[1].destination.bytes[0] == 3);
  expect("nothing at all", peeled[2].kind == ALLIUM_PEELED_KIND_MALFORMED && peeled[2].body.len > 0 && !peeled[2].key);

  AlliumBytes sealed, opened;
  must("seal", allium_onion_seal(peeled[0].key, slice("{\"status\":200}"), true, &sealed, &error));
  AlliumSlice reply = {sealed.data, sealed.len};
  must("open", allium_reply_key_open(keys[0], reply, true, &opened, &error));
  expect("the answer", says(&opened, "200"));
  allium_bytes_free(&opened);
  AlliumStatus other = allium_reply_key_open(keys[1], reply, true, &opened, &error);
  expect("for nobody else", other == ALLIUM_STATUS_CIPHERTEXT);
  allium_bytes_free(&sealed);
  for (size_t i = 0; i < LEN(all); i++) {
    allium_peeled_free(&peeled[i]);
    allium_bytes_free(&payloads[i]);
  }
  allium_reply_key_free(keys[0]);
  allium_reply_key_free(keys[1]);
  memset(&identity, 0, sizeof identity);
  printf("onion: opened and answered\n");
}

/* What must be refused rather than crash. */
static void mistakes(const char *directory) {
  expect("no store", allium_store_put(NULL, NULL, NULL, NULL, &error) == ALLIUM_STATUS_INVALID);
  expect("no engine", allium_engine_stats(NULL, NULL, 0, &error) == ALLIUM_STATUS_INVALID);
  expect("no builder", allium_engine_start(NULL, NULL, &error) == ALLIUM_STATUS_INVALID);
  expect("no call", allium_call_answer(NULL, 200, "{}") == ALLIUM_STATUS_INVALID);
  allium_engine_stop(NULL);
  allium_store_close(NULL);
  allium_bytes_free(NULL);
  AlliumKey key = {{0}};
  AlliumBuilder *builder;
  expect("not UTF-8", allium_builder_new("\xff", &key, &key, &builder, &error) == ALLIUM_STATUS_INVALID);
  must("builder", allium_builder_new(directory, &key, &key, &builder, &error));
  expect("no address", allium_builder_bind(builder, "nowhere", 1, 2, &error) == ALLIUM_STATUS_INVALID);
  expect("in words", strcmp(error.text, "no IP address: nowhere") == 0);
  allium_builder_free(builder);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s DIRECTORY HTTPS_PORT OMQ_PORT\n", argv[0]);
    return 2;
  }
  expect("the library of this header", allium_abi_version() == ALLIUM_ABI_VERSION);
  mistakes(argv[1]);
  peeling();
  a_store(argv[1]);
  an_engine(argv[1], (uint16_t)atoi(argv[2]), (uint16_t)atoi(argv[3]));
  return 0;
}
