#include "connect/generator/generator_source.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "connect/generator/template.h"
#include "connect/limits.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"template", FieldType::kString,
     "\"{\\\"seq\\\":{{seq}},\\\"id\\\":\\\"{{uuid}}\\\",\\\"value\\\":{{int 0 1000}}}\"",
     "payload; {{seq}}, {{uuid}}, {{time}} (ms), {{int LOW HIGH}}, {{float LOW HIGH}}, {{choice A|B|C}}, {{pad "
     "BYTES}}"},
    {"key", FieldType::kString, "\"\"", "template of the key; empty: records have no key"},
    {"rate",
     FieldType::kNumber,
     "0",
     "records per second, over all instances; 0: as fast as they are taken",
     {},
     0,
     1e9},
    {"count",
     FieldType::kInteger,
     "-1",
     "records to make, over all instances, then the source ends; -1: no end",
     {},
     -1,
     9e18},
    {"size",
     FieldType::kInteger,
     "0",
     "bytes of a payload at least: shorter ones get blanks at their end",
     {},
     0,
     kRecordMaxBytes},
    {"seed", FieldType::kInteger, "1", "the same seed makes the same records", {}, 0, 9e18},
    {"eventTime", FieldType::kBool, "true", "set the event time to the time of making"},
};

void check(const Config& config, int32_t, Problems& problems) {
  if (const auto payload = Template::compile(config.text("template")); !payload)
    problems.add("template", payload.error().text());
  if (const auto key = Template::compile(config.text("key")); !key) problems.add("key", key.error().text());
}

// Records made per read() at most, so that the loop is shared.
constexpr uint64_t kBurstMax = 8192;

class GeneratorSource final : public runtime::Source {
 public:
  bool non_blocking() const override { return true; }

  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    FMESH_TRY(const Config config, read_config(generator_config(), context.spec()));
    FMESH_TRY(payload_, Template::compile(config.text("template")));
    key_.reset();
    if (!config.text("key").empty()) {
      FMESH_TRY(key_, Template::compile(config.text("key")));
    }
    // Instance i of n makes the sequence numbers i, i + n, i + 2n, …
    step_ = static_cast<uint64_t>(std::max(1, context.spec().instance_count));
    next_ = static_cast<uint64_t>(context.spec().instance_id);
    const std::string& position = context.position();
    if (!position.empty() &&
        std::from_chars(position.data(), position.data() + position.size(), next_).ec != std::errc())
      return fail(ErrorKind::kBug, "the stored position \"" + position + "\" is not one of a generator");
    rate_ = config.number("rate") / static_cast<double>(step_);
    const int64_t count = config.integer("count");
    end_ = count < 0 ? UINT64_MAX : static_cast<uint64_t>(count);
    seed_ = static_cast<uint64_t>(config.integer("seed"));
    size_ = static_cast<size_t>(config.integer("size"));
    event_time_ = config.flag("eventTime");
    started_ns_ = context.clock().monotonic_ns();
    made_ = 0;
    return {};
  }

  Result<runtime::ReadResult> read(uint64_t, runtime::RecordCollector& out) override {
    const uint64_t allowed = allowed_now();
    const int64_t now_ms = context_->clock().wall_ms();
    uint64_t burst = 0;
    for (; burst < allowed && next_ < end_ && out.wants_more(); ++burst, next_ += step_) make(now_ms, out);
    made_ += burst;
    runtime::ReadResult result;
    if (burst > 0) result.position = std::to_string(next_);
    result.outcome = next_ >= end_                   ? runtime::ReadOutcome::kEnd
                     : burst == allowed && rate_ > 0 ? runtime::ReadOutcome::kIdle
                                                     : runtime::ReadOutcome::kMore;
    // Often enough to look steady, seldom enough to cost nothing.
    if (rate_ > 0) result.wait_ms = std::clamp(static_cast<int64_t>(1000 / rate_), int64_t{10}, int64_t{1000});
    return result;
  }

 private:
  uint64_t allowed_now() const {
    if (rate_ <= 0) return kBurstMax;
    const double elapsed_s = static_cast<double>(context_->clock().monotonic_ns() - started_ns_) / 1e9;
    const double due = elapsed_s * rate_ + 1;
    return due <= static_cast<double>(made_) ? 0 : std::min(kBurstMax, static_cast<uint64_t>(due) - made_);
  }

  void make(int64_t now_ms, runtime::RecordCollector& out) {
    Rng rng(seed_ * 0x9e3779b97f4a7c15ULL + next_);
    text_.clear();
    payload_.fill(text_, next_, now_ms, rng);
    if (text_.size() < size_) text_.resize(size_, ' ');
    stream::RecordView record;
    record.payload = text_;
    if (event_time_) record.event_time_ms = now_ms;
    if (key_) {
      key_text_.clear();
      key_->fill(key_text_, next_, now_ms, rng);
      record.key = key_text_;
      record.has_key = true;
    }
    out.add(record);
  }

  runtime::ConnectorContext* context_ = nullptr;
  Template payload_;
  std::optional<Template> key_;
  double rate_ = 0;
  uint64_t next_ = 0, step_ = 1, end_ = UINT64_MAX, seed_ = 1, made_ = 0;
  int64_t started_ns_ = 0;
  size_t size_ = 0;
  bool event_time_ = true;
  std::string text_, key_text_;
};

}  // namespace

ConfigTable generator_config() { return {kFields, &check}; }
std::unique_ptr<runtime::Source> make_generator_source() { return std::make_unique<GeneratorSource>(); }

}  // namespace fmesh::connect
