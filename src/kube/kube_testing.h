// Objects for tests of this room.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "kube/json.h"
#include "kube/object.h"

namespace fmesh::kube {

struct TestObject {
  std::string name, uid, version;
  std::string owner_uid = {};
  std::string name_space = "ns";
};

inline boost::json::value test_json(const TestObject& test) {
  boost::json::object metadata = {
      {"name", test.name}, {"namespace", test.name_space}, {"uid", test.uid}, {"resourceVersion", test.version}};
  if (!test.owner_uid.empty()) {
    metadata["ownerReferences"] = boost::json::array{
        boost::json::object{{"kind", "Function"}, {"name", "owner"}, {"uid", test.owner_uid}, {"controller", true}}};
  }
  return {{"apiVersion", "v1"}, {"kind", "Service"}, {"metadata", std::move(metadata)}};
}

inline ObjectPtr test_object(const TestObject& test) {
  Result<ObjectPtr> object = Object::make(test_json(test));
  EXPECT_TRUE(object) << (object ? "" : object.error().text());
  return object ? *object : nullptr;
}

inline boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

}  // namespace fmesh::kube
