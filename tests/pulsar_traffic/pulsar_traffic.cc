// Numbered records over fmesh's own Pulsar client, for tests against a real broker and for benchmarks: writes them,
// reads them until each was seen, or carries them from one topic to another as an instance does. A record's number is
// what its payload begins with.
//
//   pulsar_traffic produce URL TOPIC          prints {"records","seconds","failed",...} as JSON when it is done
//   pulsar_traffic consume URL TOPIC          ends when each of --count was seen, or after --seconds
//   pulsar_traffic pass URL TOPIC --to TOPIC  ends after --seconds, or when --count records were carried
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/loop.h"
#include "stream/batcher.h"
#include "stream/pulsar/client/pulsar.h"

namespace fmesh {
namespace {

using namespace stream;  // NOLINT: a program of one file

struct Flags {
  std::string verb, url, topic, to, subscription = "traffic", type = "shared", name, token_file, listener;
  std::string trust_file, web, seen_file;
  uint64_t forget_every = 0;  // of the entries, one in so many is not acknowledged the first time
  uint64_t count = 0, size = 100, rate = 0, first = 0, nack_every = 0, keys = 0;
  double seconds = 600;
  int64_t send_timeout_ms = 0, ack_timeout_ms = 0, nack_delay_ms = 200, discovery_ms = 30'000;
  bool deduplicate = false, progress = false, pattern = false;
};

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}
int64_t rss_kib() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return used.ru_maxrss;
}

class Traffic {
 public:
  explicit Traffic(Flags flags) : flags_(std::move(flags)) {}
  ~Traffic() { loop_.stop(); }

  Status open() {
    pulsar::PulsarOptions options;
    options.service_url = flags_.url;
    options.web_service_url = flags_.web;
    options.listener_name = flags_.listener;
    options.send_timeout_ms = flags_.send_timeout_ms;
    options.tls_trust_file = flags_.trust_file;
    options.discovery_ms = flags_.discovery_ms;
    if (!flags_.token_file.empty()) {
      options.auth_plugin = "token";
      options.auth_params = "file://" + flags_.token_file;
    }
    FMESH_TRY(client_, pulsar::open_pulsar(std::move(options)));
    if (flags_.verb != "produce") {
      ConsumerOptions consumer;
      if (flags_.pattern) {
        consumer.topic_pattern = flags_.topic;
      } else {
        consumer.topics = {flags_.topic};
      }
      consumer.subscription = flags_.subscription;
      consumer.name = flags_.name;
      consumer.type = flags_.type == "exclusive"    ? SubscriptionType::kExclusive
                      : flags_.type == "failover"   ? SubscriptionType::kFailover
                      : flags_.type == "key_shared" ? SubscriptionType::kKeyShared
                                                    : SubscriptionType::kShared;
      consumer.ack_timeout_ms = flags_.ack_timeout_ms;
      consumer.nack_delay_min_ms = flags_.nack_delay_ms;
      FMESH_TRY(consumer_, client_->open_consumer(std::move(consumer)));
    }
    if (flags_.verb == "consume") return {};
    ProducerOptions producer;
    producer.topic = flags_.verb == "pass" ? flags_.to : flags_.topic;
    producer.name = flags_.name;
    producer.deduplicate = flags_.deduplicate;
    FMESH_TRY(producer_, client_->open_producer(std::move(producer)));
    return {};
  }

  int run() {
    start_ns_ = clock_.monotonic_ns();
    cpu_start_ = cpu_seconds();
    seen_.resize(flags_.count);
    loop_.post([this] {
      if (flags_.verb == "produce") {
        begin_producing();
      } else {
        pump();
      }
    });
    std::unique_lock lock(mutex_);
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(flags_.seconds * 1e3));
    while (!done_ && std::chrono::steady_clock::now() < end) {
      changed_.wait_for(lock, std::chrono::milliseconds(flags_.progress ? 1'000 : 100), [this] { return done_; });
      if (flags_.progress) std::cerr << records_.load() << '\n';
    }
    const bool complete = done_ || flags_.count == 0;
    lock.unlock();
    const double seconds = static_cast<double>(clock_.monotonic_ns() - start_ns_) / 1e9;
    const double cpu = cpu_seconds() - cpu_start_;
    loop_.stop();
    write_seen();
    if (consumer_) consumer_->close();
    print(seconds, cpu);
    consumer_ = nullptr;
    batcher_ = nullptr;
    producer_ = nullptr;
    client_ = nullptr;
    return complete && error_.empty() ? 0 : 1;
  }

 private:
  void print(double seconds, double cpu) const {
    uint64_t missing = 0, first_missing = 0;
    for (uint64_t i = flags_.verb == "consume" ? 0 : seen_.size(); i < seen_.size(); ++i) {
      if (seen_[i]) continue;
      if (missing++ == 0) first_missing = i;
    }
    std::printf(
        "{\"records\": %llu, \"bytes\": %llu, \"again\": %llu, \"missing\": %llu, \"first_missing\": %llu, "
        "\"failed\": %llu, \"duplicates\": %llu, \"out_of_order\": %llu, \"redelivered\": %llu, \"seconds\": %.3f, "
        "\"cpu_seconds\": %.3f, \"rss_kib\": %lld, \"error\": \"%s\"}\n",
        static_cast<unsigned long long>(records_.load()), static_cast<unsigned long long>(bytes_),
        static_cast<unsigned long long>(again_), static_cast<unsigned long long>(missing),
        static_cast<unsigned long long>(first_missing), static_cast<unsigned long long>(failed_),
        static_cast<unsigned long long>(duplicates_), static_cast<unsigned long long>(out_of_order_),
        static_cast<unsigned long long>(redelivered_), seconds, cpu, static_cast<long long>(rss_kib()), error_.c_str());
    std::fflush(stdout);
  }

  void write_seen() const {
    if (flags_.seen_file.empty()) return;
    std::ofstream file(flags_.seen_file);
    for (uint64_t i = 0; i < seen_.size(); ++i) {
      if (seen_[i]) file << i << '\n';
    }
  }

  void finish(const std::string& error = "") {
    const std::lock_guard lock(mutex_);
    if (!error.empty() && error_.empty()) error_ = error;
    done_ = true;
    changed_.notify_all();
  }

  // --- produce ---

  void begin_producing() {
    BatcherOptions options;
    options.number_records = false;
    batcher_ = std::make_unique<Batcher>(*client_, producer_, loop_, options, [this](const BatchResult& result) {
      if (!result.id) {
        failed_ += result.record_count;
        if (error_.empty()) error_ = result.id.error().text();
      } else {
        records_ += result.record_count;
        if (result.id->ledger < 0) duplicates_ += result.record_count;
      }
      if (next_ >= flags_.count && batcher_->idle()) finish();
    });
    payload_.assign(flags_.size, 'x');
    produce();
  }

  void produce() {
    int turns = 0;
    while (next_ < flags_.count) {
      if (flags_.rate > 0) {
        const double due = static_cast<double>(next_) / static_cast<double>(flags_.rate);
        const double now = static_cast<double>(clock_.monotonic_ns() - start_ns_) / 1e9;
        if (due > now) {
          loop_.post_after(std::max<int64_t>(static_cast<int64_t>((due - now) * 1e3), 1), [this] { produce(); });
          return;
        }
      }
      const uint64_t number = flags_.first + next_;
      char* const end = std::to_chars(payload_.data(), payload_.data() + payload_.size(), number).ptr;
      *end = ' ';
      std::string key;
      RecordView record;
      record.payload = payload_;
      record.sequence_id = number;
      if (flags_.keys > 0) {
        key = std::to_string(number % flags_.keys);
        record.key = key;
        record.has_key = true;
      }
      if (const Status added = batcher_->add(record); !added) {
        if (added.error().kind() != ErrorKind::kRetryLater) return finish(added.error().text());
        batcher_->notify_room([this] { produce(); });
        return;
      }
      ++next_;
      bytes_ += flags_.size;
      // Answers and timers are tasks of this loop, too.
      if (++turns % 2'000 == 0) return loop_.post([this] { produce(); });
    }
    batcher_->flush();
  }

  // --- consume and pass ---

  void count(const RecordView& record) {
    uint64_t number = 0;
    std::from_chars(record.payload.data(), record.payload.data() + record.payload.size(), number);
    bytes_ += record.payload.size();
    ++records_;
    uint64_t& last = last_[std::string(record.key)];
    if (number < last) ++out_of_order_;
    last = number;
    if (number >= seen_.size()) return;
    if (seen_[number]) {
      ++again_;
    } else {
      seen_[number] = true;
      ++found_;
    }
  }

  // False if it is to come again: one in nack_every, the first time.
  bool takes(const ReceivedEntry& entry) {
    if (entry.redelivery_count > 0) ++redelivered_;
    return flags_.nack_every == 0 || ++entries_ % flags_.nack_every != 0;
  }

  void pump() {
    for (int turns = 0; turns < 20; ++turns) {
      if (in_flight_ >= 8) return;
      if (producer_ && !producer_->writable()) {
        return producer_->notify_writable([this] { loop_.post([this] { pump(); }); });
      }
      auto polled = consumer_->poll({});
      if (!polled) return finish(polled.error().text());
      if (polled->empty()) return consumer_->notify([this] { loop_.post([this] { pump(); }); });
      handle(*polled);
      if (flags_.count > 0 && found_ >= flags_.count && !producer_) return;
    }
    loop_.post([this] { pump(); });
  }

  void handle(const std::vector<ReceivedEntry>& entries) {
    Commit commit;
    std::optional<EntryBuilder> builder;
    if (producer_) builder.emplace(producer_->name(), Compression::kNone);
    uint32_t built = 0;
    const auto close = [&] {
      if (!builder || builder->empty()) return;
      const uint64_t last = builder->last_sequence_id();
      const auto count = static_cast<uint32_t>(builder->record_count());
      commit.appends.push_back({producer_, 0, builder->finish(clock_.wall_ms()), count, last});
    };
    for (const ReceivedEntry& entry : entries) {
      const bool forgets =
          flags_.forget_every > 0 && entry.redelivery_count == 0 && ++entries_ % flags_.forget_every == 0;
      if (forgets) continue;  // the ack timeout brings it again
      if (!takes(entry)) {
        consumer_->negative_ack(entry.id, entry.records);
        continue;
      }
      auto reader = EntryReader::open(entry.bytes);
      if (!reader) return finish(reader.error().text());
      RecordView record;
      for (uint32_t index = 0; reader->next(record); ++index) {
        if (!entry.records.has(index)) continue;
        count(record);
        if (!builder) continue;
        RecordView out = record;
        out.sequence_id = sequence_id_++;
        builder->add(out);
        if (++built % 1'000 == 0 || builder->estimated_size_bytes() >= size_t{128} * 1024) close();
      }
      commit.acks.push_back({consumer_, entry.id, entry.records, false});
    }
    close();
    if (commit.empty()) return;
    ++in_flight_;
    client_->commit(std::move(commit), [this](const Result<Receipt>& receipt) {
      loop_.post([this, failed = receipt ? std::string() : receipt.error().text()] {
        --in_flight_;
        if (!failed.empty()) return finish(failed);
        if (flags_.count > 0 && found_ >= flags_.count && in_flight_ == 0) return finish();
        if (in_flight_ == 7) pump();
      });
    });
  }

  const Flags flags_;
  SystemClock clock_;
  std::unique_ptr<Client> client_;
  std::shared_ptr<Consumer> consumer_;
  std::shared_ptr<Producer> producer_;
  std::unique_ptr<Batcher> batcher_;
  std::string payload_;
  std::vector<bool> seen_;
  std::atomic<uint64_t> records_{0};
  uint64_t next_ = 0, bytes_ = 0, again_ = 0, failed_ = 0, duplicates_ = 0, out_of_order_ = 0, redelivered_ = 0;
  uint64_t found_ = 0, entries_ = 0, sequence_id_ = 0;
  std::map<std::string, uint64_t> last_;  // by key
  int in_flight_ = 0;
  int64_t start_ns_ = 0;
  double cpu_start_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::string error_;
  ThreadLoop loop_{clock_, "traffic"};
};

}  // namespace
}  // namespace fmesh

int main(int count, char** arguments) {
  fmesh::Flags flags;
  CLI::App app("Numbered records over fmesh's Pulsar client");
  app.add_option("VERB", flags.verb)->required()->check(CLI::IsMember({"produce", "consume", "pass"}));
  app.add_option("URL", flags.url)->required();
  app.add_option("TOPIC", flags.topic)->required();
  app.add_option("--web", flags.web);
  app.add_option("--to", flags.to);
  app.add_option("--count", flags.count);
  app.add_option("--first", flags.first);
  app.add_option("--size", flags.size)->check(CLI::Range(32, 1'000'000));
  app.add_option("--rate", flags.rate);
  app.add_option("--keys", flags.keys);
  app.add_option("--seconds", flags.seconds);
  app.add_option("--subscription", flags.subscription);
  app.add_option("--type", flags.type);
  app.add_option("--name", flags.name);
  app.add_option("--token-file", flags.token_file);
  app.add_option("--trust", flags.trust_file);
  app.add_option("--listener", flags.listener);
  app.add_option("--send-timeout-ms", flags.send_timeout_ms);
  app.add_option("--ack-timeout-ms", flags.ack_timeout_ms);
  app.add_option("--nack-every", flags.nack_every);
  app.add_option("--nack-delay-ms", flags.nack_delay_ms);
  app.add_option("--discovery-ms", flags.discovery_ms);
  app.add_option("--forget-every", flags.forget_every);
  app.add_option("--seen-file", flags.seen_file);
  app.add_flag("--deduplicate", flags.deduplicate);
  app.add_flag("--pattern", flags.pattern);
  app.add_flag("--progress", flags.progress);
  CLI11_PARSE(app, count, arguments);
  fmesh::Traffic traffic(flags);
  if (const fmesh::Status opened = traffic.open(); !opened) {
    std::cerr << opened.error().text() << '\n';
    return 2;
  }
  return traffic.run();
}
