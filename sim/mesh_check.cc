// What must hold at the end of a simulated run. Each function is checked against what its streams really contain, so
// that a loss is named where it happened and not everywhere below.
#include <fmt/format.h>

#include <algorithm>

#include "sim/mesh_sim.h"
#include "stream/entry.h"

namespace fmesh::sim {
namespace {

std::string full(const std::string& stream) { return "persistent://public/default/" + stream; }

using Counts = std::map<std::string, int>;

Counts count_all(const std::vector<std::string>& payloads) {
  Counts counts;
  for (const std::string& payload : payloads) ++counts[payload];
  return counts;
}

// Where `counts` and `expected` differ, a few of them.
std::string difference(const Counts& counts, const Counts& expected) {
  std::string text;
  int shown = 0;
  const auto add = [&](const std::string& payload, int found, int wanted) {
    if (++shown <= 3) text += fmt::format(" {} is there {} times, expected {};", payload, found, wanted);
  };
  for (const auto& [payload, wanted] : expected) {
    const auto found = counts.find(payload);
    const int times = found == counts.end() ? 0 : found->second;
    if (times != wanted) add(payload, times, wanted);
  }
  for (const auto& [payload, times] : counts)
    if (!expected.contains(payload)) add(payload, times, 0);
  return shown > 3 ? text + fmt::format(" and {} more", shown - 3) : text;
}

}  // namespace

std::vector<std::string> MeshSim::content(const std::string& stream) {
  stream::ConsumerOptions options;
  options.topics = {full(stream)};
  options.subscription = "check";
  options.read_only = true;
  std::vector<std::string> payloads;
  auto opened = log_->open_consumer(options);
  if (!opened) return payloads;  // nothing was ever written to it
  const auto& consumer = *opened;
  std::map<int32_t, std::vector<std::string>> by_partition;
  while (true) {
    auto polled = consumer->poll({});
    if (!polled) {
      broken("read " + stream + ": " + polled.error().to_string());
      break;
    }
    if (polled->empty()) break;
    for (const stream::ReceivedEntry& entry : *polled) {
      auto reader = stream::EntryReader::open(entry.bytes);
      if (!reader) {
        broken("entry of " + stream + ": " + reader.error().to_string());
        continue;
      }
      stream::RecordView record;
      while (reader->next(record)) by_partition[entry.id.partition].emplace_back(record.payload);
    }
  }
  consumer->close();
  for (auto& [partition, part] : by_partition) payloads.insert(payloads.end(), part.begin(), part.end());
  for (const std::string& payload : payloads)
    for (const char c : payload) trace_ = (trace_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return payloads;
}

int64_t MeshSim::counter(const std::string& function, const std::string& key) {
  auto table = log_->open_state("public/default/" + function);
  if (!table) return -1;
  const auto value = (*table)->get(key);
  if (!value || !*value) return 0;
  int64_t number = 0;
  for (const char c : **value) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

void MeshSim::check() {
  for (const auto& [name, source] : outside_.sources) {
    Counts expected;
    for (int i = 0; i < source.records; ++i) expected[name + ":" + std::to_string(i)] = 1;
    const std::string text = difference(count_all(content(source.output)), expected);
    if (!text.empty()) broken("source " + name + ":" + text);
  }
  for (const auto& [name, function] : outside_.functions) {
    if (function.window > 0) {
      check_windows(function);
    } else {
      check_function(function);
    }
  }
  for (const auto& [name, sink] : outside_.sinks) check_sink(sink);
  trace_ = (trace_ ^ steps_) * 1099511628211ULL;
}

void MeshSim::check_function(const SimFunction& function) {
  Counts out, around, side, dead;
  std::map<std::string, int64_t> processed;  // by key
  for (const std::string& input : function.inputs) {
    for (const std::string& payload : content(input)) {
      if (outside_.fails_for_good(function, payload)) {
        ++dead[payload];
        continue;
      }
      ++processed[outside_.key_of(payload)];
      const std::string changed = payload + "/" + function.name;
      const std::string mark = "/" + function.name;
      int been = 0;
      for (size_t at = changed.find(mark); at != std::string::npos; at = changed.find(mark, at + 1)) ++been;
      ++(!function.loop_back.empty() && been < kRounds ? around : out)[changed];
      if (!function.side.empty() && outside_.goes_aside(payload)) ++side[changed];
    }
  }
  const std::vector<std::string> written = content(function.output);
  Counts found = count_all(written);
  const auto report = [&](const std::string& what, const Counts& is, const Counts& wanted) {
    if (const std::string text = difference(is, wanted); !text.empty()) broken(function.name + " " + what + ":" + text);
  };
  if (function.promise == Promise::kAtMostOnce) {
    for (const auto& [payload, times] : found)
      if (times > out[payload])
        broken(fmt::format("{} (at most once): {} is there {} times", function.name, payload, times));
    return;
  }
  report("output", found, out);
  if (!function.loop_back.empty()) report("around", count_all(content(function.loop_back)), around);
  if (!function.side.empty()) report("side", count_all(content(function.side)), side);
  if (!function.dead_letters.empty()) report("dead letters", count_all(content(function.dead_letters)), dead);
  if (function.keeps_state()) {
    for (const auto& [key, expected] : processed) {
      const int64_t counted = counter(function.name, "n-" + key);
      if (counted != expected)
        broken(fmt::format("{} counted {} records of {} in its state, expected {}", function.name, counted, key,
                           expected));
    }
  }
  if (function.ordered || function.key_ordered) check_order(function, written);
}

// Records of one key are in the order in which they lay in the input.
void MeshSim::check_order(const SimFunction& function, const std::vector<std::string>& out) {
  if (function.inputs.size() != 1) return;
  const std::vector<std::string> in = content(function.inputs[0]);
  std::map<std::string, int> place;  // by payload
  for (size_t i = 0; i < in.size(); ++i) place[in[i]] = static_cast<int>(i);
  std::map<std::string, int> last;  // by key
  const std::string mark = "/" + function.name;
  for (const std::string& payload : out) {
    const std::string before = payload.substr(0, payload.size() - mark.size());
    if (!place.contains(before) || payload.find('\n') != std::string::npos) continue;
    int& seen = last.try_emplace(outside_.key_of(payload), -1).first->second;
    if (place[before] < seen) {
      broken(function.name + " wrote " + payload + " behind a record of its key that lay behind it");
      return;
    }
    seen = place[before];
  }
}

// Every record lies in at most one window of the full size, and only the last ones in none.
void MeshSim::check_windows(const SimFunction& function) {
  Counts in, out;
  for (const std::string& input : function.inputs)
    for (const std::string& payload : content(input)) ++in[payload];
  int64_t windows = 0, records = 0;
  for (const auto& [payload, times] : in) records += times;
  for (const std::string& window : content(function.output)) {
    ++windows;
    int size = 0;
    for (size_t begin = 0, end = window.find('\n'); end != std::string::npos;
         begin = end + 1, end = window.find('\n', begin)) {
      ++out[window.substr(begin, end - begin)];
      ++size;
    }
    if (size != function.window) broken(fmt::format("{}: a window of {} records", function.name, size));
  }
  for (const auto& [payload, times] : out)
    if (times > in[payload]) broken(fmt::format("{}: {} is in {} windows", function.name, payload, times));
  if (windows != records / function.window)
    broken(fmt::format("{}: {} windows of {} records, expected {}", function.name, windows, records,
                       records / function.window));
}

void MeshSim::check_sink(const SimSink& sink) {
  const Counts in = count_all(content(sink.input));
  Counts found = count_all(outside_.written[sink.name + ".0"]);
  if (sink.has_position) {
    if (const std::string text = difference(found, in); !text.empty()) broken(sink.name + ":" + text);
    return;
  }
  for (const auto& [payload, times] : in)
    if (found[payload] < times) broken(sink.name + " never got " + payload);
}

}  // namespace fmesh::sim
