// Unit tests of functions without a running fmesh: FakeHost gives a function records and keeps what it did.
//
//   fmesh::testing::FakeHost<Validate> host;
//   host.send(R"({"id":"1","amount":0})");
//   ASSERT_EQ(host.failures().size(), 1u);
//
// As in fmesh, a record that fails leaves nothing behind: its outputs are dropped, its state changes undone; outputs
// without a key, an event time or properties take those of their input record. Other than in fmesh, a failed record is
// not tried again, and every record of a send() is processed even if one before it failed.
//
// Single-threaded; time stands still until set_now_ms().
#pragma once

#include <fmesh/function.h>
#include <fmesh/json_path.h>

#include <algorithm>
#include <map>

namespace fmesh::testing {

// What fmesh takes, too.
inline constexpr size_t kStateKeySizeMaxBytes = 4 * 1024;
inline constexpr size_t kStateValueSizeMaxBytes = 1024 * 1024;

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
    begin(raw, false);
    detail::Glue<F>::process(self_, &batch_.batch, raw.records.data(), raw.records.size());
    finish();
  }
  void send_window(const std::vector<Sent>& records, int64_t start_ms, int64_t end_ms) {
    const Raw raw(records);
    const fmesh_window window{start_ms, end_ms};
    begin(raw, true);
    detail::Glue<F>::process_window(self_, &batch_.batch, raw.records.data(), raw.records.size(), &window);
    finish();
  }

  const std::vector<Written>& outputs() const { return outputs_; }
  const std::vector<std::string>& failures() const { return failures_; }
  const std::vector<std::string>& logs() const { return logs_; }
  // The values of each metric, in order.
  const std::map<std::string, std::vector<double>>& metrics() const { return metrics_; }
  // Counters are in it too, as 8 bytes.
  std::map<std::string, std::string>& state() { return state_; }
  // 0 if there is none.
  int64_t counter(const std::string& key) const {
    const auto found = state_.find(key);
    return found == state_.end() ? 0 : decode_counter(found->second).value_or(0);
  }
  void set_counter(const std::string& key, int64_t value) { state_[key] = encode_counter(value); }
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

  // What one record caused, until it is known whether it failed.
  struct Effects {
    std::vector<Written> outputs;
    std::vector<std::pair<std::string, std::optional<std::string>>> before;  // state, to be put back
    int acknowledged = 0;
    bool failed = false;
  };

  void begin(const Raw& raw, bool is_window) {
    raw_ = &raw;
    is_window_ = is_window;
    effects_.assign(raw.records.size(), Effects());
    order_.clear();
  }

  void finish() {
    for (const size_t index : order_) {
      Effects& effects = effects_[index];
      if (effects.failed) continue;
      acknowledged_ += effects.acknowledged;
      for (Written& output : effects.outputs) outputs_.push_back(std::move(output));
    }
    raw_ = nullptr;
    effects_.clear();
  }

  // The effects of a record; null if it failed, or is none of this batch. All of a window count as one.
  Effects* turn_to(size_t index) {
    if (index >= effects_.size()) {
      error_ =
          "the function named record " + std::to_string(index) + " of a batch of " + std::to_string(effects_.size());
      if (!effects_.empty()) fail(std::min(batch_.batch.current, effects_.size() - 1), error_);
      return nullptr;
    }
    if (is_window_) index = 0;
    if (std::find(order_.begin(), order_.end(), index) == order_.end()) order_.push_back(index);
    return effects_[index].failed ? nullptr : &effects_[index];
  }

  void fail(size_t index, std::string_view text) {
    Effects* const effects = turn_to(index);
    if (effects == nullptr) return;
    for (auto change = effects->before.rbegin(); change != effects->before.rend(); ++change)
      set_state(change->first, change->second);
    *effects = Effects();
    effects->failed = true;
    failures_.emplace_back(text);
  }

  void set_state(const std::string& key, const std::optional<std::string>& value) {
    if (value) {
      state_[key] = *value;
    } else {
      state_.erase(key);
    }
  }

  int change_state(size_t index, std::string_view name, const std::optional<std::string>& value) {
    if (index >= effects_.size()) return turn_to(index), -1;
    if (name.size() > kStateKeySizeMaxBytes || (value && value->size() > kStateValueSizeMaxBytes)) {
      error_ = "a state key has at most 4 KiB and its value at most 1 MiB; found " + std::to_string(name.size()) +
               " and " + std::to_string(value ? value->size() : 0) + " bytes";
      return -1;
    }
    Effects* const effects = turn_to(index);
    if (effects == nullptr) return 1;
    const std::string key(name);
    const auto found = state_.find(key);
    effects->before.emplace_back(key, found == state_.end() ? std::nullopt : std::optional(found->second));
    set_state(key, value);
    return 1;
  }

  int add_to_counter(size_t index, std::string_view key, int64_t delta, int64_t& value) {
    const auto found = state_.find(std::string(key));
    const std::optional<int64_t> old = found == state_.end() ? 0 : decode_counter(found->second);
    if (!old) {
      error_ = "the state of key \"" + std::string(key) + "\" is not a counter: it holds " +
               std::to_string(found->second.size()) + " bytes, expected 8";
      return -1;
    }
    value = static_cast<int64_t>(static_cast<uint64_t>(*old) + static_cast<uint64_t>(delta));
    return delta == 0 ? 1 : change_state(index, key, encode_counter(value));
  }

  // As fmesh keeps them: 8 bytes, the highest first.
  static std::string encode_counter(int64_t value) {
    std::string bytes(8, '\0');
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(value) >> (56 - 8 * i));
    return bytes;
  }
  static std::optional<int64_t> decode_counter(std::string_view bytes) {
    if (bytes.size() != 8) return std::nullopt;
    uint64_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
    return static_cast<int64_t>(value);
  }

  int written(size_t index, std::string_view topic, const fmesh_record& record) {
    if (index >= effects_.size()) return turn_to(index), -1;
    Effects* const effects = turn_to(index);
    if (effects == nullptr) return 1;
    // A window has no one record whose key and properties an output could take.
    const fmesh_record none{};
    const fmesh_record& input = is_window_ ? none : raw_->records[index];
    const fmesh_record& keyed = (record.flags & FMESH_HAS_KEY) != 0 ? record : input;
    const fmesh_record& described = record.property_count != 0 ? record : input;
    Written out;
    out.topic = topic;
    out.payload = from_abi(record.payload);
    if ((keyed.flags & FMESH_HAS_KEY) != 0) out.key = std::string(from_abi(keyed.key));
    out.event_time_ms = record.event_time_ms != 0 ? record.event_time_ms : raw_->records[index].event_time_ms;
    for (size_t i = 0; i < described.property_count; ++i)
      out.properties[std::string(from_abi(described.properties[i].key))] = from_abi(described.properties[i].value);
    effects->outputs.push_back(std::move(out));
    return 1;
  }

  template <class Body>
  static int guarded_json(fmesh_batch* b, fmesh_bytes* result, Body&& body) {
    FakeHost& host = of(b);
    try {
      std::string made = body();  // it may read the text of the last call
      host.text_ = std::move(made);
    } catch (const JsonError& error) {
      host.error_ = error.what();
      return -1;
    }
    *result = to_abi(host.text_);
    return 1;
  }

  static fmesh_json to_json(const json::Value& value) {
    return {static_cast<fmesh_json_type>(value.type), to_abi(value.raw)};
  }

  // Every entry of the table is there, so that functions in C can be tested through it as well.
  fmesh_host table() {
    batch_.host = this;
    fmesh_host host{};
    host.abi_version = FMESH_ABI_VERSION;
    host.size = sizeof(fmesh_host);
    add_effects(host);
    add_state(host);
    add_instance(host);
    add_json(host);
    return host;
  }

  static void add_effects(fmesh_host& host) {
    host.output = [](fmesh_batch* b, size_t index, const fmesh_record* r) { of(b).written(index, "", *r); };
    host.publish = [](fmesh_batch* b, size_t index, fmesh_bytes topic, const fmesh_record* r) {
      return of(b).written(index, from_abi(topic), *r);
    };
    host.fail = [](fmesh_batch* b, size_t index, fmesh_bytes text) { of(b).fail(index, from_abi(text)); };
    host.ack = [](fmesh_batch* b, size_t index) {
      if (Effects* const effects = of(b).turn_to(index)) ++effects->acknowledged;
    };
    host.ack_id = [](fmesh_batch* b, fmesh_bytes, const fmesh_message_id*) { return ++of(b).acknowledged_, 1; };
    host.error = [](fmesh_batch* b) { return to_abi(of(b).error_); };
  }

  static void add_state(fmesh_host& host) {
    host.state_get = [](fmesh_batch* b, size_t index, fmesh_bytes key, fmesh_bytes* value) {
      if (index >= of(b).effects_.size()) return of(b).turn_to(index), -1;
      const auto found = of(b).state_.find(std::string(from_abi(key)));
      if (found == of(b).state_.end()) return 0;
      of(b).value_ = found->second;
      *value = to_abi(of(b).value_);
      return 1;
    };
    host.state_put = [](fmesh_batch* b, size_t index, fmesh_bytes key, fmesh_bytes value) {
      return of(b).change_state(index, from_abi(key), std::string(from_abi(value)));
    };
    host.state_delete = [](fmesh_batch* b, size_t index, fmesh_bytes key) {
      return of(b).change_state(index, from_abi(key), std::nullopt);
    };
    host.counter_add = [](fmesh_batch* b, size_t index, fmesh_bytes key, int64_t delta, int64_t* value) {
      return of(b).add_to_counter(index, from_abi(key), delta, *value);
    };
  }

  static void add_instance(fmesh_host& host) {
    host.log = [](fmesh_instance* i, int, fmesh_bytes text) { of(i).logs_.emplace_back(from_abi(text)); };
    host.metric = [](fmesh_instance* i, fmesh_bytes name, double value) {
      of(i).metrics_[std::string(from_abi(name))].push_back(value);
    };
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
    host.streams = [](fmesh_instance*) {
      static const fmesh_bytes inputs[] = {to_abi("persistent://public/default/input")};
      return fmesh_streams{inputs, 1, to_abi("persistent://public/default/output")};
    };
  }

  static void add_json(fmesh_host& host) {
    host.json_get = [](fmesh_bytes text, fmesh_bytes path) {
      return to_json(json::find(from_abi(text), from_abi(path)));
    };
    host.json_next = [](fmesh_bytes container, size_t* cursor, fmesh_bytes* key, fmesh_json* value) {
      std::string_view name;
      json::Value found;
      const int more = json::next(from_abi(container), *cursor, name, found);
      *key = to_abi(name);
      *value = to_json(found);
      return more;
    };
    host.json_set = [](fmesh_batch* b, fmesh_bytes text, fmesh_bytes path, fmesh_bytes value, fmesh_bytes* result) {
      return guarded_json(b, result, [&] {
        std::string changed;
        json::set(changed, from_abi(text), from_abi(path), from_abi(value));
        return changed;
      });
    };
    host.json_text = [](fmesh_batch* b, fmesh_bytes raw, fmesh_bytes* result) {
      return guarded_json(b, result, [&] { return json::parse<std::string>(from_abi(raw)); });
    };
  }

  std::string config_;
  std::map<std::string, std::string> secrets_;
  fmesh_host host_{};
  FakeBatch batch_;
  void* self_ = nullptr;
  const Raw* raw_ = nullptr;  // of the send() at work
  bool is_window_ = false;
  std::vector<Effects> effects_;  // by record
  std::vector<size_t> order_;     // of the first effect
  std::vector<Written> outputs_;
  std::vector<std::string> failures_, logs_;
  std::map<std::string, std::vector<double>> metrics_;
  std::map<std::string, std::string> state_;
  std::string error_, value_, text_;
  int acknowledged_ = 0;
  int64_t now_ms_ = 1'700'000'000'000;
};

}  // namespace fmesh::testing
