#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "runtime/connector.h"
#include "runtime/instance.h"
#include "runtime/log_topic.h"
#include "runtime/worker_pool.h"
#include "sim/memory_disk.h"
#include "stream/entry.h"
#include "stream/log/log.h"

namespace fmesh::runtime {
namespace {

// The connectors of these tests: a source of three records that knows its position, and a sink that keeps what it gets.
std::vector<std::string> sunk;

class ThreeSource final : public Source {
 public:
  Status open(ConnectorContext& context) override {
    next_ = context.position().empty() ? 0 : std::stoi(context.position());
    return {};
  }
  Result<ReadResult> read(uint64_t, RecordCollector& out) override {
    if (next_ == 3) return ReadResult{ReadOutcome::kEnd, "", 0};
    const std::string payload = "s" + std::to_string(next_++);
    stream::RecordView record;
    record.payload = payload;
    out.add(record);
    return ReadResult{ReadOutcome::kMore, std::to_string(next_), 0};
  }

 private:
  int next_ = 0;
};

class KeepingSink final : public Sink {
 public:
  Status open(ConnectorContext&) override { return {}; }
  Result<std::vector<WriteFailure>> write(std::span<const stream::RecordView> records) override {
    for (const stream::RecordView& record : records) sunk.emplace_back(record.payload);
    return std::vector<WriteFailure>();
  }
};

// Never has anything.
int empty_reads = 0;
class EmptySource final : public Source {
 public:
  Status open(ConnectorContext&) override { return {}; }
  Result<ReadResult> read(uint64_t, RecordCollector&) override {
    ++empty_reads;
    return ReadResult{ReadOutcome::kIdle, "", 0};
  }
};

// Knows its position, and can't write as long as its disk is full.
std::vector<std::string> opened_at;
bool disk_is_full = true;
class FullSink final : public Sink {
 public:
  Status open(ConnectorContext& context) override {
    opened_at.push_back(context.position());
    return {};
  }
  Result<std::vector<WriteFailure>> write(std::span<const stream::RecordView> records) override {
    if (disk_is_full) return fail(ErrorKind::kRetryLater, "the disk is full");
    for (const stream::RecordView& record : records) sunk.emplace_back(record.payload);
    return std::vector<WriteFailure>();
  }
  std::string position() const override { return "begin"; }
};

}  // namespace

std::span<const ConnectorKind> connector_kinds() {
  static const ConnectorKind kinds[] = {
      {"three", "", []() -> std::unique_ptr<Source> { return std::make_unique<ThreeSource>(); }, nullptr},
      {"empty", "", []() -> std::unique_ptr<Source> { return std::make_unique<EmptySource>(); }, nullptr},
      {"keep", "", nullptr, []() -> std::unique_ptr<Sink> { return std::make_unique<KeepingSink>(); }},
      {"full", "", nullptr, []() -> std::unique_ptr<Sink> { return std::make_unique<FullSink>(); }},
  };
  return kinds;
}

namespace {

constexpr const char* kIn = "persistent://public/default/in";
constexpr const char* kOut = "persistent://public/default/out";
constexpr const char* kDead = "persistent://public/default/dead";

// A mesh of one instance on a log in memory; the test is the committer and the loop.
class InstanceTest : public testing::Test {
 protected:
  void SetUp() override {
    // State lies in a SQLite file of its own, which no simulated disk holds.
    std::string pattern = testing::TempDir() + "fmesh-instance-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    state_directory_ = pattern;
    open();
  }
  void TearDown() override {
    log_.reset();
    std::filesystem::remove_all(state_directory_);
  }

  void open() {
    stream::log::LogOptions options;
    options.directory = "/data";
    options.journal.own_thread = false;
    options.state_directory = state_directory_;
    auto opened = stream::log::Log::open(disk_, clock_, options);
    ASSERT_TRUE(opened) << opened.error().to_string();
    log_ = std::move(*opened);
  }

  void run(int64_t for_ms = 0) {
    for (int64_t left = for_ms;; left -= 50) {
      for (int quiet = 0; quiet < 3;) quiet = log_->step() + loop_.run_ready() == 0 ? quiet + 1 : 0;
      if (left <= 0) return;
      clock_.advance_ms(50);
    }
  }

  InstanceEnvironment environment() {
    InstanceEnvironment environment;
    environment.client = log_.get();
    environment.loop = &loop_;
    environment.workers = workers_.get();
    environment.clock = &clock_;
    environment.log = [this](LogLine line) { lines_.push_back(line.text); };
    return environment;
  }

  static model::InstanceSpec function(const std::string& class_name, const std::string& config = "") {
    model::InstanceSpec spec;
    spec.host = model::HostKind::kBuiltin;
    spec.component = "f";
    spec.details.tenant = "public";
    spec.details.name_space = "default";
    spec.details.name = "f";
    spec.details.class_name = class_name;
    spec.details.user_config = config;
    spec.details.auto_ack = true;
    spec.details.source.emplace().input_specs[kIn];
    spec.details.source->subscription_position = model::DetailsSubscriptionPosition::kEarliest;
    spec.details.sink.emplace().topic = kOut;
    return spec;
  }

  void publish(const std::vector<std::string>& payloads, bool null_values = false) {
    stream::ProducerOptions options;
    options.topic = kIn;
    auto producer = *log_->open_producer(options);
    stream::EntryBuilder builder(producer->name(), stream::Compression::kNone);
    for (const std::string& payload : payloads) {
      stream::RecordView record;
      record.payload = payload;
      record.null_value = null_values;
      builder.add(record);
    }
    stream::Commit commit;
    commit.appends.push_back(
        {producer, 0, builder.finish(clock_.wall_ms()), static_cast<uint32_t>(payloads.size()), 0});
    log_->commit(std::move(commit), [](const Result<stream::Receipt>& receipt) { ASSERT_TRUE(receipt); });
    run();
  }

  std::vector<std::string> read(const std::string& topic) {
    stream::ConsumerOptions options;
    options.topics = {topic};
    options.subscription = "test";
    options.read_only = true;
    std::vector<std::string> payloads;
    auto opened = log_->open_consumer(options);
    if (!opened) return payloads;  // no one has written to it
    auto consumer = *opened;
    while (true) {
      auto polled = consumer->poll({});
      if (!polled) {
        ADD_FAILURE() << polled.error().to_string();
        break;
      }
      auto entries = std::move(*polled);
      if (entries.empty()) break;
      for (auto& entry : entries) {
        auto reader = *stream::EntryReader::open(entry.bytes);
        stream::RecordView record;
        while (reader.next(record)) payloads.emplace_back(record.null_value ? "(null)" : record.payload);
      }
    }
    consumer->close();
    return payloads;
  }

  std::string state_directory_;
  sim::MemoryDisk disk_;
  ManualClock clock_;
  ManualLoop loop_{clock_};
  std::unique_ptr<WorkerPool> workers_ = WorkerPool::make_inline();
  std::unique_ptr<stream::log::Log> log_;
  std::vector<std::string> lines_;
};

TEST_F(InstanceTest, PassesRecordsOnInOrder) {
  auto instance = *make_instance(function("identity"), environment());
  instance->start();
  run();
  publish({"a", "b"});
  publish({"c"});
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(instance->idle());
  EXPECT_EQ(instance->stats().processed_successfully_total, 3);
}

TEST_F(InstanceTest, GoesOnBehindWhatIsDurableAfterARestart) {
  publish({"a", "b"});
  {
    auto instance = *make_instance(function("identity"), environment());
    instance->start();
    run();
    bool drained = false;
    instance->drain(1000, [&] { drained = true; });
    run();
    EXPECT_TRUE(drained);
  }
  log_.reset();
  open();
  publish({"c"});
  auto instance = *make_instance(function("identity"), environment());
  instance->start();
  run();
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(InstanceTest, SendsARecordThatKeepsFailingToTheDeadLettersAndTheOthersOn) {
  auto spec = function("map", R"({"expression":".n + 1"})");
  spec.details.retry_details = model::RetryDetails{2, kDead};
  spec.details.source->negative_ack_redelivery_delay_ms = 100;
  auto instance = *make_instance(spec, environment());
  instance->start();
  run();
  publish({R"({"n":1})", R"({"n":"x"})", R"({"n":3})"});
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"2", "4"}));
  EXPECT_TRUE(read(kDead).empty());
  run(2'000);
  EXPECT_EQ(read(kDead), (std::vector<std::string>{R"({"n":"x"})"}));
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"2", "4"}));
  EXPECT_TRUE(instance->idle());
  EXPECT_EQ(instance->stats().dead_letters_total, 1);
}

TEST_F(InstanceTest, KeepsTheOrderBehindAFailingRecordWhereOrderIsPromised) {
  auto spec = function("map", R"({"expression":".n + 1"})");
  spec.details.retain_ordering = true;
  spec.details.source->subscription_type = model::DetailsSubscriptionType::kFailover;
  spec.details.retry_details = model::RetryDetails{3, kDead};
  auto instance = *make_instance(spec, environment());
  instance->start();
  run();
  publish({R"({"n":1})", R"({"n":"x"})", R"({"n":3})"});
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"2"}));
  run(5'000);
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"2", "4"}));
  EXPECT_EQ(read(kDead).size(), 1u);
}

TEST_F(InstanceTest, WritesItsLogLinesToTheLogTopicBeforeItIsDone) {
  auto spec = function("map", R"({"expression":".n + 1"})");
  spec.details.log_topic = "persistent://public/default/log";
  spec.details.retry_details = model::RetryDetails{1, kDead};
  auto instance = *make_instance(spec, environment());
  instance->start();
  run();
  publish({R"({"n":"x"})", R"({"n":1})"});
  EXPECT_FALSE(instance->idle());
  EXPECT_THAT(read(spec.details.log_topic), testing::IsEmpty());
  run(kLogTopicDelayMs);
  EXPECT_THAT(read(spec.details.log_topic), testing::ElementsAre(testing::HasSubstr("it will be delivered again")));
  run(10'000);
  EXPECT_TRUE(instance->idle());
  publish({R"({"n":"y"})"});
  bool drained = false;
  instance->drain(1'000, [&] { drained = true; });
  run();
  EXPECT_TRUE(drained);
  EXPECT_THAT(read(spec.details.log_topic), testing::ElementsAreArray([&] {
                std::vector<testing::Matcher<std::string>> all;
                for (const std::string& line : lines_) all.push_back(testing::StrEq(line));
                return all;
              }()));
}

TEST_F(InstanceTest, DropsLogLinesAndSaysSoIfThereAreTooMany) {
  const std::string topic = "persistent://public/default/log";
  int written = 0;
  LogTopic log(topic, "public/default/f", environment(), [&] { ++written; });
  for (size_t i = 0; i < kLogTopicLinesMax + 5; ++i) log.write({1, "f", 0, "info", std::to_string(i)});
  EXPECT_FALSE(log.idle());
  run(kLogTopicDelayMs);
  EXPECT_TRUE(log.idle());
  EXPECT_GT(written, 0);
  const std::vector<std::string> lines = read(topic);
  ASSERT_EQ(lines.size(), kLogTopicLinesMax + 1);
  EXPECT_THAT(lines[0], testing::StartsWith("5 lines were not written to this log topic"));
  EXPECT_EQ(lines.back(), std::to_string(kLogTopicLinesMax - 1));
}

TEST_F(InstanceTest, ClosesEventTimeWindowsAtTheEndOfInput) {
  const char* config =
      R"({"expression":"map(.v) | add","__WINDOWCONFIGS__":{"windowLengthDurationMs":10,"timestampExtractorClassName":"field:t"}})";
  auto instance = *make_instance(function("map", config), environment());
  instance->start();
  run();
  publish(
      {R"({"t":101,"v":1})", R"({"t":109,"v":2})", R"({"t":115,"v":4})", R"({"t":131,"v":8})", R"({"t":102,"v":99})"});
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"3", "4"}));
  EXPECT_EQ(instance->stats().late_total, 1);
  EXPECT_TRUE(instance->idle());
  instance->end_of_input();
  run();
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"3", "4", "8"}));
  EXPECT_EQ(instance->stats().backlog_records, 0);
}

TEST_F(InstanceTest, BringsASourceThroughToASinkAndFinishes) {
  model::InstanceSpec source = function("");
  source.host = model::HostKind::kSource;
  source.component = source.details.name = "source";
  source.details.source->builtin = "three";
  source.details.sink->topic = kIn;
  model::InstanceSpec sink = function("");
  sink.host = model::HostKind::kSink;
  sink.component = sink.details.name = "sink";
  sink.details.sink->builtin = "keep";
  sunk.clear();
  for (int start = 0; start < 2; ++start) {  // the second start finds everything done
    auto reads = *make_instance(source, environment());
    auto writes = *make_instance(sink, environment());
    writes->start();
    reads->start();
    run();
    EXPECT_EQ(reads->stats().state, InstanceState::kFinished);
    EXPECT_TRUE(writes->idle());
  }
  EXPECT_EQ(sunk, (std::vector<std::string>{"s0", "s1", "s2"}));
}

// What a sink wrote before a crash and its first commit would otherwise be taken for what was there before.
TEST_F(InstanceTest, ASinkKnowsWhereItBeganEvenIfNoRecordWasCommitted) {
  model::InstanceSpec sink = function("");
  sink.host = model::HostKind::kSink;
  sink.component = sink.details.name = "sink";
  sink.details.sink->builtin = "full";
  publish({"a"});
  opened_at.clear();
  disk_is_full = true;
  for (int start = 0; start < 2; ++start) {
    auto instance = *make_instance(sink, environment());
    instance->start();
    run();
    EXPECT_EQ(instance->stats().state, InstanceState::kRunning);
    instance.reset();
    run();
    log_.reset();
    open();
  }
  EXPECT_EQ(opened_at, (std::vector<std::string>{"", "begin"}));
}

// Pitfall 66 of other instances: input without an output was never acknowledged.
TEST_F(InstanceTest, AFunctionWithoutAnOutputAcknowledgesItsInput) {
  auto spec = function("identity");
  spec.details.sink.reset();
  auto instance = *make_instance(spec, environment());
  instance->start();
  run();
  publish({"a", "b"});
  EXPECT_EQ(instance->stats().processed_successfully_total, 2);
  EXPECT_TRUE(instance->idle());
  EXPECT_EQ(log_->list_streams()->at(0).subscriptions.at(0).backlog_records, 0);
}

// Pitfall 61: a null, as a deletion is written, ended functions and sinks, again and again.
TEST_F(InstanceTest, NullsPassThroughAndEndNoInstance) {
  auto passes = *make_instance(function("identity"), environment());
  auto spec = function("map", R"({"expression":".n"})");
  spec.component = spec.details.name = "reads";
  spec.details.sink->topic = kOut + std::string("2");
  spec.details.retry_details = model::RetryDetails{1, kDead};
  auto reads = *make_instance(spec, environment());
  model::InstanceSpec sink = function("");
  sink.host = model::HostKind::kSink;
  sink.component = sink.details.name = "sink";
  sink.details.sink->builtin = "keep";
  sunk.clear();
  auto writes = *make_instance(sink, environment());
  for (Instance* instance : {passes.get(), reads.get(), writes.get()}) instance->start();
  run();
  publish({"gone"}, true);
  publish({R"({"n":1})"});
  run(10'000);
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"(null)", R"({"n":1})"}));
  EXPECT_EQ(read(kOut + std::string("2")), (std::vector<std::string>{"1"}));
  EXPECT_EQ(read(kDead), (std::vector<std::string>{"(null)"}));
  EXPECT_EQ(sunk, (std::vector<std::string>{"", R"({"n":1})"}));
  for (Instance* instance : {passes.get(), reads.get(), writes.get()}) EXPECT_TRUE(instance->idle());
}

// Pitfall 71: retry details of no retries kept an instance from starting.
TEST_F(InstanceTest, RetryDetailsOfNoRetriesAreAsNone) {
  auto spec = function("map", R"({"expression":".n"})");
  spec.details.retry_details = model::RetryDetails{0, ""};
  auto instance = *make_instance(spec, environment());
  instance->start();
  run();
  publish({"no json", R"({"n":1})"});
  run(5'000);
  EXPECT_EQ(read(kOut), (std::vector<std::string>{"1"}));
  EXPECT_EQ(instance->stats().state, InstanceState::kRunning);
  EXPECT_EQ(instance->stats().dead_letters_total, 0);
  EXPECT_FALSE(instance->idle()) << "the record is not given up";
}

// Pitfall 65: a sink that failed was alive and idle for ever.
TEST_F(InstanceTest, ASinkThatCanNotWriteSaysSoAndGoesOnOnceItCan) {
  model::InstanceSpec sink = function("");
  sink.host = model::HostKind::kSink;
  sink.component = sink.details.name = "sink";
  sink.details.sink->builtin = "full";
  disk_is_full = true;
  sunk.clear();
  publish({"a"});
  auto instance = *make_instance(sink, environment());
  instance->start();
  run(5'000);
  EXPECT_THAT(instance->stats().last_error, testing::HasSubstr("the disk is full"));
  EXPECT_FALSE(instance->idle());
  EXPECT_EQ(log_->list_streams()->at(0).subscriptions.at(0).backlog_records, 1);
  disk_is_full = false;
  run(60'000);
  EXPECT_EQ(sunk, (std::vector<std::string>{"a"}));
  EXPECT_TRUE(instance->idle());
}

// Pitfall 77: a source that found nothing was asked without a pause.
TEST_F(InstanceTest, ASourceThatHasNothingIsAskedOnceASecond) {
  model::InstanceSpec source = function("");
  source.host = model::HostKind::kSource;
  source.component = source.details.name = "source";
  source.details.source->builtin = "empty";
  empty_reads = 0;
  auto instance = *make_instance(source, environment());
  instance->start();
  run(10'000);
  EXPECT_GE(empty_reads, 9);
  EXPECT_LE(empty_reads, 11);
}

TEST_F(InstanceTest, LosesNothingWhenAWriteFailsWhileRecordsAreOnTheirWay) {
  for (uint64_t nth = 1; nth <= 6; ++nth) {
    const std::string suffix = std::to_string(nth);
    auto spec = function("identity");
    spec.details.name = "f" + suffix;
    spec.details.sink->topic = kOut + suffix;
    auto instance = *make_instance(spec, environment());
    instance->start();
    run();
    if (nth == 1) publish({"a", "b", "c"});
    disk_.fail_call(sim::DiskCall::kWrite, nth, ErrorKind::kRetryLater);
    run(5'000);
    EXPECT_EQ(read(kOut + suffix), (std::vector<std::string>{"a", "b", "c"})) << "nth=" << nth;
    instance->drain(100, [] {});
    run(200);
  }
}

}  // namespace
}  // namespace fmesh::runtime
