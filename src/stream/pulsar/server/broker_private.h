// What the connections of a server share: the topics that somebody is connected to, with their producers and consumers,
// the store behind them, and the worker on which what waits for the disk is done. Others see it through the admin API.
//
// All of it lives on the server's loop, so nothing here needs a lock. The store calls back on its own threads; what it
// says is posted to the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "net/io_loop.h"
#include "stream/pulsar/server/access.h"
#include "stream/pulsar/server/topics_private.h"
#include "stream/store.h"

namespace fmesh::stream::pulsar::server {

struct ProducerLink;
struct ConsumerLink;

struct BrokerOptions {
  std::string cluster = "standalone";
  std::string address;       // where clients find the server: "127.0.0.1:6650"
  bool tls = false;          // they speak TLS there
  int32_t partitions = 0;    // of topics that are made as clients name them
  bool deduplicate = false;  // for every producer that names itself
  AccessOptions access;
};

// One topic, or one partition of it, while somebody is connected to it.
struct TopicState {
  TopicPlace place;
  std::string name;
  std::vector<std::shared_ptr<ProducerLink>> producers;
  std::deque<std::shared_ptr<ProducerLink>> waiting;                            // for exclusive access
  std::optional<uint64_t> epoch;                                                // of exclusive access
  std::map<std::string, std::vector<std::shared_ptr<ConsumerLink>>> consumers;  // by subscription, in order of coming
};

class Broker {
 public:
  Broker(std::shared_ptr<net::IoLoop> loop, Store& store, BrokerOptions options);

  net::IoLoop& loop() { return *loop_; }
  const Clock& clock() const { return loop_->clock(); }
  Store& store() { return store_; }
  Topics& topics() { return topics_; }
  const BrokerOptions& options() const { return options_; }
  const Access& access() const { return access_; }

  // Made if nobody was connected to it.
  std::shared_ptr<TopicState> live(const TopicPlace& place);
  // Null if nobody is.
  std::shared_ptr<TopicState> find_live(const std::string& topic) const;
  const std::map<std::string, std::shared_ptr<TopicState>>& all_live() const { return live_; }
  // Lets go of what nobody is connected to any more.
  void tidy(const std::string& topic);
  // Whether a partition of `stream` has consumers of `subscription`.
  bool has_consumers(const std::string& stream, const std::string& subscription) const;

  // What the store's threads post to the loop with. May be called after the server has gone: then nothing runs.
  std::function<void(Task)> poster() const;
  // Runs `work`, which may wait for the disk, on the worker, one after another, and `done` with its result on the loop.
  template <class T>
  void run_blocking(std::function<T()> work, std::function<void(T)> done) {
    worker_.post([post = poster(), work = std::move(work), done = std::move(done)] {
      post([done, result = work()] { done(result); });
    });
  }
  // The same for work that answers by itself.
  void on_worker(Task work) { worker_.post(std::move(work)); }
  // Stops the worker; what it had not begun is dropped.
  void stop() { worker_.stop(); }

  // Where a reader that was moved goes on when its client connects anew, as it can't say so itself after a move by
  // time.
  void keep_reader_place(const std::string& topic, const std::string& subscription, const MessageId& place);
  std::optional<MessageId> take_reader_place(const std::string& topic, const std::string& subscription);

  std::string next_name(const char* kind) { return options_.cluster + "-" + kind + "-" + std::to_string(++names_); }

 private:
  const std::shared_ptr<net::IoLoop> loop_;
  Store& store_;
  const BrokerOptions options_;
  const Access access_;
  Topics topics_;
  std::map<std::string, std::shared_ptr<TopicState>> live_;
  struct ReaderPlace {
    MessageId place;
    int64_t until_ns = 0;
  };
  std::map<std::pair<std::string, std::string>, ReaderPlace> reader_places_;  // by topic and subscription
  uint64_t names_ = 0;
  ThreadLoop worker_;
};

}  // namespace fmesh::stream::pulsar::server
