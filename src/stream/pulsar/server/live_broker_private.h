// The LiveView of a broker: asks its loop and waits for the answer, on the worker on which the admin API answers.
#pragma once

#include <map>
#include <string>

#include "stream/pulsar/server/broker_private.h"
#include "stream/pulsar/server/live_view.h"

namespace fmesh::stream::pulsar::server {

class LiveBroker final : public LiveView {
 public:
  explicit LiveBroker(Broker& broker) : broker_(broker) {}
  std::map<std::string, LiveTopic> live_topics(const std::string& topic_prefix) override;
  void disconnect(const std::string& topic, const std::string& subscription) override;

 private:
  Broker& broker_;
};

}  // namespace fmesh::stream::pulsar::server
