// Which streams a ConsumerCore reads: found when it is opened, and again now and then.
#include <algorithm>
#include <utility>

#include "stream/pulsar/client/consumer_core.h"
#include "stream/pulsar/client/patience.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar {
namespace {

constexpr size_t kSourcesMax = 10'000;

}  // namespace

void ConsumerCore::open(std::function<void(Status)> opened) {
  opened_ = std::move(opened);
  find_topics([self = shared_from_this()](const Status& status) {
    if (!status || self->sources_.empty()) return self->finish_open(status);
    if (self->opening_ == 0) self->finish_open({});
  });
}

void ConsumerCore::find_topics(std::function<void(Status)> done) {
  ++opening_;  // so that it is not taken for open before all are known
  const auto found = [self = shared_from_this(), done = std::move(done)](const Status& status) {
    --self->opening_;
    done(status);
  };
  if (options_.topic_pattern.empty()) return look_up_next(0, found);
  look_up_pattern(found);
}

void ConsumerCore::look_up_next(size_t index, const std::function<void(Status)>& done) {
  if (index >= options_.topics.size() || closed_) return done({});
  const std::string topic = options_.topics[index];
  ask_patiently<uint32_t>(
      parts_,
      [parts = parts_, topic, make = !options_.read_only](Lookup::Done<uint32_t> answer) {
        parts->lookup.partitions(topic, make, std::move(answer));
      },
      [self = shared_from_this(), index, topic, done](std::expected<uint32_t, Refusal> count) {
        if (!count) return done(fail(count.error().error));
        self->add_partitions(topic, *count);
        self->look_up_next(index + 1, done);
      });
}

void ConsumerCore::look_up_pattern(const std::function<void(Status)>& done) {
  if (!pattern_) {
    auto pattern = TopicPattern::parse(options_.topic_pattern);
    if (!pattern) return done(fail(std::move(pattern).error()));
    pattern_ = *std::move(pattern);
  }
  using Topics = std::vector<std::string>;
  ask_patiently<Topics>(
      parts_,
      [parts = parts_, name_space = pattern_->name_space()](Lookup::Done<Topics> answer) {
        parts->lookup.topics(name_space, std::move(answer));
      },
      [self = shared_from_this(), done](const std::expected<Topics, Refusal>& topics) {
        if (!topics) return done(fail(topics.error().error));
        for (const std::string& text : *topics) {
          const auto name = TopicName::parse(text);
          if (!name) continue;
          const auto partition = name->partition_index();
          std::string topic = text;
          if (partition) topic.resize(topic.rfind("-partition-"));
          if (!self->pattern_->matches(topic)) continue;
          if (partition) {
            self->add_source(topic, *partition);
          } else {
            self->add_partitions(topic, 0);
          }
        }
        done({});
      });
}

void ConsumerCore::add_partitions(const std::string& topic, uint32_t count) {
  if (options_.partition >= 0 && count > 0) {
    // Also one that is not there: the broker's words for it are better than silence.
    return add_source(topic, options_.partition);
  }
  if (count == 0) return add_source(topic, -1);
  for (uint32_t index = 0; index < count; ++index) add_source(topic, static_cast<int32_t>(index));
}

void ConsumerCore::add_source(const std::string& topic, int32_t partition) {
  std::shared_ptr<const std::string> name;
  size_t index = sources_.size();
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (*sources_[i].topic != topic) continue;
    name = sources_[i].topic;
    if (sources_[i].partition != partition) continue;
    if (sources_[i].consumer) return;
    index = i;  // it was there once
  }
  if (index >= kSourcesMax || closed_) return;
  if (!name) name = std::make_shared<const std::string>(topic);
  PartitionConsumerOptions options;
  options.topic = partition < 0 ? topic : topic + "-partition-" + std::to_string(partition);
  options.subscription = options_.subscription;
  options.consumer_name = options_.name;
  options.type = options_.type;
  // What joins an open consumer is read from its beginning: it was made after the consumer was.
  options.position = is_open_ ? InitialPosition::kEarliest : options_.position;
  options.partition = partition;
  options.durable = !options_.read_only;
  options.makes_topic = !options_.read_only;
  options.compacted = options_.read_only && options_.compacted;
  const auto consumer =
      std::make_shared<PartitionConsumer>(*parts_, *this, static_cast<uint32_t>(index), std::move(options));
  if (index == sources_.size()) sources_.push_back({nullptr, name, partition, topic.starts_with("persistent://"), -1});
  sources_[index].consumer = consumer;
  share_room();
  ++opening_;
  consumer->open([self = shared_from_this(), consumer](const Status& status) { self->opened_one(consumer, status); });
}

void ConsumerCore::opened_one(const std::shared_ptr<PartitionConsumer>& consumer, const Status& status) {
  --opening_;
  if (closed_) return;
  if (!status && opened_) return finish_open(status);
  if (!status && status.error().kind() == ErrorKind::kFixInput) return gave_up(*consumer, status.error());
  if (!status) return let_go_of(*consumer);  // it is found again at the next look
  if (opened_ && opening_ == 0) finish_open({});
}

void ConsumerCore::finish_open(const Status& status) {
  const auto opened = std::exchange(opened_, nullptr);
  if (!opened) return;
  if (!status) {
    // Not from within one of their own calls.
    parts_->loop.post([self = shared_from_this()] { self->close(); });
    return opened(status);
  }
  is_open_ = true;
  watch_growth();
  end_what_takes_too_long();
  opened({});
}

// Equal shares: which stream has most to bring is not known.
void ConsumerCore::share_room() {
  const auto count = static_cast<int64_t>(std::max<size_t>(sources_.size(), 1));
  for (const Source& source : sources_) {
    if (source.consumer) {
      source.consumer->set_share(int64_t{parts_->options.receive_records_max} / count,
                                 static_cast<int64_t>(parts_->options.receive_size_max_bytes) / count);
    }
  }
}

void ConsumerCore::watch_growth() {
  growth_timer_ = parts_->loop.post_after(parts_->options.discovery_ms, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->closed_) return;
    self->growth_timer_ = 0;
    // What can't be looked up now is looked up the next time.
    self->find_topics([weak](const Status&) {
      const auto alive = weak.lock();
      if (alive && !alive->closed_) alive->watch_growth();
    });
  });
}

}  // namespace fmesh::stream::pulsar
