#include "runtime/builtin/builtin.h"

#include <boost/json.hpp>
#include <future>
#include <optional>
#include <utility>

#include "runtime/builtin/jq.h"

namespace fmesh::runtime {
namespace {

class Identity final : public Logic {
 public:
  bool non_blocking() const override { return true; }
  Status open(LogicContext&) override { return {}; }
  void process(std::span<const LogicRecord> records, BatchContext& batch) override {
    for (size_t i = 0; i < records.size(); ++i) batch.output(i, records[i].record);
  }
  void process_window(std::span<const LogicRecord> records, const WindowInfo&, BatchContext& batch) override {
    process(records, batch);
  }
  void close() override {}
};

struct JqConfig {
  std::string expression;
  std::optional<std::string> key;
  bool drop_on_error = false;
};

class JqLogic final : public Logic {
 public:
  JqLogic(JqConfig config, bool is_filter) : config_(std::move(config)), is_filter_(is_filter) {}
  bool non_blocking() const override { return true; }

  // libjq binds its whole library anew for each program, some 25 ms of one core. So each expression is compiled once,
  // here, on the worker of its instance: instances start at the same time and no loop waits.
  Status open(LogicContext&) override {
    std::future<Result<std::unique_ptr<JqProgram>>> key;
    if (config_.key) key = std::async(std::launch::async, [this] { return JqProgram::compile(*config_.key); });
    auto expression = JqProgram::compile(config_.expression);
    if (config_.key) {
      auto compiled = key.get();
      if (!compiled) return fail(std::move(compiled).error().within("funcConfig.key"));
      key_ = std::move(*compiled);
    }
    if (!expression) return fail(std::move(expression).error().within("funcConfig.expression"));
    expression_ = std::move(*expression);
    return {};
  }

  void process(std::span<const LogicRecord> records, BatchContext& batch) override {
    for (size_t i = 0; i < records.size(); ++i) {
      const Status status = is_filter_ ? filter(i, records[i], batch) : map(i, records[i], batch);
      if (!status && !config_.drop_on_error) batch.failed(i, status.error().text());
    }
  }

  // A window is mapped as the array of its payloads.
  void process_window(std::span<const LogicRecord> records, const WindowInfo&, BatchContext& batch) override {
    std::string all = "[";
    for (const LogicRecord& record : records) {
      if (all.size() > 1) all += ',';
      all += record.record.payload;
    }
    all += ']';
    LogicRecord window;
    window.record.payload = all;
    if (!records.empty()) window.record.event_time_ms = records.back().record.event_time_ms;
    const size_t index = records.size() - 1;
    const Status status = map(index, window, batch);
    if (!status && !config_.drop_on_error) batch.failed(index, status.error().text());
  }

  void close() override {
    expression_.reset();
    key_.reset();
  }

 private:
  Status filter(size_t index, const LogicRecord& record, BatchContext& batch) {
    bool pass = false;
    FMESH_CHECK(expression_->run(record.record.payload,
                                 [&](std::string_view result) { pass = result != "false" && result != "null"; }));
    if (pass) batch.output(index, record.record);
    return {};
  }

  Status map(size_t index, const LogicRecord& record, BatchContext& batch) {
    Status key_status;
    FMESH_CHECK(expression_->run(record.record.payload, [&](std::string_view result) {
      stream::RecordView out;
      out.payload = result;
      out.event_time_ms = record.record.event_time_ms;
      std::string key;
      if (key_ && key_status) {
        key_status = key_->run(result, [&](std::string_view value) { key = value; });
        // A string key is the string itself, not its JSON form.
        if (key.size() >= 2 && key.front() == '"') key = boost::json::parse(key).as_string().c_str();
        out.has_key = true;
        out.key = key;
      }
      if (key_status) batch.output(index, out);
    }));
    return key_status;
  }

  JqConfig config_;
  bool is_filter_;
  std::unique_ptr<JqProgram> expression_, key_;
};

Result<JqConfig> read_config(const model::InstanceSpec& spec) {
  const std::string where = spec.component + ": funcConfig";
  boost::system::error_code code;
  const std::string& text = spec.details.user_config;
  const boost::json::value config = boost::json::parse(text.empty() ? "{}" : text, code);
  if (code || !config.is_object()) return fail(ErrorKind::kFixInput, where + " is not an object");
  JqConfig read;
  bool has_expression = false;
  for (const auto& [name, value] : config.as_object()) {
    if (name.starts_with("__")) continue;  // the runtime's own, e.g. windows
    if (!value.is_string()) return fail(ErrorKind::kFixInput, where + "." + std::string(name) + ": expected a string");
    const std::string string(value.as_string());
    if (name == "expression") {
      read.expression = string;
      has_expression = true;
    } else if (name == "key") {
      read.key = string;
    } else if (name == "onError") {
      if (string != "fail" && string != "drop")
        return fail(ErrorKind::kFixInput, where + ".onError: found \"" + string + "\", expected fail or drop");
      read.drop_on_error = string == "drop";
    } else {
      return fail(ErrorKind::kFixInput,
                  where + "." + std::string(name) + ": no such field; there are expression, key and onError");
    }
  }
  if (!has_expression)
    return fail(ErrorKind::kFixInput,
                where + ".expression is missing: the jq expression to apply, e.g. \".amount > 10\"");
  return read;
}

}  // namespace

Result<std::unique_ptr<Logic>> make_builtin_logic(const model::InstanceSpec& spec) {
  const std::string& name = spec.details.class_name;
  if (name == "identity") return std::make_unique<Identity>();
  if (name != "filter" && name != "map")
    return fail(ErrorKind::kFixInput, spec.component + ": className: found \"" + name +
                                          "\", expected one of the built-in functions identity, filter, map");
  Result<JqConfig> config = read_config(spec);
  if (!config) return fail(config.error());
  return std::make_unique<JqLogic>(std::move(*config), name == "filter");
}

}  // namespace fmesh::runtime
