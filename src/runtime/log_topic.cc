#include "runtime/log_topic.h"

#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/worker_pool.h"
#include "stream/batcher.h"

namespace fmesh::runtime {
namespace {

std::string dropped_text(int64_t lines, std::string_view why) {
  return std::to_string(lines) + " lines were not written to this log topic: " + std::string(why);
}

}  // namespace

struct LogTopic::State : std::enable_shared_from_this<LogTopic::State> {
  // A turn of the loop writes everything that waits.
  void schedule(int64_t delay_ms) {
    environment.loop->post_after(delay_ms, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->write_waiting();
    });
  }

  static Result<std::shared_ptr<stream::Producer>> open_producer(stream::Client& client, const std::string& topic) {
    stream::ProducerOptions options;
    options.topic = topic;
    options.compression = stream::Compression::kLz4;
    return client.open_producer(std::move(options));
  }

  Status open() {
    if (batcher) return {};
    FMESH_TRY(std::shared_ptr<stream::Producer> producer, open_producer(*environment.client, topic));
    begin(std::move(producer));
    return {};
  }

  // The stream is reached over a network, so a worker opens it while the lines go on waiting.
  void open_on_worker() {
    if (std::exchange(opening, true)) return;
    environment.workers->run(this, [self = shared_from_this(), client = environment.client, loop = environment.loop] {
      loop->post([self, producer = open_producer(*client, self->topic)] {
        self->opening = false;
        if (producer) {
          self->begin(*producer);
        } else {
          std::deque<LogLine> lines;
          {
            std::lock_guard lock(self->mutex);
            lines.swap(self->waiting);
          }
          self->lost(static_cast<int64_t>(lines.size()), producer.error().text());
          if (self->on_written && self->idle()) self->on_written();
          return;
        }
        self->write_waiting();
      });
    });
  }

  void begin(std::shared_ptr<stream::Producer> producer) {
    stream::BatcherOptions batching;
    batching.compression = stream::Compression::kLz4;
    batcher = std::make_unique<stream::Batcher>(*environment.client, std::move(producer), *environment.loop, batching,
                                                [this](const stream::BatchResult& result) {
                                                  if (!result.id) lost(result.record_count, result.id.error().text());
                                                  if (on_written && idle()) on_written();
                                                });
  }

  void lost(int64_t lines, std::string_view why) {
    std::lock_guard lock(mutex);
    dropped += lines;
    dropped_why = why;
  }

  void write_waiting() {
    std::deque<LogLine> lines;
    const bool waits = !batcher && environment.client->opening_waits();
    {
      std::lock_guard lock(mutex);
      scheduled = false;
      if (!waits) lines.swap(waiting);
      if (dropped > 0 && !lines.empty()) {
        LogLine told = lines.front();
        told.level = "warn";
        told.text = dropped_text(std::exchange(dropped, 0), dropped_why);
        lines.push_front(std::move(told));
      }
    }
    if (waits) return open_on_worker();
    Status status = open();
    while (status && !lines.empty()) {
      status = add(lines.front());
      if (status || status.error().kind() != ErrorKind::kRetryLater) lines.pop_front();
    }
    if (!lines.empty()) lost(static_cast<int64_t>(lines.size()), status.error().text());
    if (batcher) batcher->flush();
    if (on_written && idle()) on_written();
  }

  Status add(const LogLine& line) {
    const std::vector<stream::Property> properties = {{"fqn", fqn}, {"instance", instance}, {"loglevel", line.level}};
    stream::RecordView record;
    record.payload = line.text;
    record.properties = properties;
    record.event_time_ms = line.time_ms;
    return batcher->add(record);
  }

  bool idle() const {
    std::lock_guard lock(mutex);
    return waiting.empty() && (!batcher || batcher->idle());
  }

  std::string topic, fqn, instance;
  InstanceEnvironment environment;
  std::function<void()> on_written;
  std::unique_ptr<stream::Batcher> batcher;
  mutable std::mutex mutex;
  std::deque<LogLine> waiting;
  bool scheduled = false, opening = false;
  int64_t dropped = 0;
  std::string dropped_why;
};

LogTopic::LogTopic(std::string topic, std::string fqn, const InstanceEnvironment& environment,
                   std::function<void()> on_written)
    : state_(std::make_shared<State>()) {
  state_->topic = std::move(topic);
  state_->fqn = std::move(fqn);
  state_->environment = environment;
  state_->on_written = std::move(on_written);
}

LogTopic::~LogTopic() = default;

void LogTopic::write(const LogLine& line) {
  std::unique_lock lock(state_->mutex);
  if (state_->instance.empty()) state_->instance = std::to_string(line.instance_id);
  if (state_->waiting.size() >= kLogTopicLinesMax) {
    ++state_->dropped;
    state_->dropped_why = "there were more than " + std::to_string(kLogTopicLinesMax) + " at once";
    return;
  }
  state_->waiting.push_back(line);
  if (std::exchange(state_->scheduled, true)) return;
  lock.unlock();
  state_->schedule(kLogTopicDelayMs);
}

void LogTopic::flush() {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->waiting.empty()) return;
  }
  state_->write_waiting();
}

bool LogTopic::idle() const { return state_->idle(); }

}  // namespace fmesh::runtime
