#include "runtime/native/native_logic.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "runtime/consumer_options.h"
#include "runtime/crash_note.h"
#include "runtime/native/host_table.h"
#include "runtime/native/library.h"

namespace fmesh::runtime {
namespace {

// A record that killed the process so often is not given to its function again if failing it leads somewhere. Less than
// the parent's limit, so that a record with maxMessageRetry never ends a run.
constexpr int kDeathsUntilRefused = 3;
constexpr size_t kErrorBytes = 512;  // what abi.h promises to create()

// The records of a call as the ABI spells them.
struct Translated {
  std::vector<fmesh_record> records;
  std::vector<fmesh_property> properties;
};
// Kept from call to call up to so many records; a window may have far more.
constexpr size_t kRecordsKeptMax = 8'192;
// One per thread and not per function: thousands of functions may be loaded.
thread_local Translated scratch;

const std::vector<fmesh_record>& translate(std::span<const LogicRecord> records) {
  auto& [to_records, to_properties] = scratch;
  if (to_records.capacity() > kRecordsKeptMax) scratch = {};
  size_t property_count = 0;
  for (const LogicRecord& record : records) property_count += record.record.properties.size();
  to_properties.clear();
  to_properties.reserve(property_count);  // pointers into it stay valid
  to_records.clear();
  to_records.reserve(records.size());
  for (const LogicRecord& input : records) {
    const stream::RecordView& from = input.record;
    fmesh_record& to = to_records.emplace_back();
    to.payload = to_c(from.payload);
    to.key = to_c(from.key);
    to.ordering_key = to_c(from.ordering_key);
    to.topic = to_c(input.topic);
    to.properties = to_properties.data() + to_properties.size();
    to.property_count = from.properties.size();
    for (const stream::Property& property : from.properties)
      to_properties.push_back({to_c(property.key), to_c(property.value)});
    to.event_time_ms = from.event_time_ms;
    to.publish_time_ms = from.publish_time_ms;
    to.sequence_id = from.sequence_id;
    to.id = {input.id.ledger, input.id.entry, input.id.partition, input.id.batch_index};
    to.redelivery_count = input.redelivery_count;
    if (from.has_key) to.flags |= FMESH_HAS_KEY;
    if (from.null_value) to.flags |= FMESH_NULL_VALUE;
  }
  return to_records;
}

// A part of a batch: index 0 of it is index `first` of the whole.
class PartOfBatch final : public BatchContext {
 public:
  PartOfBatch(BatchContext& whole, size_t first) : whole_(whole), first_(first) {}
  void output(size_t index, const stream::RecordView& record) override { whole_.output(first_ + index, record); }
  Status publish(size_t index, std::string_view topic, const stream::RecordView& record) override {
    return whole_.publish(first_ + index, topic, record);
  }
  void failed(size_t index, std::string_view text) override { whole_.failed(first_ + index, text); }
  void ack(size_t index) override { whole_.ack(first_ + index); }
  Status ack(std::string_view topic, const stream::MessageId& id) override { return whole_.ack(topic, id); }
  Result<std::optional<std::string>> state_get(size_t index, std::string_view key) override {
    return whole_.state_get(first_ + index, key);
  }
  Status state_put(size_t index, std::string_view key, std::optional<std::string_view> value) override {
    return whole_.state_put(first_ + index, key, value);
  }
  Result<int64_t> counter_add(size_t index, std::string_view key, int64_t delta) override {
    return whole_.counter_add(first_ + index, key, delta);
  }

 private:
  BatchContext& whole_;
  const size_t first_;
};

class NativeLogic final : public Logic {
 public:
  NativeLogic(const fmesh_function& function, const model::InstanceSpec& spec)
      : function_(function),
        component_(spec.component),
        instance_id_(spec.instance_id),
        max_retries_(retry_policy(spec.details).max_retries),
        library_note_(component_.c_str(), reinterpret_cast<const void*>(function.create)),
        suspects_(suspects_of(component_)) {}
  ~NativeLogic() override { close(); }

  bool non_blocking() const override { return (function_.flags & FMESH_NON_BLOCKING) != 0; }
  bool takes_batches() const override { return (function_.flags & FMESH_BATCH) != 0; }

  Status open(LogicContext& context) override {
    instance_.context = &context;
    instance_.inputs.clear();
    for (const std::string& input : context.inputs()) instance_.inputs.push_back(to_c(input));
    char error[kErrorBytes] = "";
    const WorkNote note{component_.c_str(), instance_id_, {}, nullptr};
    const WorkNoteScope scope(note);
    try {
      self_ = function_.create(&host_table(), &instance_, error);
    } catch (const std::exception& exception) {
      return refused(exception.what());
    } catch (...) {
      return refused("an exception that is no std::exception");
    }
    error[kErrorBytes - 1] = '\0';
    if (self_ == nullptr) return refused(error[0] != '\0' ? error : "it does not say why");
    return {};
  }

  void process(std::span<const LogicRecord> records, BatchContext& batch) override {
    if (records.empty()) return;
    size_t begin = 0;
    for (size_t i = 0; i < records.size() && !suspects_.empty(); ++i) {
      const auto suspect = suspect_at(records[i]);
      if (suspect == suspects_.end()) continue;
      const bool refused = is_refused(*suspect);
      // The second time it comes with others only where order does not matter; they have had their chance.
      if ((i == 0 || set_apart_.contains(suspect->id)) && !refused) {
        suspects_.erase(suspect);  // if the process survives it this time, it is none
        continue;
      }
      // What came before becomes durable now, and the record is next.
      set_apart_.insert(suspect->id);
      call(records.subspan(begin, i - begin), begin, batch);
      batch.failed(i, fmt::format("the process died {} time{} at this record; it is {}", suspect->deaths,
                                  suspect->deaths == 1 ? "" : "s", refused ? "not tried again" : "tried on its own"));
      begin = i + 1;
    }
    call(records.subspan(begin), begin, batch);
  }

  void process_window(std::span<const LogicRecord> records, const WindowInfo& window, BatchContext& batch) override {
    if (records.empty()) return;
    const fmesh_window bounds{window.start_ms, window.end_ms};
    const std::vector<fmesh_record>& given = translate(records);
    run(records, batch,
        [&](NativeCall& call) { function_.process_window(self_, &call, given.data(), given.size(), &bounds); });
  }

  void close() override {
    if (self_ == nullptr) return;
    const WorkNote note{component_.c_str(), instance_id_, {}, nullptr};
    const WorkNoteScope scope(note);
    try {
      function_.destroy(std::exchange(self_, nullptr));
    } catch (...) {
      instance_.context->log("error", "the function threw an exception while it was closed");
    }
  }

 private:
  std::vector<Suspect>::iterator suspect_at(const LogicRecord& record) {
    return std::find_if(suspects_.begin(), suspects_.end(),
                        [&](const Suspect& one) { return one.id == record.id && one.topic == record.topic; });
  }

  // Each death counts as a try.
  bool is_refused(const Suspect& suspect) const {
    return max_retries_ >= 0 && (suspect.deaths > max_retries_ || suspect.deaths >= kDeathsUntilRefused);
  }

  // `records` begin at index `first` of the batch.
  void call(std::span<const LogicRecord> records, size_t first, BatchContext& batch) {
    if (records.empty()) return;
    const std::vector<fmesh_record>& given = translate(records);
    const auto body = [&](NativeCall& call) { function_.process(self_, &call, given.data(), given.size()); };
    if (first == 0) return run(records, batch, body);
    PartOfBatch part(batch, first);
    run(records, part, body);
  }

  Status refused(const std::string& why) const {
    return fail(ErrorKind::kFixInput,
                fmt::format("function {} of {} did not start: {}", function_.name, component_, why));
  }

  template <class Body>
  void run(std::span<const LogicRecord> records, BatchContext& batch, Body&& body) {
    NativeCall call(batch, records);
    const WorkNote note{component_.c_str(), instance_id_, records, &call.current};
    const WorkNoteScope scope(note);
    std::string thrown;
    try {
      body(call);
      return;
    } catch (const std::exception& exception) {
      thrown = exception.what();
    } catch (...) {
      thrown = "an exception that is no std::exception";
    }
    // The C++ layer lets nothing through; a library without it may. Which records it had finished is not known.
    for (size_t i = 0; i < records.size(); ++i) batch.failed(i, "an exception left the function library: " + thrown);
  }

  const fmesh_function& function_;
  const std::string component_;
  const int32_t instance_id_;
  const int max_retries_;  // -1: for ever
  const LibraryNoteScope library_note_;
  std::vector<Suspect> suspects_;
  std::set<stream::MessageId> set_apart_;  // suspects that were failed without a call
  fmesh_instance instance_;
  void* self_ = nullptr;
};

// The plan passes windowConfig on inside the function's configuration, as Pulsar's runtimes expect it.
bool has_windows(const model::InstanceSpec& spec) {
  return spec.details.user_config.find("\"__WINDOWCONFIGS__\"") != std::string::npos;
}

}  // namespace

Result<std::unique_ptr<Logic>> make_native_logic(const model::InstanceSpec& spec, const std::string& cache_directory) {
  FMESH_TRY(const fmesh_library_table* const library, load_library(spec.library_path, cache_directory));
  FMESH_TRY(const fmesh_function* const function, find_function(*library, spec.library_path, spec.details.class_name));
  if (has_windows(spec) && function->process_window == nullptr) {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("function {} takes single records, but its resource has a windowConfig; remove it, or derive "
                    "the function from fmesh::WindowFunction",
                    function->name));
  }
  if (!has_windows(spec) && function->process == nullptr) {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("function {} takes windows, but its resource has no windowConfig; add one", function->name));
  }
  return std::make_unique<NativeLogic>(*function, spec);
}

}  // namespace fmesh::runtime
