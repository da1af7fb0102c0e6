// A relay without a store, in C++: the handles in smart pointers, several threads on one engine, a request answered later
// by another thread.
//
// c++ -std=c++17 relay.cpp -lallium -o relay && ./relay DIRECTORY HTTPS_PORT OMQ_PORT

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "allium.h"

namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T *handle) const {
    Free(handle);
  }
};
using Engine = std::unique_ptr<AlliumEngine, Deleter<allium_engine_stop>>;
using ReplyKey = std::unique_ptr<AlliumReplyKey, Deleter<allium_reply_key_free>>;
using Call = std::unique_ptr<AlliumCall, Deleter<allium_call_refuse>>;

/// Bytes that free themselves.
class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes &) = delete;
  Bytes &operator=(const Bytes &) = delete;
  ~Bytes() { allium_bytes_free(&bytes_); }

  AlliumBytes *out() { return &bytes_; }
  AlliumSlice slice() const { return {bytes_.data, bytes_.len}; }
  std::string_view text() const { return {reinterpret_cast<const char *>(bytes_.data), bytes_.len}; }

 private:
  AlliumBytes bytes_{nullptr, 0};
};

/// Calls `function` with `arguments` and a place for an error, which is thrown.
template <class... Parameters, class... Arguments>
void must(AlliumStatus (*function)(Parameters...), Arguments... arguments) {
  AlliumError error;
  if (function(arguments..., &error) != ALLIUM_STATUS_OK) {
    throw std::runtime_error(error.text);
  }
}

void expect(bool holds, const char *what) {
  if (!holds) {
    throw std::runtime_error(std::string("not as expected: ") + what);
  }
}

/// Requests that wait for a thread of this program.
class Desk {
 public:
  static void take(void *desk, AlliumCall *call) { static_cast<Desk *>(desk)->push(Call(call)); }

  /// Answers until it is closed.
  void serve() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || !calls_.empty(); });
      if (calls_.empty()) {
        return;
      }
      Call call = std::move(calls_.front());
      calls_.pop_front();
      lock.unlock();
      std::string answer = std::string("{\"echo\": ") + allium_call_params(call.get()) + "}";
      expect(allium_call_answer(call.release(), 200, answer.c_str()) == ALLIUM_STATUS_OK, "an answer taken");
    }
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  void push(Call call) {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Call> calls_;
  bool closed_ = false;
};

AlliumSlice slice(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t *>(text.data()), text.size()};
}

/// What a client gets for `body`, through an onion.
std::string ask(const AlliumEngine *engine, const AlliumHop &hop, std::string_view body) {
  Bytes payload, plaintext;
  AlliumReplyKey *raw = nullptr;
  must(allium_onion_build, nullptr, std::size_t{0}, &hop, slice(body), nullptr, payload.out(), &raw);
  ReplyKey key(raw);
  AlliumAnswer answer;
  must(allium_engine_onion, engine, payload.slice(), &answer);
  Bytes sealed;
  *sealed.out() = answer.body;
  must(allium_reply_key_open, const_cast<const AlliumReplyKey *>(key.get()), sealed.slice(), true, plaintext.out());
  return std::string(plaintext.text());
}

void run(const char *directory, std::uint16_t https_port, std::uint16_t omq_port) {
  AlliumKey seed{}, legacy{};
  seed.bytes[0] = 7;
  legacy.bytes[0] = 1;
  AlliumIdentity identity;
  must(allium_identity, &seed, &identity);

  Desk desk;
  std::thread clerk([&desk] { desk.serve(); });
  struct Close {
    Desk &desk;
    std::thread &clerk;
    ~Close() {
      desk.close();
      clerk.join();
    }
  } close{desk, clerk};

  AlliumBuilder *builder = nullptr;
  must(allium_builder_new, directory, &seed, &legacy, &builder);
  must(allium_builder_bind, builder, "127.0.0.1", https_port, omq_port);
  expect(allium_builder_without_store(builder) == ALLIUM_STATUS_OK, "a relay");
  const char *methods[] = {"echo"};
  must(allium_builder_answers, builder, methods, std::size_t{1}, &Desk::take, static_cast<void *>(&desk));
  AlliumEngine *raw = nullptr;
  must(allium_engine_start, builder, &raw);
  Engine engine(raw);

  AlliumNode node{};
  node.legacy = legacy;
  node.ed25519 = identity.ed25519;
  node.x25519 = identity.x25519;
  node.ip[0] = 127, node.ip[3] = 1;
  node.https_port = https_port, node.omq_port = omq_port;
  node.swarm = UINT64_MAX;
  node.version[0] = 2, node.version[1] = 8;
  const AlliumEngine *shared = engine.get();
  must(allium_engine_set_network, shared, std::uint64_t{1}, "", std::uint16_t{19}, std::uint16_t{4}, &node,
       std::size_t{1});

  AlliumStore *store = nullptr;
  expect(allium_engine_store(shared, &store, nullptr) == ALLIUM_STATUS_NOT_FOUND, "no store");
  const AlliumHop hop{identity.ed25519, identity.x25519};
  std::vector<std::thread> clients;
  std::vector<std::string> answers(4);
  for (std::size_t i = 0; i < answers.size(); i++) {
    clients.emplace_back([&, i] {
      answers[i] = ask(shared, hop, "{\"method\":\"echo\",\"params\":{\"number\":" + std::to_string(i) + "}}");
    });
  }
  for (auto &client : clients) {
    client.join();
  }
  for (std::size_t i = 0; i < answers.size(); i++) {
    expect(answers[i].find("\\\"number\\\":" + std::to_string(i)) != std::string::npos, answers[i].c_str());
  }
  std::string elsewhere =
      ask(shared, hop, "{\"method\":\"get_swarm\",\"params\":{\"pubkey\":\"05" + std::string(64, '1') + "\"}}");
  expect(elsewhere.find("200") != std::string::npos, elsewhere.c_str());
  std::printf("relay: %zu requests answered by another thread\n", answers.size());
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s DIRECTORY HTTPS_PORT OMQ_PORT\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], static_cast<std::uint16_t>(std::atoi(argv[2])), static_cast<std::uint16_t>(std::atoi(argv[3])));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
