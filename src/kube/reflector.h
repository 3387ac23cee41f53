// Keeps a Store true: lists one kind, then watches it, for ever. The watch machine inside is sans-IO (watch_machine.h);
// this is the hand that sends its requests and waits as it says.
//
// Belongs to its loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/rng.h"
#include "kube/api.h"
#include "kube/store.h"

namespace fmesh::kube {

struct ReflectorOptions {
  ResourceType type;
  std::string name_space;  // empty: all
  std::string label_selector, field_selector;
  // Changes an object before it is stored: drop what no one reads. May be null.
  std::function<void(boost::json::value&)> trim;
  int32_t page_size = 500;
};

class Reflector {
 public:
  static std::unique_ptr<Reflector> start(Api& api, Loop& loop, Rng& rng, Store& store, ReflectorOptions options);
  virtual ~Reflector() = default;  // stops
  // For status pages and /readyz: why the last attempt failed; empty if it goes well.
  virtual const std::string& trouble() const = 0;
};

}  // namespace fmesh::kube
