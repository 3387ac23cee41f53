// A world for tests of passes, which does what they ask for as an API server would: one resource n/f (or a mesh n/m),
// and whatever comes of it.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "operator/pass.h"

namespace fmesh::op {

inline constexpr const char* kFunctionOfTest = R"({
  "apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
  "metadata": {"name": "f", "namespace": "n", "uid": "u-f", "generation": 1},
  "spec": {"name": "f", "className": "a.B", "tenant": "t", "namespace": "d", "clusterName": "c", "replicas": 1,
           "autoAck": true, "forwardSourceMessageProperty": true, "input": {"topics": ["persistent://t/d/in"]},
           "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
           "java": {"jar": "/f.jar"}, "pulsar": {"pulsarConfig": "p"}}
})";

class PassTest : public testing::Test {
 protected:
  using Writes = std::vector<std::string>;

  static boost::json::object function_of_test() { return boost::json::parse(kFunctionOfTest).get_object(); }

  void put(const kube::ResourceType& type, boost::json::object object) {
    boost::json::object& metadata = object["metadata"].get_object();
    metadata["resourceVersion"] = std::to_string(++version_);
    if (!metadata.contains("uid")) {
      metadata["uid"] = std::string(type.kind) + "/" + std::string(metadata.at("name").get_string());
    }
    if (!metadata.contains("generation")) metadata["generation"] = 1;
    world_.of(type).put(*kube::Object::make(object));
  }
  boost::json::object get(const kube::ResourceType& type, const std::string& name) {
    const kube::ObjectPtr object = world_.of(type).get({"n", name});
    return object ? object->json().get_object() : boost::json::object();
  }
  // Someone writes the spec anew.
  void change(const kube::ResourceType& type, const std::string& name,
              const std::function<void(boost::json::object&)>& edit) {
    boost::json::object object = get(type, name);
    edit(object["spec"].get_object());
    boost::json::object& metadata = object["metadata"].get_object();
    metadata["generation"] = metadata["generation"].to_number<int64_t>() + 1;
    put(type, std::move(object));
  }
  std::string status(const kube::ResourceType& type, const std::string& name, const char* field) {
    const boost::json::object object = get(type, name);
    const boost::json::value* value = object.at("status").get_object().if_contains(field);
    return value ? boost::json::serialize(*value) : "";
  }

  // A whole pass; what it wrote, as "PUT StatefulSet"; writes of the status are left out.
  Writes run(const kube::ResourceType& type, const std::string& name) {
    Writes writes;
    sent_.clear();
    const std::unique_ptr<Pass> pass = make_pass(world_, settings_, {std::string(type.kind), "n", name});
    for (Step step = pass->next(); step.kind == Step::Kind::kWrite && writes.size() < 10; step = pass->next()) {
      if (step.write.verb != WriteVerb::kStatus) {
        writes.push_back(step.write.request.method + " " + std::string(step.write.type.kind));
        sent_.push_back(step.write.request.body);
      }
      carry_out(step.write);
      pass->answered(step.write, {});
    }
    for (const Note& note : pass->take_notes()) notes_ += note.text + "\n";
    return writes;
  }

  void carry_out(const Write& write) {
    if (write.request.method == "DELETE") {
      world_.of(write.type).remove(write.key, write.uid);
    } else if (write.request.method == "PATCH") {
      boost::json::object object = get(write.type, write.key.name);
      const boost::json::value patch = boost::json::parse(write.request.body);
      for (const auto& member : patch.at("metadata").get_object()) {
        object["metadata"].get_object()[member.key()] = member.value();
      }
      put(write.type, std::move(object));
    } else {
      boost::json::object object = boost::json::parse(write.request.body).get_object();
      object["metadata"].get_object()["namespace"] = "n";
      put(write.type, std::move(object));
    }
  }

  ManualClock clock_;
  World world_{clock_};
  Settings settings_;
  Writes sent_;        // the bodies of what the last pass wrote
  std::string notes_;  // all Events

 private:
  int version_ = 0;
};

}  // namespace fmesh::op
