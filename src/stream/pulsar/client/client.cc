#include <fmt/format.h>
#include <unistd.h>

#include <mutex>
#include <set>
#include <utility>

#include "base/base64.h"
#include "net/io_loop.h"
#include "stream/pulsar/client/admin_streams.h"
#include "stream/pulsar/client/commits.h"
#include "stream/pulsar/client/consumer.h"
#include "stream/pulsar/client/producer.h"
#include "stream/pulsar/client/pulsar.h"
#include "stream/pulsar/client/wait.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar {
namespace {

// Files are read each time, since they rotate.
Result<net::TlsIdentity> identity_of(const PulsarOptions& options, const Authentication& authentication) {
  net::TlsIdentity identity;
  identity.insecure = options.tls_insecure;
  identity.any_name = !options.tls_verify_name;
  FMESH_CHECK(authentication.add_certificate(identity));
  if (options.tls_trust_file.empty()) return identity;
  FMESH_TRY(identity.ca, read_small_file(options.tls_trust_file, "the certificates to trust"));
  return identity;
}

// Connects by TCP, with TLS where the address says so. `authentication` outlives the loop's tasks.
Connect connect_by(net::IoLoop& loop, const PulsarOptions& options, const Authentication& authentication) {
  return [&loop, options, &authentication](const BrokerAddress& address, auto done) {
    net::ConnectOptions how;
    how.host = address.host;
    how.port = address.port;
    how.timeout_ms = options.connection_timeout_ms;
    if (address.tls) {
      auto identity = identity_of(options, authentication);
      if (!identity) {
        return loop.post([done = std::move(done), why = identity.error()] { done(fail(why)); });
      }
      how.tls = *std::move(identity);
    }
    net::connect_stream(loop, std::move(how), std::move(done));
  };
}

class PulsarClient final : public Client {
 public:
  PulsarClient(std::unique_ptr<SystemClock> clock, std::unique_ptr<net::IoLoop> loop, std::shared_ptr<Parts> parts)
      : clock_(std::move(clock)),
        loop_(std::move(loop)),
        parts_(std::move(parts)),
        commits_(std::make_shared<Commits>(parts_)) {}

  // Acknowledgements that wait go out first; appends that have no receipt end with kClosed.
  ~PulsarClient() override {
    static_cast<void>(wait_on_loop<void>(parts_, "close", 0, [this](std::function<void(Status)> done) {
      for (const auto& consumer : consumers_) {
        if (const auto core = consumer.lock()) core->close();
      }
      for (const auto& producer : producers_) {
        if (const auto alive = producer.lock()) alive->close();
      }
      // Once what was written has left.
      parts_->loop.post_after(kCloseLingerMs, [this, done = std::move(done)] {
        parts_->pool.close(Error(ErrorKind::kClosed, "the client is closed"));
        admin_ = nullptr;
        done({});
      });
    }));
    parts_->loop_ended = true;
    loop_->stop();
  }

  bool atomic() const override { return false; }
  bool opening_waits() const override { return true; }
  bool deals_whole_entries() const override { return true; }

  Status create_stream(const std::string& topic, const StreamOptions& options) override {
    FMESH_TRY(AdminStreams* const admin, admin_for("make streams"));
    return admin->create(topic, options);
  }
  Status delete_stream(const std::string& topic) override {
    FMESH_TRY(AdminStreams* const admin, admin_for("delete streams"));
    return admin->remove(topic);
  }
  Result<std::vector<StreamInfo>> list_streams() override {
    FMESH_TRY(AdminStreams* const admin, admin_for("list streams"));
    return admin->list();
  }
  Status compact_stream(const std::string& topic, const std::string& subscription,
                        const std::function<bool()>& stopped) override {
    FMESH_TRY(AdminStreams* const admin, admin_for("compact streams"));
    return admin->compact(topic, subscription, stopped);
  }
  Status delete_subscription(const std::string& topic, const std::string& subscription) override {
    FMESH_TRY(AdminStreams* const admin, admin_for("delete subscriptions"));
    return admin->remove_subscription(topic, subscription);
  }

  Result<std::shared_ptr<Producer>> open_producer(ProducerOptions options) override {
    FMESH_TRY(const TopicName topic, TopicName::parse(options.topic));
    options.topic = topic.full();
    if (options.deduplicate && options.name.empty()) {
      return fail(ErrorKind::kFixInput, "a producer that deduplicates needs a name");
    }
    if (options.deduplicate) FMESH_CHECK(deduplicate(options.topic));
    return open_one(options);
  }

  Result<std::shared_ptr<Consumer>> open_consumer(ConsumerOptions options) override {
    for (std::string& text : options.topics) {
      FMESH_TRY(const TopicName topic, TopicName::parse(text));
      text = topic.full();
    }
    if (options.subscription.empty()) return fail(ErrorKind::kFixInput, "a consumer needs the name of a subscription");
    using Core = std::shared_ptr<ConsumerCore>;
    FMESH_TRY(Core core, wait_on_loop<Core>(parts_, "open a consumer of subscription " + options.subscription,
                                            2 * parts_->options.operation_timeout_ms,
                                            [this, options](std::function<void(Result<Core>)> done) {
                                              open_core(options, std::move(done));
                                            }));
    return std::make_shared<PulsarConsumer>(std::move(core));
  }

  Result<std::shared_ptr<StateTable>> open_state(const std::string& name) override {
    return fail(ErrorKind::kFixInput,
                "state of " + name + ": it is not kept on Pulsar yet; run this function on the embedded log");
  }

  void commit(Commit commit, std::function<void(Result<Receipt>)> done) override {
    Commits::submit(commits_, std::move(commit), std::move(done));
  }

 private:
  static constexpr int64_t kCloseLingerMs = 50;

  Result<AdminStreams*> admin_for(const char* what) {
    const std::lock_guard lock(admin_mutex_);
    if (admin_) return admin_.get();
    if (parts_->options.web_service_url.empty()) {
      return fail(ErrorKind::kFixInput,
                  fmt::format("{}: Pulsar does that through its admin API; give its address as well", what));
    }
    AdminStreamsOptions options;
    options.url = parts_->options.web_service_url;
    FMESH_TRY(options.tls, identity_of(parts_->options, *parts_->authentication));
    options.authorization = [this] { return authorization(); };
    FMESH_TRY(admin_, AdminStreams::make(*loop_, std::move(options)));
    return admin_.get();
  }

  Result<std::shared_ptr<Producer>> open_one(const ProducerOptions& options) {
    FMESH_TRY(std::shared_ptr<PulsarProducer> producer,
              wait_on_loop<std::shared_ptr<PulsarProducer>>(
                  parts_, "open a producer of " + options.topic, 2 * parts_->options.operation_timeout_ms,
                  [this, options](PulsarProducer::Opened done) {
                    PulsarProducer::open(parts_, options, [this, done = std::move(done)](auto opened) {
                      if (opened) remember(producers_, std::weak_ptr(*opened));
                      done(std::move(opened));
                    });
                  }));
    return producer;
  }

  // Switches deduplication on for a topic, once.
  Status deduplicate(const std::string& topic) {
    {
      const std::lock_guard lock(admin_mutex_);
      if (deduplicated_.contains(topic)) return {};
    }
    // Makes the topic as brokers make topics.
    ProducerOptions plain;
    plain.topic = topic;
    FMESH_TRY([[maybe_unused]] const std::shared_ptr<Producer> maker, open_one(plain));
    FMESH_TRY(AdminStreams* const admin, admin_for("switch deduplication on, which effectively once needs"));
    FMESH_CHECK(admin->deduplicate(topic));
    const std::lock_guard lock(admin_mutex_);
    deduplicated_.insert(topic);
    return {};
  }

  Result<std::string> authorization() {
    const std::string method = parts_->authentication->method();
    if (method != "token" && method != "basic") return std::string();
    FMESH_TRY(const std::string data,
              wait_on_loop<std::string>(parts_, "authenticate", parts_->options.operation_timeout_ms,
                                        [this](std::function<void(Result<std::string>)> done) {
                                          parts_->authentication->data(std::move(done));
                                        }));
    return method == "token" ? "Bearer " + data : "Basic " + encode_base64(data);
  }

  template <class T>
  static void remember(std::vector<std::weak_ptr<T>>& known, std::weak_ptr<T> one) {
    std::erase_if(known, [](const std::weak_ptr<T>& old) { return old.expired(); });
    known.push_back(std::move(one));
  }

  void open_core(ConsumerOptions options, std::function<void(Result<std::shared_ptr<ConsumerCore>>)> done) {
    // Names tell consumers of a subscription apart; readers must not meet under one subscription.
    const std::string random = fmt::format("{:010x}", parts_->rng.next() & 0xffffffffff);
    if (options.name.empty()) options.name = random;
    if (options.read_only) {
      options.subscription += "-" + random;
      options.type = SubscriptionType::kExclusive;
    }
    const auto core = std::make_shared<ConsumerCore>(parts_, std::move(options));
    remember(consumers_, std::weak_ptr(core));
    core->inbox().set_refill([weak = std::weak_ptr(core), parts = parts_] {
      const auto alive = weak.lock();
      if (alive && !alive->counts().is_refilling.exchange(true)) parts->loop.post([alive] { alive->polled(); });
    });
    core->open([core, done = std::move(done)](const Status& status) {
      if (!status) return done(fail(status.error()));
      done(core);
    });
  }

  const std::unique_ptr<SystemClock> clock_;
  const std::unique_ptr<net::IoLoop> loop_;
  const std::shared_ptr<Parts> parts_;
  const std::shared_ptr<Commits> commits_;
  std::mutex admin_mutex_;
  std::unique_ptr<AdminStreams> admin_;  // made when it is first needed
  std::set<std::string> deduplicated_;   // topics; as many as this process writes
  // --- on the loop ---
  std::vector<std::weak_ptr<PulsarProducer>> producers_;
  std::vector<std::weak_ptr<ConsumerCore>> consumers_;
};

}  // namespace

Result<std::unique_ptr<Client>> open_pulsar(PulsarOptions options) {
  FMESH_TRY(std::vector<BrokerAddress> service, parse_service_url(options.service_url));
  const bool is_described = options.schema == SchemaType::kJson || options.schema == SchemaType::kAvro;
  if (is_described && options.schema_definition.empty()) {
    return fail(ErrorKind::kFixInput, "a schema of JSON or Avro needs the Avro record that describes it");
  }
  auto clock = std::make_unique<SystemClock>();
  auto loop = net::IoLoop::start(*clock, "pulsar");
  FMESH_TRY(std::unique_ptr<Authentication> authentication,
            Authentication::make(loop.get(), options.auth_plugin, options.auth_params));
  Connect connect = connect_by(*loop, options, *authentication);
  // Not secret: it only has to differ from that of others who start at the same time.
  const uint64_t seed = (static_cast<uint64_t>(clock->wall_ms()) << 20) ^ static_cast<uint64_t>(clock->monotonic_ns()) ^
                        (static_cast<uint64_t>(::getpid()) << 44);
  auto parts = std::make_shared<Parts>(*loop, std::move(options), std::move(authentication), std::move(connect),
                                       std::move(service), seed);
  return std::make_unique<PulsarClient>(std::move(clock), std::move(loop), std::move(parts));
}

}  // namespace fmesh::stream::pulsar
