// What the tests of a component's objects share: resources from a line of YAML, and ways into the objects.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/json.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

inline constexpr const char* kTestUid = "0e6f6b8c-1111-2222-3333-444455556666";

inline model::ResourceSet read_yaml_set(const std::string& yaml) {
  model::ResourceSet set = model::read_text("a.yaml", yaml);
  EXPECT_EQ(model::render(set.findings, set.sources), "");
  return set;
}

// As written, without admission's defaults; in namespace "shop", named "orders".
inline model::Component component_of(std::string_view kind, std::string_view spec) {
  const model::ResourceSet set = read_yaml_set(fmt::format(
      "apiVersion: compute.functionmesh.io/v1alpha1\nkind: {}\nmetadata: {{name: orders, namespace: shop}}\nspec: "
      "{{{}}}\n",
      kind, spec));
  return model::without_defaults(set.components.at(0));
}

// A Java function that can be rendered, with `more` behind: "pod: {...}".
inline model::Component java_function(std::string_view more = "") {
  return component_of(
      "Function", fmt::format("className: C, java: {{jar: a.jar}}, input: {{topics: [in]}}, output: {{topic: out}}, "
                              "pulsar: {{pulsarConfig: blue}}{}{}",
                              more.empty() ? "" : ", ", more));
}

inline model::BackendConfig backend_config(std::string_view spec) {
  return read_yaml_set(fmt::format("apiVersion: compute.functionmesh.io/v1alpha1\nkind: BackendConfig\nmetadata: "
                                   "{{name: b}}\nspec: {{{}}}\n",
                                   spec))
      .backend_configs.at(0);
}

inline ClusterObjects objects_of(const model::Component& component, const ClusterOptions& options = {},
                                 const BackendConfigs& backend = {}) {
  auto objects = make_cluster_objects(component, backend, options, kTestUid);
  EXPECT_TRUE(objects) << (objects ? "" : objects.error().to_string());
  return objects ? std::move(*objects) : ClusterObjects();
}

// The text of what can't be rendered.
inline std::string refusal_of(const model::Component& component, const ClusterOptions& options = {}) {
  const auto objects = make_cluster_objects(component, {}, options, kTestUid);
  return objects ? "it was rendered" : objects.error().to_string();
}

// What is at a JSON pointer, as text; "absent" if nothing is.
inline std::string text_at(const boost::json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const boost::json::value* found = value.find_pointer(pointer, error);
  return found ? model::write_json(*found) : "absent";
}

inline boost::json::value pod_of(const ClusterObjects& objects) {
  return boost::json::value(objects.stateful_set).at_pointer("/spec/template/spec");
}

// The names of a list: "a,b".
inline std::string names_in(const boost::json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const boost::json::value* found = value.find_pointer(pointer, error);
  std::string out;
  if (!found || !found->is_array()) return "absent";
  for (const boost::json::value& item : found->get_array()) {
    out += (out.empty() ? "" : ",") + std::string(item.at("name").as_string());
  }
  return out;
}

}  // namespace fmesh::plan
