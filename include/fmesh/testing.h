// Unit tests of functions without a running fmesh: FakeHost gives a function records and keeps what it did.
//
//   fmesh::testing::FakeHost<Validate> host;
//   host.send(R"({"id":"1","amount":0})");
//   ASSERT_EQ(host.failures().size(), 1u);
//
// Single-threaded; time stands still until set_now_ms().
#pragma once

#include <fmesh/function.h>

#include <map>

namespace fmesh::testing {

struct Written {
  std::string topic;  // empty: the output stream
  std::string payload;
  std::optional<std::string> key;
  int64_t event_time_ms = 0;
  std::map<std::string, std::string> properties;
};

struct Sent {
  std::string payload;
  std::optional<std::string> key = std::nullopt;
  int64_t event_time_ms = 0;
  std::map<std::string, std::string> properties = {};
  std::string topic = "persistent://public/default/input";
  uint32_t redelivery_count = 0;
};

template <class F>
class FakeHost {
 public:
  explicit FakeHost(std::string config = "{}", std::map<std::string, std::string> secrets = {})
      : config_(std::move(config)), secrets_(std::move(secrets)) {
    host_ = table();
    char error[512] = "";
    self_ = detail::Glue<F>::create(&host_, instance(), error);
    if (self_ == nullptr) throw std::runtime_error(error);
  }
  ~FakeHost() { detail::Glue<F>::destroy(self_); }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  void send(std::string payload) {
    Sent record;
    record.payload = std::move(payload);
    send(std::vector<Sent>{std::move(record)});
  }
  void send(const Sent& record) { send(std::vector<Sent>{record}); }
  void send(const std::vector<Sent>& records) {
    const Raw raw(records);
    detail::Glue<F>::process(self_, &batch_.batch, raw.records.data(), raw.records.size());
  }
  void send_window(const std::vector<Sent>& records, int64_t start_ms, int64_t end_ms) {
    const Raw raw(records);
    const fmesh_window window{start_ms, end_ms};
    detail::Glue<F>::process_window(self_, &batch_.batch, raw.records.data(), raw.records.size(), &window);
  }

  const std::vector<Written>& outputs() const { return outputs_; }
  const std::vector<std::string>& failures() const { return failures_; }
  const std::vector<std::string>& logs() const { return logs_; }
  std::map<std::string, std::string>& state() { return state_; }
  std::map<std::string, int64_t>& counters() { return counters_; }
  int acknowledged() const { return acknowledged_; }
  void set_now_ms(int64_t now_ms) { now_ms_ = now_ms; }

 private:
  struct Raw {
    explicit Raw(const std::vector<Sent>& sent) {
      properties.resize(sent.size());
      for (size_t i = 0; i < sent.size(); ++i) {
        for (const auto& [name, value] : sent[i].properties) properties[i].push_back({to_abi(name), to_abi(value)});
        fmesh_record record{};
        record.payload = to_abi(sent[i].payload);
        if (sent[i].key) {
          record.key = to_abi(*sent[i].key);
          record.flags |= FMESH_HAS_KEY;
        }
        record.topic = to_abi(sent[i].topic);
        record.properties = properties[i].data();
        record.property_count = properties[i].size();
        record.event_time_ms = sent[i].event_time_ms;
        record.redelivery_count = sent[i].redelivery_count;
        record.id = {0, static_cast<int64_t>(i), -1, -1};
        records.push_back(record);
      }
    }
    std::vector<std::vector<fmesh_property>> properties;
    std::vector<fmesh_record> records;
  };
  struct FakeBatch {
    fmesh_batch batch{};
    FakeHost* host = nullptr;
  };

  fmesh_instance* instance() { return reinterpret_cast<fmesh_instance*>(this); }
  static FakeHost& of(fmesh_instance* instance) { return *reinterpret_cast<FakeHost*>(instance); }
  static FakeHost& of(fmesh_batch* batch) { return *reinterpret_cast<FakeBatch*>(batch)->host; }

  void written(std::string_view topic, const fmesh_record& record) {
    Written out;
    out.topic = topic;
    out.payload = from_abi(record.payload);
    if ((record.flags & FMESH_HAS_KEY) != 0) out.key = std::string(from_abi(record.key));
    out.event_time_ms = record.event_time_ms;
    for (size_t i = 0; i < record.property_count; ++i)
      out.properties[std::string(from_abi(record.properties[i].key))] = from_abi(record.properties[i].value);
    outputs_.push_back(std::move(out));
  }

  fmesh_host table() {
    batch_.host = this;
    fmesh_host host{};
    host.abi_version = FMESH_ABI_VERSION;
    host.size = sizeof(fmesh_host);
    host.output = [](fmesh_batch* b, size_t, const fmesh_record* r) { of(b).written("", *r); };
    host.publish = [](fmesh_batch* b, size_t, fmesh_bytes topic, const fmesh_record* r) {
      of(b).written(from_abi(topic), *r);
      return 1;
    };
    host.fail = [](fmesh_batch* b, size_t, fmesh_bytes text) { of(b).failures_.emplace_back(from_abi(text)); };
    host.ack = [](fmesh_batch* b, size_t) { ++of(b).acknowledged_; };
    host.ack_id = [](fmesh_batch* b, fmesh_bytes, const fmesh_message_id*) { return ++of(b).acknowledged_, 1; };
    host.state_get = [](fmesh_batch* b, size_t, fmesh_bytes key, fmesh_bytes* value) {
      const auto found = of(b).state_.find(std::string(from_abi(key)));
      if (found == of(b).state_.end()) return 0;
      *value = to_abi(found->second);
      return 1;
    };
    host.state_put = [](fmesh_batch* b, size_t, fmesh_bytes key, fmesh_bytes value) {
      of(b).state_[std::string(from_abi(key))] = from_abi(value);
      return 1;
    };
    host.state_delete = [](fmesh_batch* b, size_t, fmesh_bytes key) {
      of(b).state_.erase(std::string(from_abi(key)));
      return 1;
    };
    host.counter_add = [](fmesh_batch* b, size_t, fmesh_bytes key, int64_t delta, int64_t* value) {
      *value = of(b).counters_[std::string(from_abi(key))] += delta;
      return 1;
    };
    host.error = [](fmesh_batch*) { return to_abi(""); };
    host.log = [](fmesh_instance* i, int, fmesh_bytes text) { of(i).logs_.emplace_back(from_abi(text)); };
    host.metric = [](fmesh_instance*, fmesh_bytes, double) {};
    host.config = [](fmesh_instance* i) { return to_abi(of(i).config_); };
    host.secret = [](fmesh_instance* i, fmesh_bytes name, fmesh_bytes* value) {
      const auto found = of(i).secrets_.find(std::string(from_abi(name)));
      if (found == of(i).secrets_.end()) return 0;
      *value = to_abi(found->second);
      return 1;
    };
    host.now_ms = [](fmesh_instance* i) { return of(i).now_ms_; };
    host.identity = [](fmesh_instance*) {
      return fmesh_identity{to_abi("public"), to_abi("default"), to_abi("test"), 0, 1};
    };
    return host;
  }

  std::string config_;
  std::map<std::string, std::string> secrets_;
  fmesh_host host_{};
  FakeBatch batch_;
  void* self_ = nullptr;
  std::vector<Written> outputs_;
  std::vector<std::string> failures_, logs_;
  std::map<std::string, std::string> state_;
  std::map<std::string, int64_t> counters_;
  int acknowledged_ = 0;
  int64_t now_ms_ = 1'700'000'000'000;
};

}  // namespace fmesh::testing
