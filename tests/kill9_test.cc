// Kills a process that appends to and consumes from a real log on a real disk with SIGKILL at random moments, again and
// again, and checks with a ledger of ids: what was answered as durable is read back, in order per key, none twice with
// deduplication; inputs, outputs and state of the consuming side agree.
//
// The child reports what was answered over a pipe. FMESH_KILL9_SECONDS sets how long this goes on (10 by default),
// FMESH_SEED replays the moments of the kills.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "stream/log/log.h"

namespace fmesh::stream::log {
namespace {

constexpr int kKeys = 8;
constexpr int32_t kPartitions = 4;
constexpr size_t kUnderWayMax = 32;

// What the child writes to the pipe: the highest sequence id of a partition that was answered as durable, or (partition
// -1) the number of inputs moved.
struct Answer {
  int32_t partition = 0;
  uint64_t sequence_id = 0;
};

struct Ends {
  std::unique_ptr<Disk> disk = make_posix_disk();
  SystemClock clock;
  std::unique_ptr<Log> log;

  explicit Ends(const std::string& directory) {
    LogOptions options;
    options.directory = directory;
    options.journal.segment_size_bytes = 4 * 1024 * 1024;
    options.journal.checkpoint_every_bytes = 1024 * 1024;
    options.stream_defaults.retention_size_bytes = int64_t{1} << 40;  // the checker reads all of it
    auto opened = Log::open(*disk, clock, std::move(options));
    if (!opened) {
      fprintf(stderr, "%s\n", opened.error().to_string().c_str());
      abort();
    }
    log = std::move(*opened);
    if (!log->create_stream("in", {.partitions = kPartitions})) abort();
  }
  std::shared_ptr<Producer> producer(const std::string& topic) {
    ProducerOptions options;
    options.topic = topic;
    options.name = "kill9";
    options.deduplicate = true;
    return *log->open_producer(options);
  }
};

// The text of a record: "<key>:<sequence id>", filled up.
std::string text_of(uint64_t sequence_id) {
  return "k" + std::to_string(sequence_id % kKeys) + ":" + std::to_string(sequence_id) + ":" +
         std::string(sequence_id % 300, 'x');
}

void produce_for_ever(Ends& ends, int pipe, std::atomic<int>& under_way) {
  auto producer = ends.producer("in");
  std::array<uint64_t, kPartitions> next{};
  for (int32_t partition = 0; partition < kPartitions; ++partition)
    next[static_cast<size_t>(partition)] = static_cast<uint64_t>(producer->last_sequence_id(partition) + 1);
  EntryBuilder builder("kill9", Compression::kNone);
  for (uint64_t round = 0;; ++round) {
    if (round % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that the checks stay short
    if (under_way > static_cast<int>(kUnderWayMax) || !producer->writable()) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    const auto partition = static_cast<int32_t>(round % kPartitions);
    uint64_t& sequence_id = next[static_cast<size_t>(partition)];
    const uint32_t count = 1 + static_cast<uint32_t>(round % 7);
    for (uint32_t i = 0; i < count; ++i) {
      const std::string text = text_of(sequence_id);
      RecordView record;
      record.payload = text;
      record.sequence_id = sequence_id++;
      builder.add(record);
    }
    const uint64_t last = builder.last_sequence_id();
    Commit one;
    one.appends.push_back({producer, partition, builder.finish(ends.clock.wall_ms()), count, last});
    Commit again;
    if (round % 5 == 0) again = one;
    ++under_way;
    ends.log->commit(std::move(one), [pipe, partition, last, &under_way](const Result<Receipt>& receipt) {
      --under_way;
      const Answer answer{partition, last};
      if (receipt && write(pipe, &answer, sizeof answer) != sizeof answer) _exit(1);
    });
    // A producer that does not know whether its entry arrived sends it again.
    if (!again.empty()) ends.log->commit(std::move(again), [](const Result<Receipt>&) {});
  }
}

// One function: each input entry becomes an output, with a count in its state, in one commit.
void move_for_ever(Ends& ends, int pipe) {
  ConsumerOptions options;
  options.topics = {"in"};
  options.subscription = "mover";
  options.type = SubscriptionType::kFailover;
  auto consumer = *ends.log->open_consumer(options);
  ProducerOptions producing;
  producing.topic = "out";
  auto producer = *ends.log->open_producer(producing);
  auto state = *ends.log->open_state("t/n/mover");
  uint64_t moved = std::stoull(state->get("moved")->value_or("0"));
  for (;;) {
    auto got = consumer->poll({.records_max = 50});
    if (!got) _exit(2);
    if (got->empty()) {
      std::this_thread::sleep_for(std::chrono::microseconds(300));
      continue;
    }
    Commit one;
    for (const ReceivedEntry& entry : *got) {
      one.appends.push_back({producer, 0, entry.bytes, entry.record_count, 0});
      one.acks.push_back({consumer, entry.id, entry.records, false});
      moved += entry.record_count;
    }
    const std::string text = std::to_string(moved);
    if (!state->put("moved", text)) _exit(3);
    one.changes.push_back({state, "moved", text});
    ends.log->commit(std::move(one), [pipe, moved](const Result<Receipt>& receipt) {
      const Answer answer{-1, moved};
      if (receipt && write(pipe, &answer, sizeof answer) != sizeof answer) _exit(1);
    });
  }
}

[[noreturn]] void child(const std::string& directory, int pipe) {
  Ends ends(directory);
  std::atomic<int> under_way{0};
  std::thread mover([&] { move_for_ever(ends, pipe); });
  produce_for_ever(ends, pipe, under_way);
  abort();
}

struct Seen {
  std::array<uint64_t, kPartitions> next{};  // sequence id that comes next, per partition of "in"
  uint64_t in_records = 0;
  uint64_t out_records = 0;
};

std::vector<ReceivedEntry> read_all(Log& log, const std::string& topic) {
  ConsumerOptions options;
  options.topics = {topic};
  options.subscription = "checker";
  options.read_only = true;
  std::vector<ReceivedEntry> all;
  auto reader = log.open_consumer(options);
  EXPECT_TRUE(reader) << reader.error().to_string();
  while (reader) {
    auto got = (*reader)->poll({});
    EXPECT_TRUE(got) << got.error().to_string();
    if (!got || got->empty()) break;
    std::ranges::move(*got, std::back_inserter(all));
  }
  return all;
}

Seen check(const std::string& directory, const std::array<uint64_t, kPartitions>& promised, uint64_t moved_promised) {
  Seen seen;
  Ends ends(directory);
  for (const ReceivedEntry& entry : read_all(*ends.log, "in")) {
    const auto partition = static_cast<size_t>(entry.id.partition);
    auto reader = EntryReader::open(entry.bytes);
    EXPECT_TRUE(reader);
    RecordView record;
    while (reader && reader->next(record)) {
      // Neither a gap nor a second delivery, and so in order per key too.
      EXPECT_EQ(record.payload, text_of(seen.next[partition])) << "partition " << partition;
      ++seen.next[partition];
      ++seen.in_records;
    }
  }
  for (size_t partition = 0; partition < kPartitions; ++partition)
    EXPECT_GE(seen.next[partition], promised[partition])
        << "a promised record of partition " << partition << " is gone";
  for (const ReceivedEntry& entry : read_all(*ends.log, "out")) seen.out_records += entry.record_count;
  auto state = *ends.log->open_state("t/n/mover");
  const uint64_t moved = std::stoull(state->get("moved")->value_or("0"));
  EXPECT_EQ(moved, seen.out_records) << "state and outputs are of one commit";
  EXPECT_GE(moved, moved_promised);
  ConsumerOptions options;
  options.topics = {"in"};
  options.subscription = "mover";
  options.type = SubscriptionType::kFailover;
  auto consumer = ends.log->open_consumer(options);
  EXPECT_TRUE(consumer);
  EXPECT_EQ(consumer ? (*consumer)->stats().backlog_records : -1,
            static_cast<int64_t>(seen.in_records - seen.out_records))
      << "acknowledgements and outputs are of one commit";
  EXPECT_TRUE(ends.log->damages().empty());
  return seen;
}

TEST(Kill9, LosesNothingThatWasAnsweredAndRepeatsNothing) {
  std::string pattern = std::filesystem::temp_directory_path() / "fmesh-kill9-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  const char* seconds = std::getenv("FMESH_KILL9_SECONDS");
  const char* replay = std::getenv("FMESH_SEED");
  const uint64_t seed = replay != nullptr ? std::stoull(replay) : static_cast<uint64_t>(getpid());
  Rng rng(seed);
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(seconds != nullptr ? std::stoi(seconds) : 10);
  std::array<uint64_t, kPartitions> promised{};
  uint64_t moved = 0;
  int kills = 0;
  Seen seen;
  while (std::chrono::steady_clock::now() < end && !HasFailure()) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      close(ends[0]);
      child(directory, ends[1]);
    }
    close(ends[1]);
    std::thread killer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20 + rng.below(400)));
      kill(pid, SIGKILL);
    });
    Answer answer;
    while (read(ends[0], &answer, sizeof answer) == sizeof answer) {
      if (answer.partition < 0) {
        moved = std::max(moved, answer.sequence_id);
      } else {
        uint64_t& end_of = promised[static_cast<size_t>(answer.partition)];
        end_of = std::max(end_of, answer.sequence_id + 1);
      }
    }
    killer.join();
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
    ++kills;
    seen = check(directory, promised, moved);
  }
  EXPECT_FALSE(HasFailure()) << "replay: FMESH_SEED=" << seed;
  EXPECT_GT(kills, 3);
  EXPECT_GT(seen.out_records, 0u);
  printf("%d kills, %llu records appended, %llu moved\n", kills, static_cast<unsigned long long>(seen.in_records),
         static_cast<unsigned long long>(seen.out_records));
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

}  // namespace
}  // namespace fmesh::stream::log
