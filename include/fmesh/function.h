// Functions in C++: derive from Function<In, Out>, BatchFunction or WindowFunction<In, Out>, and export them.
//
//   struct Validate : fmesh::Function<Order, Order> {
//     std::optional<Order> process(const Order& order, fmesh::Context& context) override {
//       if (order.amount <= 0) throw std::invalid_argument("amount must be positive");
//       return order;
//     }
//   };
//   FMESH_FUNCTIONS(fmesh::function<Validate>("validate"))
//
// Payload types: std::string and std::string_view (bytes as they are), and structs described with FMESH_JSON. An
// exception fails the record: it is tried again, and goes to the dead-letter stream once maxMessageRetry is reached.
// One object serves one instance; its calls never overlap. A view that process() was given is valid during that call.
#pragma once

#include <fmesh/abi.h>
#include <fmesh/json.h>
#include <fmesh/json_path.h>

#include <array>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fmesh {

inline fmesh_bytes to_abi(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view from_abi(fmesh_bytes bytes) { return {bytes.data, bytes.size}; }

// Nothing is written for Out = Nothing.
struct Nothing {};

// What fmesh could not do for a function, e.g. store a value that is too large.
class HostError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An output with a key, an event time or properties of its own. Those that are not set come from the input record.
template <class T>
struct Record {
  T value;
  std::optional<std::string> key;
  int64_t event_time_ms = 0;
  std::vector<std::pair<std::string, std::string>> properties;
};

// The record at work.
class Input {
 public:
  explicit Input(const fmesh_record& record) : record_(&record) {}
  std::string_view payload() const { return from_abi(record_->payload); }
  bool has_key() const { return (record_->flags & FMESH_HAS_KEY) != 0; }
  std::string_view key() const { return from_abi(record_->key); }
  bool is_tombstone() const { return (record_->flags & FMESH_NULL_VALUE) != 0; }
  int64_t event_time_ms() const { return record_->event_time_ms; }
  int64_t publish_time_ms() const { return record_->publish_time_ms; }
  std::string_view topic() const { return from_abi(record_->topic); }
  const fmesh_message_id& id() const { return record_->id; }
  uint32_t redelivery_count() const { return record_->redelivery_count; }
  std::optional<std::string_view> property(std::string_view name) const {
    for (size_t i = 0; i < record_->property_count; ++i)
      if (from_abi(record_->properties[i].key) == name) return from_abi(record_->properties[i].value);
    return std::nullopt;
  }
  const fmesh_record& raw() const { return *record_; }

 private:
  const fmesh_record* record_;
};

namespace detail {

template <class T>
T decode(std::string_view payload) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return payload;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return std::string(payload);
  } else {
    return json::parse<T>(payload);
  }
}

// The payload of `value`; `buffer` holds it if it had to be made.
template <class T>
std::string_view encode(const T& value, std::string& buffer) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return std::string_view(value);
  } else {
    buffer.clear();
    json::write(buffer, value);
    return buffer;
  }
}

template <class T>
struct IsRecord : std::false_type {};
template <class T>
struct IsRecord<Record<T>> : std::true_type {};

}  // namespace detail

// What a function can do beside returning a value. Valid during a call of process().
class Context {
 public:
  Context(const fmesh_host& host, fmesh_instance* instance) : host_(host), instance_(instance) {}

  // The current record. REQUIRES: within process() of a Function.
  Input input() const { return Input(records_[index_]); }

  // A value of funcConfig, read as T (a number, bool, string, described struct, vector ...); `fallback` if it is not
  // there.
  template <class T>
  T config(std::string_view name, T fallback) const {
    const std::optional<std::string_view> text = json::member(from_abi(host_.config(instance_)), name);
    if (!text) return fallback;
    try {
      return json::parse<T>(*text);
    } catch (const JsonError& error) {
      throw JsonError("funcConfig." + std::string(name) + ": " + error.what());
    }
  }
  std::string config_text() const { return std::string(from_abi(host_.config(instance_))); }
  std::optional<std::string> secret(std::string_view name) const {
    fmesh_bytes value{};
    if (host_.secret(instance_, to_abi(name), &value) <= 0) return std::nullopt;
    return std::string(from_abi(value));
  }

  // Writes to the output stream; for functions that write several records or none.
  template <class T>
  void output(const T& value) {
    with_record(value, [this](const fmesh_record& record) { host_.output(batch_, index_, &record); });
  }
  // Writes to any stream, which is made if it is not there.
  template <class T>
  void publish(std::string_view topic, const T& value) {
    with_record(value, [&](const fmesh_record& record) {
      check(host_.publish(batch_, index_, to_abi(topic), &record), "publish");
    });
  }

  // State is shared by all instances of the function and changes together with the outputs of the record.
  std::optional<std::string> get_state(std::string_view key) {
    fmesh_bytes value{};
    if (check(host_.state_get(batch_, index_, to_abi(key), &value), "get state") == 0) return std::nullopt;
    return std::string(from_abi(value));
  }
  template <class T>
  std::optional<T> get_state_as(std::string_view key) {
    const std::optional<std::string> text = get_state(key);
    if (!text) return std::nullopt;
    return detail::decode<T>(*text);
  }
  template <class T>
  void put_state(std::string_view key, const T& value) {
    check(host_.state_put(batch_, index_, to_abi(key), to_abi(detail::encode(value, buffer_))), "put state");
  }
  void delete_state(std::string_view key) { check(host_.state_delete(batch_, index_, to_abi(key)), "delete state"); }
  // Adds to a counter and returns its new value.
  int64_t add_counter(std::string_view key, int64_t delta) {
    int64_t value = 0;
    check(host_.counter_add(batch_, index_, to_abi(key), delta, &value), "add to a counter");
    return value;
  }
  int64_t counter(std::string_view key) { return add_counter(key, 0); }

  // For processingGuarantee: manual.
  void ack() { host_.ack(batch_, index_); }
  void ack(std::string_view topic, const fmesh_message_id& id) {
    check(host_.ack_id(batch_, to_abi(topic), &id), "ack");
  }

  void debug(std::string_view text) { host_.log(instance_, FMESH_DEBUG, to_abi(text)); }
  void info(std::string_view text) { host_.log(instance_, FMESH_INFO, to_abi(text)); }
  void warn(std::string_view text) { host_.log(instance_, FMESH_WARN, to_abi(text)); }
  void error(std::string_view text) { host_.log(instance_, FMESH_ERROR, to_abi(text)); }
  void metric(std::string_view name, double value) { host_.metric(instance_, to_abi(name), value); }

  int64_t now_ms() const { return host_.now_ms(instance_); }
  std::string_view tenant() const { return from_abi(host_.identity(instance_).tenant); }
  std::string_view name_space() const { return from_abi(host_.identity(instance_).name_space); }
  std::string_view name() const { return from_abi(host_.identity(instance_).name); }
  int32_t instance_id() const { return host_.identity(instance_).instance_id; }
  int32_t instance_count() const { return host_.identity(instance_).instance_count; }

  // Used by the glue below and by tests.
  void at(fmesh_batch* batch, const fmesh_record* records, size_t index) {
    batch_ = batch;
    records_ = records;
    index_ = index;
    batch->current = index;
  }
  const fmesh_host& host() const { return host_; }
  fmesh_batch* batch() const { return batch_; }

 private:
  int check(int result, const char* what) {
    if (result < 0) throw HostError(std::string(what) + ": " + std::string(from_abi(host_.error(batch_))));
    return result;
  }
  template <class T, class Use>
  void with_record(const T& value, Use&& use) {
    fmesh_record record{};
    if constexpr (detail::IsRecord<T>::value) {
      std::vector<fmesh_property> properties;
      for (const auto& [name, text] : value.properties) properties.push_back({to_abi(name), to_abi(text)});
      record.payload = to_abi(detail::encode(value.value, buffer_));
      record.event_time_ms = value.event_time_ms;
      record.properties = properties.data();
      record.property_count = properties.size();
      if (value.key) {
        record.key = to_abi(*value.key);
        record.flags |= FMESH_HAS_KEY;
      }
      use(record);
    } else {
      record.payload = to_abi(detail::encode(value, buffer_));
      use(record);
    }
  }

  const fmesh_host& host_;
  fmesh_instance* instance_;
  fmesh_batch* batch_ = nullptr;
  const fmesh_record* records_ = nullptr;
  size_t index_ = 0;
  std::string buffer_;
};

// One record in, at most one out. `In` and `Out`: see the head of this file; Out may also be Record<T> or Nothing.
template <class InType, class OutType>
class Function {
 public:
  using In = InType;
  using Out = OutType;
  virtual ~Function() = default;
  // Once, before the first record. An exception ends the instance's start.
  virtual void open(Context&) {}
  virtual std::optional<Out> process(const In& input, Context& context) = 0;
};

// Several records at once, for functions that gain from it. Use context.at-free calls: `emit` and `fail` name the
// record.
class BatchFunction {
 public:
  class Batch {
   public:
    Batch(Context& context, fmesh_batch* batch, const fmesh_record* records, size_t count)
        : context_(context), batch_(batch), records_(records), count_(count) {}
    size_t size() const { return count_; }
    Input operator[](size_t index) const { return Input(records_[index]); }
    // The context as seen by one record: its outputs, state changes and publishes count as that record's.
    Context& at(size_t index) {
      context_.at(batch_, records_, index);
      return context_;
    }
    void fail(size_t index, std::string_view why) { context_.host().fail(batch_, index, to_abi(why)); }

   private:
    Context& context_;
    fmesh_batch* batch_;
    const fmesh_record* records_;
    size_t count_;
  };
  virtual ~BatchFunction() = default;
  virtual void open(Context&) {}
  virtual void process(Batch& batch) = 0;
};

// The records of one window at once.
template <class InType, class OutType>
class WindowFunction {
 public:
  using In = InType;
  using Out = OutType;
  struct Window {
    int64_t start_ms;
    int64_t end_ms;
    std::vector<Input> inputs;  // as long as `values`
  };
  virtual ~WindowFunction() = default;
  virtual void open(Context&) {}
  virtual std::optional<Out> process(const std::vector<In>& values, const Window& window, Context& context) = 0;
};

namespace detail {

template <class F, template <class, class> class Base>
struct Derives {
  template <class In, class Out>
  static std::true_type test(const Base<In, Out>*);
  static std::false_type test(...);
  static constexpr bool value = decltype(test(static_cast<const F*>(nullptr)))::value;
};

// Runs `body`; an exception fails record `index`.
template <class Body>
void guarded(const fmesh_host& host, fmesh_batch* batch, size_t index, Body&& body) {
  try {
    body();
  } catch (const std::exception& error) {
    host.fail(batch, index, to_abi(error.what()));
  } catch (...) {
    host.fail(batch, index, to_abi("an exception that is no std::exception"));
  }
}

template <class F>
struct Glue {
  struct Self {
    Self(const fmesh_host& host, fmesh_instance* instance) : context(host, instance) {}
    Context context;
    F function;
  };

  static void* create(const fmesh_host* host, fmesh_instance* instance, char* error) {
    try {
      auto self = std::make_unique<Self>(*host, instance);
      self->function.open(self->context);
      return self.release();
    } catch (const std::exception& exception) {
      std::snprintf(error, 512, "%s", exception.what());
    } catch (...) {
      std::snprintf(error, 512, "an exception that is no std::exception");
    }
    return nullptr;
  }
  static void destroy(void* self) { delete static_cast<Self*>(self); }

  template <class Out>
  static void write(Context& context, const std::optional<Out>& out) {
    if constexpr (!std::is_same_v<Out, Nothing>) {
      if (out) context.output(*out);
    }
  }

  static void process(void* opaque, fmesh_batch* batch, const fmesh_record* records, size_t count) {
    Self& self = *static_cast<Self*>(opaque);
    const fmesh_host& host = self.context.host();
    if constexpr (std::is_base_of_v<BatchFunction, F>) {
      BatchFunction::Batch view(self.context, batch, records, count);
      try {
        self.function.process(view);
      } catch (const std::exception& error) {
        for (size_t i = 0; i < count; ++i) host.fail(batch, i, to_abi(error.what()));
      } catch (...) {
        for (size_t i = 0; i < count; ++i) host.fail(batch, i, to_abi("an exception that is no std::exception"));
      }
    } else if constexpr (Derives<F, Function>::value) {
      using In = typename F::In;
      for (size_t i = 0; i < count; ++i) {
        self.context.at(batch, records, i);
        guarded(host, batch, i, [&] {
          write(self.context, self.function.process(decode<In>(from_abi(records[i].payload)), self.context));
        });
      }
    } else {
      for (size_t i = 0; i < count; ++i)
        host.fail(batch, i, to_abi("this function takes windows; set windowConfig in its resource"));
    }
  }

  static void process_window(void* opaque, fmesh_batch* batch, const fmesh_record* records, size_t count,
                             const fmesh_window* window) {
    if constexpr (Derives<F, WindowFunction>::value) {
      Self& self = *static_cast<Self*>(opaque);
      const size_t last = count == 0 ? 0 : count - 1;
      self.context.at(batch, records, last);
      guarded(self.context.host(), batch, last, [&] {
        using In = typename F::In;
        std::vector<In> values;
        typename F::Window view{window->start_ms, window->end_ms, {}};
        values.reserve(count);
        view.inputs.reserve(count);
        for (size_t i = 0; i < count; ++i) {
          batch->current = i;
          values.push_back(decode<In>(from_abi(records[i].payload)));
          view.inputs.emplace_back(records[i]);
        }
        batch->current = last;
        write(self.context, self.function.process(values, view, self.context));
      });
    } else {
      (void)opaque, (void)batch, (void)records, (void)count, (void)window;
    }
  }
};

}  // namespace detail

// An entry of FMESH_FUNCTIONS. `name` is what className in the resource says. FMESH_NON_BLOCKING in `flags` promises
// that the function never waits: no files, no network, no locks, no sleep.
template <class F>
fmesh_function function(const char* name, uint32_t flags = 0) {
  using Glue = detail::Glue<F>;
  fmesh_function entry{};
  entry.size = sizeof(fmesh_function);
  entry.flags = flags;
  if constexpr (std::is_base_of_v<BatchFunction, F>) entry.flags |= FMESH_BATCH;
  entry.name = name;
  entry.create = &Glue::create;
  if constexpr (detail::Derives<F, WindowFunction>::value) {
    entry.process_window = &Glue::process_window;
  } else {
    entry.process = &Glue::process;
  }
  entry.destroy = &Glue::destroy;
  return entry;
}

}  // namespace fmesh

// Exports the functions of a library; once per library.
#define FMESH_FUNCTIONS(...)                                                                        \
  extern "C" FMESH_EXPORT const fmesh_library_table* fmesh_library(void) {                          \
    static const fmesh_function functions[] = {__VA_ARGS__};                                        \
    static const fmesh_library_table table = {FMESH_ABI_VERSION, sizeof(fmesh_library_table),       \
                                              sizeof(functions) / sizeof(functions[0]), functions}; \
    return &table;                                                                                  \
  }
