#include "runtime/new_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace fmesh::runtime {
namespace {

// {name} is the function's name, {class} its class in C++, {file} its name where - is not allowed.
constexpr std::string_view kCmake = R"(cmake_minimum_required(VERSION 3.20)
project({name} LANGUAGES CXX)

find_package(fmesh REQUIRED)

# The library that mesh.yaml names.
add_library({file} MODULE {file}.cc)
target_link_libraries({file} PRIVATE fmesh::function)
set_target_properties({file} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden)

enable_testing()
add_executable({file}_test {file}_test.cc)
target_link_libraries({file}_test PRIVATE fmesh::function)
add_test(NAME {name} COMMAND {file}_test)
)";

constexpr std::string_view kHeader = R"(// {name}: works out what an order costs.
#pragma once

#include <fmesh/function.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

struct Order {
  std::string id;
  int64_t quantity = 0;
  int64_t price_cents = 0;
  std::optional<int64_t> total_cents;
};
FMESH_JSON(Order, id, quantity, price_cents, total_cents)

class {class} : public fmesh::Function<Order, Order> {
 public:
  void open(fmesh::Context& context) override { quantity_max_ = context.config<int64_t>("quantityMax", 1000); }

  // An exception fails the record: it is tried again, then goes to the dead-letter stream if there is one.
  std::optional<Order> process(const Order& order, fmesh::Context& context) override {
    if (order.id.empty()) throw std::invalid_argument("id is missing");
    if (order.quantity > quantity_max_) throw std::invalid_argument("quantity is beyond quantityMax");
    if (order.quantity == 0) return std::nullopt;  // nothing is written
    context.add_counter("orders", 1);
    Order priced = order;
    priced.total_cents = order.quantity * order.price_cents;
    return priced;
  }

 private:
  int64_t quantity_max_ = 0;
};
)";

constexpr std::string_view kSource = R"(#include "{file}.h"

// The name is what className in mesh.yaml says; a library may export several. FMESH_NON_BLOCKING promises that the function
// never waits for a file, the network or a lock; leave it away if it may.
FMESH_FUNCTIONS(fmesh::function<{class}>("{name}", FMESH_NON_BLOCKING))
)";

constexpr std::string_view kTest = R"(// Tests the function with a host that is faked: no fmesh has to run.
#include "{file}.h"

#include <fmesh/testing.h>

#include <cstdio>

namespace {

int failed = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failed;
}

void prices_an_order() {
  fmesh::testing::FakeHost<{class}> host;
  host.send(R"__({"id":"a1","quantity":3,"price_cents":250})__");
  expect(host.outputs().size() == 1, "one output");
  expect(!host.outputs().empty() &&
             host.outputs()[0].payload == R"__({"id":"a1","quantity":3,"price_cents":250,"total_cents":750})__",
         "the total is quantity times price");
  expect(host.counters()["orders"] == 1, "the order is counted");
}

void fails_what_is_no_order() {
  fmesh::testing::FakeHost<{class}> host(R"__({"quantityMax":10})__");
  host.send("no JSON");
  host.send(R"__({"id":"a1","quantity":11,"price_cents":250})__");
  expect(host.failures().size() == 2, "both records fail");
  expect(host.outputs().empty(), "nothing is written");
}

}  // namespace

int main() {
  prices_an_order();
  fails_what_is_no_order();
  if (failed == 0) std::fputs("all tests passed\n", stderr);
  return failed == 0 ? 0 : 1;
}
)";

constexpr std::string_view kMesh = R"(# A generator makes orders, {name} prices each, the console shows them.
#   cmake -B build && cmake --build build && fmesh run mesh.yaml
apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: {name}
spec:
  sources:
    - name: orders
      sourceType: generator
      sourceConfig:
        rate: 2
        count: 10
        template: '{"id": "{{seq}}", "quantity": 3, "price_cents": 250}'
      output:
        topic: {name}-orders
  functions:
    - name: {name}
      className: {name}
      genericRuntime:
        language: cpp
        functionFile: build/{file}.so
      funcConfig:
        quantityMax: 100
      input:
        topics: [{name}-orders]
      output:
        topic: {name}-priced
  sinks:
    - name: show
      sinkType: console
      sinkConfig: {}
      input:
        topics: [{name}-priced]
)";

constexpr std::string_view kReadme = R"(# {name}

A function for fmesh. `{file}.h` holds it, `{file}.cc` exports it, `{file}_test.cc` tests it, `mesh.yaml` runs it.

| to | type |
|---|---|
| build it | `cmake -B build && cmake --build build` |
| test it | `ctest --test-dir build --output-on-failure` |
| run it | `fmesh run mesh.yaml` |

It needs an installed fmesh (`cmake --install`, or the Debian package) and a compiler for C++20; for another place than the
system's, `cmake -B build -DCMAKE_PREFIX_PATH=/where/fmesh/is`. While `fmesh run` runs, a rebuilt library is taken up with the
next change of mesh.yaml; the old one is never changed under a running function.
)";

std::string replaced(std::string_view text, std::string_view mark, const std::string& with) {
  std::string out(text);
  for (size_t at = 0; (at = out.find(mark, at)) != std::string::npos; at += with.size())
    out.replace(at, mark.size(), with);
  return out;
}

// "price-orders" -> "PriceOrders"
std::string class_name(const std::string& name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (c == '-') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

constexpr size_t kNameBytesMax = 43;  // what a resource's name may have, so that the pods' names fit

}  // namespace

Status check_function_name(const std::string& name) {
  const bool letters = std::all_of(name.begin(), name.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  if (letters && !name.empty() && name.size() <= kNameBytesMax && name[0] >= 'a' && name[0] <= 'z' &&
      name.back() != '-') {
    return {};
  }
  std::string good;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      if (!good.empty() && good.back() != '-') good += '-';
      good += static_cast<char>(c - 'A' + 'a');
    } else if (c >= 'a' && c <= 'z') {
      good += c;
    } else if (!good.empty() && (c >= '0' && c <= '9')) {
      good += c;
    } else if (!good.empty() && good.back() != '-') {
      good += '-';
    }
  }
  good.resize(std::min(good.size(), kNameBytesMax));
  while (!good.empty() && good.back() == '-') good.pop_back();
  return fail(ErrorKind::kFixInput,
              fmt::format("found the name \"{}\", expected a to z, 0 to 9 and -, beginning with a letter, at most {} "
                          "characters; e.g. {}",
                          name, kNameBytesMax, good.empty() ? "my-function" : good));
}

std::vector<ProjectFile> function_project(const std::string& name) {
  const std::string file = replaced(name, "-", "_");
  std::vector<ProjectFile> files = {{"CMakeLists.txt", std::string(kCmake)}, {file + ".h", std::string(kHeader)},
                                    {file + ".cc", std::string(kSource)},    {file + "_test.cc", std::string(kTest)},
                                    {"mesh.yaml", std::string(kMesh)},       {"README.md", std::string(kReadme)}};
  for (ProjectFile& one : files) {
    one.text = replaced(replaced(replaced(one.text, "{name}", name), "{file}", file), "{class}", class_name(name));
  }
  return files;
}

Status write_function_project(const std::string& name, const std::string& directory) {
  FMESH_CHECK(check_function_name(name));
  namespace files = std::filesystem;
  std::error_code code;
  if (files::exists(directory, code) && !(files::is_directory(directory, code) && files::is_empty(directory, code))) {
    return fail(ErrorKind::kFixInput, fmt::format("{} exists already; choose another name or remove it", directory));
  }
  files::create_directories(directory, code);
  if (code) return fail(ErrorKind::kRetryLater, fmt::format("{} can't be made: {}", directory, code.message()));
  for (const ProjectFile& one : function_project(name)) {
    const files::path path = files::path(directory) / one.path;
    std::ofstream out(path, std::ios::binary);
    out << one.text;
    out.close();
    if (!out) return fail(ErrorKind::kRetryLater, fmt::format("{} can't be written; is the disk full?", path.string()));
  }
  return {};
}

}  // namespace fmesh::runtime
