#include "stream/changelog/changelog_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "stream/changelog/compactor.h"
#include "stream/changelog/memory_values.h"
#include "stream/staged_table.h"

namespace fmesh::stream {
namespace {

constexpr std::string_view kSuffix = "-fmesh-state";
// While a changelog is read, its end is looked for this often besides each wake.
constexpr int64_t kEndLookMs = 100;
// A changelog holds each key so often at least before it is compacted: what is kept is worth the reading.
constexpr size_t kCompactAfterRounds = 4;

// One table with the ways into its changelog.
struct Changelog {
  std::string name, topic;
  std::shared_ptr<StagedTable> table;
  std::shared_ptr<Producer> producer;
  std::shared_ptr<Consumer> follower;  // on the opening thread first, then on the loop
  uint64_t next_sequence_id = 0;       // guarded by `submit`
  size_t read = 0;                     // records, when it was opened
  size_t written = 0;                  // changes since it was compacted, as far as this process knows; the same
};
using ChangelogPtr = std::shared_ptr<Changelog>;

struct Changed {
  std::shared_ptr<StagedTable> table;
  std::string key;
  std::optional<std::string> value;
  uint64_t number = 0;
  std::shared_ptr<CommitOrder> order;
};

// What `entry` says, but for what `ours` wrote, which is applied when its commit is durable.
Status apply_entry(const Changelog& changelog, const ReceivedEntry& entry, std::string_view ours,
                   MemoryValues& values) {
  FMESH_TRY(EntryReader reader, EntryReader::open(entry.bytes));
  if (!ours.empty() && reader.info().producer_name == ours) return {};
  RecordView record;
  while (reader.next(record)) {
    if (!record.has_key) continue;  // somebody else's; it changes nothing
    values.apply(changelog.name, record.key,
                 record.null_value ? std::nullopt : std::optional<std::string_view>(record.payload));
  }
  return reader.status();
}

// Reads a changelog to its end, blocking.
Status restore(Changelog& changelog, MemoryValues& values, int64_t stalled_after_ms) {
  struct Woken {
    std::mutex mutex;
    std::condition_variable wake;
    bool woken = false;
  };
  const auto woken = std::make_shared<Woken>();
  for (int64_t waited_ms = 0; waited_ms < stalled_after_ms;) {
    FMESH_TRY(const auto entries, changelog.follower->poll(PollLimits()));
    for (const ReceivedEntry& entry : entries) {
      FMESH_CHECK(apply_entry(changelog, entry, "", values));
      changelog.read += entry.record_count;
    }
    if (entries.empty() && changelog.follower->drained()) return {};
    waited_ms = entries.empty() ? waited_ms + kEndLookMs : 0;
    if (!entries.empty()) continue;
    changelog.follower->notify([woken] {
      const std::lock_guard lock(woken->mutex);
      woken->woken = true;
      woken->wake.notify_all();
    });
    std::unique_lock lock(woken->mutex);
    woken->wake.wait_for(lock, std::chrono::milliseconds(kEndLookMs), [&] { return woken->woken; });
    woken->woken = false;
  }
  return fail(ErrorKind::kRetryLater,
              fmt::format("state of {}: its changelog {} brought nothing for {} ms and is not at its end",
                          changelog.name, changelog.topic, stalled_after_ms));
}

// Shared with callbacks that may outlive the client.
struct Tables {
  explicit Tables(Loop& on) : loop(on) {}
  Loop& loop;
  const std::shared_ptr<MemoryValues> values = std::make_shared<MemoryValues>();
  std::mutex mutex;
  std::map<std::string, ChangelogPtr> open;  // by table; as long as the client
  bool closed = false;

  // Commits whose outputs are on their way; their changes follow in this order, by table.
  struct Job {
    Commit changes;  // what comes behind the outputs: changes and acknowledgements
    std::function<void(Result<Receipt>)> ended{};
    bool is_written = false;  // the outputs have their answer
    Status status;            // that of the outputs
    Receipt receipt;
  };
  std::recursive_mutex submit;
  std::map<std::string, std::deque<std::shared_ptr<Job>>> jobs;  // guarded by `submit`
};
using TablesPtr = std::shared_ptr<Tables>;

bool is_closed(Tables& tables) {
  const std::lock_guard lock(tables.mutex);
  return tables.closed;
}

// On the loop: takes what other processes changed, and waits for more.
void follow(const TablesPtr& tables, const ChangelogPtr& changelog) {
  if (is_closed(*tables)) return;
  while (true) {
    const auto entries = changelog->follower->poll(PollLimits());
    if (!entries || entries->empty()) break;
    for (const ReceivedEntry& entry : *entries) {
      // An entry that can't be read changes nothing; the next start meets it again and says so.
      static_cast<void>(apply_entry(*changelog, entry, changelog->producer->name(), *tables->values));
    }
  }
  changelog->follower->notify([weak = std::weak_ptr(tables), changelog] {
    if (const TablesPtr still = weak.lock()) still->loop.post([still, changelog] { follow(still, changelog); });
  });
}

class ChangelogClient final : public Client {
 public:
  ChangelogClient(std::unique_ptr<Client> inner, Loop& loop, ChangelogOptions options)
      : options_(std::move(options)),
        inner_(std::move(inner)),
        tables_(std::make_shared<Tables>(loop)),
        compactor_(*inner_, options_.compaction_failed) {}
  ~ChangelogClient() override;

  bool atomic() const override { return inner_->atomic(); }
  bool opening_waits() const override { return inner_->opening_waits(); }
  bool deals_whole_entries() const override { return inner_->deals_whole_entries(); }
  Status create_stream(const std::string& topic, const StreamOptions& options) override {
    return inner_->create_stream(topic, options);
  }
  Status delete_stream(const std::string& topic) override { return inner_->delete_stream(topic); }
  Result<std::vector<StreamInfo>> list_streams() override { return inner_->list_streams(); }
  Status compact_stream(const std::string& topic, const std::string& subscription,
                        const std::function<bool()>& stopped) override {
    return inner_->compact_stream(topic, subscription, stopped);
  }
  Status delete_subscription(const std::string& topic, const std::string& subscription) override {
    return inner_->delete_subscription(topic, subscription);
  }
  Result<std::shared_ptr<Producer>> open_producer(ProducerOptions options) override {
    return inner_->open_producer(std::move(options));
  }
  Result<std::shared_ptr<Consumer>> open_consumer(ConsumerOptions options) override {
    return inner_->open_consumer(std::move(options));
  }
  Result<std::shared_ptr<StateTable>> open_state(const std::string& name) override;
  void commit(Commit commit, std::function<void(Result<Receipt>)> done) override;

 private:
  Result<ChangelogPtr> open(const std::string& name);
  Status take_changes(Commit& commit, std::vector<Changed>& changed);
  Status append_changes(Commit& commit, const std::vector<Changed>& changed);
  static void follow_outputs(Client& inner, const TablesPtr& tables, const std::string& table);
  void compact_when_long(const std::vector<Changed>& changed);
  ChangelogPtr changelog_of(const StateTable& table);

  const ChangelogOptions options_;
  const std::unique_ptr<Client> inner_;
  const TablesPtr tables_;
  std::mutex opening_;  // one table is read at a time
  Compactor compactor_;
};

ChangelogClient::~ChangelogClient() {
  compactor_.stop();
  std::map<std::string, ChangelogPtr> open;
  {
    const std::lock_guard lock(tables_->mutex);
    tables_->closed = true;
    open.swap(tables_->open);
  }
  // A consumer is used on its loop only.
  for (const auto& [name, changelog] : open) {
    std::mutex mutex;
    std::condition_variable wake;
    bool closed = false;
    tables_->loop.post([&] {
      changelog->follower->close();
      changelog->follower = nullptr;
      const std::lock_guard lock(mutex);
      closed = true;
      wake.notify_all();
    });
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return closed; });
  }
}

Result<ChangelogPtr> ChangelogClient::open(const std::string& name) {
  auto changelog = std::make_shared<Changelog>();
  changelog->name = name;
  FMESH_TRY(changelog->topic, changelog_topic(name));
  ProducerOptions producing;
  producing.topic = changelog->topic;
  producing.compression = Compression::kLz4;
  FMESH_TRY(changelog->producer, inner_->open_producer(std::move(producing)));
  ConsumerOptions following;
  following.topics = {changelog->topic};
  following.subscription = std::string(kChangelogSubscription);
  // What no subscription needs may be deleted, so there is one that acknowledges nothing but what is compacted.
  FMESH_TRY(const auto keeper, inner_->open_consumer(following));
  keeper->close();
  following.read_only = true;
  following.compacted = true;
  FMESH_TRY(changelog->follower, inner_->open_consumer(std::move(following)));
  Status restored = restore(*changelog, *tables_->values, options_.stalled_after_ms);
  changelog->written = changelog->read;
  if (!restored) {
    changelog->follower->close();
    tables_->values->drop(name);
    return fail(std::move(restored).error());
  }
  changelog->table = std::make_shared<StagedTable>(tables_->values, name);
  return changelog;
}

Result<std::shared_ptr<StateTable>> ChangelogClient::open_state(const std::string& name) {
  const std::lock_guard opening(opening_);
  {
    const std::lock_guard lock(tables_->mutex);
    if (const auto found = tables_->open.find(name); found != tables_->open.end()) return found->second->table;
  }
  FMESH_TRY(const ChangelogPtr changelog, open(name));
  {
    const std::lock_guard lock(tables_->mutex);
    tables_->open[name] = changelog;
  }
  tables_->loop.post([tables = tables_, changelog] { follow(tables, changelog); });
  return changelog->table;
}

ChangelogPtr ChangelogClient::changelog_of(const StateTable& table) {
  const std::lock_guard lock(tables_->mutex);
  const auto found = tables_->open.find(table.name());
  return found == tables_->open.end() || found->second->table.get() != &table ? nullptr : found->second;
}

// Fixes which staged values the commit carries. What was begun is in `changed` also if it fails.
Status ChangelogClient::take_changes(Commit& commit, std::vector<Changed>& changed) {
  for (StateChange& change : commit.changes) {
    const ChangelogPtr changelog = change.table ? changelog_of(*change.table) : nullptr;
    if (!changelog) return fail(ErrorKind::kBug, "a state change names no table of this client");
    const auto order = changelog->table->order();
    changed.push_back({changelog->table, change.key, std::move(change.value), 0, order});
    const auto number = changelog->table->begin_commit(change.key);
    if (!number) {
      return fail(ErrorKind::kRetryLater,
                  fmt::format("state of {}, key {}: an earlier commit failed, so this value is void", changelog->name,
                              change.key));
    }
    changed.back().number = *number;
    if (std::ranges::find(commit.relies_on, order) == commit.relies_on.end()) commit.relies_on.push_back(order);
  }
  commit.changes.clear();
  if (tables_->values->size_bytes() > options_.values_size_max_bytes) {
    return fail(ErrorKind::kFixInput,
                fmt::format("the state of the functions of this process takes more than {} bytes of "
                            "memory; let more processes share it by key, or keep less",
                            options_.values_size_max_bytes));
  }
  return {};
}

// REQUIRES: `submit` is held.
Status ChangelogClient::append_changes(Commit& commit, const std::vector<Changed>& changed) {
  std::map<std::string, std::vector<const Changed*>> by_table;
  for (const Changed& change : changed) by_table[change.table->name()].push_back(&change);
  for (const auto& [name, changes] : by_table) {
    const ChangelogPtr changelog = changelog_of(*changes.front()->table);
    if (!changelog) return fail(ErrorKind::kClosed, fmt::format("state of {}: the client is closed", name));
    EntryBuilder builder(changelog->producer->name(), Compression::kLz4);
    const auto finish = [&] {
      Append append;
      append.producer = changelog->producer;
      append.record_count = static_cast<uint32_t>(builder.record_count());
      append.last_sequence_id = builder.last_sequence_id();
      append.entry = builder.finish(tables_->loop.clock().wall_ms());
      commit.appends.push_back(std::move(append));
    };
    for (const Changed* change : changes) {
      RecordView record;
      record.key = change->key;
      record.has_key = true;
      record.null_value = !change->value;
      if (change->value) record.payload = *change->value;
      record.sequence_id = changelog->next_sequence_id++;
      if (!builder.empty() && !builder.fits(record)) finish();
      builder.add(record);
    }
    finish();
  }
  return {};
}

void ChangelogClient::commit(Commit commit, std::function<void(Result<Receipt>)> done) {
  if (commit.changes.empty()) return inner_->commit(std::move(commit), std::move(done));
  auto changed = std::make_shared<std::vector<Changed>>();
  const auto order = commit.order;
  std::function<void(Result<Receipt>)> ended = [tables = tables_, changed, order,
                                                done = std::move(done)](Result<Receipt> receipt) {
    for (const Changed& change : *changed) {
      if (receipt) {
        tables->values->apply(change.table->name(), change.key,
                              change.value ? std::optional<std::string_view>(*change.value) : std::nullopt);
        change.table->end_commit(change.key, change.number);
      } else {
        change.table->fail_commits(change.order);
      }
    }
    if (!receipt && order) order->is_broken = true;
    if (done) done(std::move(receipt));
  };
  std::unique_lock<std::recursive_mutex> submitting(tables_->submit);
  Status ready = take_changes(commit, *changed);
  Commit changes;
  changes.order = commit.order;
  changes.relies_on = commit.relies_on;
  changes.confirm_acks = commit.confirm_acks;
  changes.acks = std::exchange(commit.acks, {});
  if (ready) ready = append_changes(changes, *changed);
  if (!ready) {
    submitting.unlock();
    return ended(fail(std::move(ready).error()));
  }
  compact_when_long(*changed);
  const std::string table = changed->front().table->name();
  auto job = std::make_shared<Tables::Job>();
  job->changes = std::move(changes);
  job->ended = std::move(ended);
  tables_->jobs[table].push_back(job);
  if (commit.appends.empty()) {
    job->is_written = true;
    return follow_outputs(*inner_, tables_, table);
  }
  inner_->commit(std::move(commit),
                 [inner = inner_.get(), tables = tables_, table, job](const Result<Receipt>& receipt) {
                   const std::lock_guard submitting(tables->submit);
                   job->is_written = true;
                   if (receipt) job->receipt.ids = receipt->ids;
                   if (!receipt) job->status = fail(receipt.error());
                   follow_outputs(*inner, tables, table);
                 });
}

// Outputs are durable before what says that they are written: a source's position, a sink's, a function's progress.
// REQUIRES: `submit` is held.
void ChangelogClient::follow_outputs(Client& inner, const TablesPtr& tables, const std::string& table) {
  auto& jobs = tables->jobs[table];
  while (!jobs.empty() && jobs.front()->is_written) {
    const std::shared_ptr<Tables::Job> job = jobs.front();
    jobs.pop_front();
    if (job->status && is_closed(*tables)) job->status = fail(ErrorKind::kClosed, "the client is closed");
    if (!job->status) {
      job->ended(fail(job->status.error()));
      continue;
    }
    inner.commit(std::move(job->changes), [job](const Result<Receipt>& receipt) {
      if (!receipt) return job->ended(fail(receipt.error()));
      job->ended(std::move(job->receipt));
    });
  }
}

void ChangelogClient::compact_when_long(const std::vector<Changed>& changed) {
  const ChangelogPtr changelog = changelog_of(*changed.front().table);
  if (!changelog) return;
  changelog->written += changed.size();
  const size_t live = tables_->values->count(changelog->name);
  if (changelog->written < std::max(options_.compact_after_changes, kCompactAfterRounds * live)) return;
  changelog->written = 0;
  compactor_.compact(changelog->topic);
}

}  // namespace

std::unique_ptr<Client> with_changelog(std::unique_ptr<Client> inner, Loop& loop, ChangelogOptions options) {
  return std::make_unique<ChangelogClient>(std::move(inner), loop, std::move(options));
}

Result<std::string> changelog_topic(const std::string& table) {
  const size_t first = table.find('/');
  const size_t last = table.rfind('/');
  if (first == std::string::npos || first == last || first == 0 || last + 1 == table.size()) {
    return fail(ErrorKind::kFixInput,
                fmt::format("a state table is named tenant/namespace/function, this one \"{}\"", table));
  }
  FMESH_TRY(const TopicName topic, TopicName::parse("persistent://" + table + std::string(kSuffix)));
  return topic.full();
}

}  // namespace fmesh::stream
