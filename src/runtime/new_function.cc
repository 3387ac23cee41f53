#include "runtime/new_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace fmesh::runtime {
namespace {

// {name} is the function's name, {class} its class in C++, {file} its name where - is not allowed, {mesh} is
// the name of its mesh, {source} and {sink} are the components beside it.
constexpr std::string_view kCmake = R"(cmake_minimum_required(VERSION 3.20)
project({name} LANGUAGES CXX)

find_package(fmesh REQUIRED)

# The library that mesh.yaml names.
add_library({file}_function MODULE {file}.cc)
target_link_libraries({file}_function PRIVATE fmesh::function)
set_target_properties({file}_function PROPERTIES PREFIX "" OUTPUT_NAME {file} CXX_VISIBILITY_PRESET hidden)

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
  expect(host.counter("orders") == 1, "the order is counted");
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
#   {next}
apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: {mesh}
spec:
  sources:
    - name: {source}
      sourceType: generator
      sourceConfig:
        rate: 2
        count: 10
        template: '{"id": "{{seq}}", "quantity": 3, "price_cents": 250}'
      output:
        topic: {name}-orders
  functions:
    - name: {name}
{runtime}
      funcConfig:
        quantityMax: 100
      input:
        topics: [{name}-orders]
      output:
        topic: {name}-priced
  sinks:
    - name: {sink}
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
| run it | `fmesh run mesh.yaml`; Ctrl-C ends it, `--until-drained` ends it after the last record |
| begin anew | `rm -r .fmesh`: the streams, the state and how far they were read |

It needs an installed fmesh (`cmake --install`, or the Debian package), CMake and a compiler for C++20. CMake finds fmesh if the
program is on the PATH; else say where it is: `cmake -B build -DCMAKE_PREFIX_PATH=/where/fmesh/is`.

While `fmesh run` runs, a rebuilt library is taken up with the next change of mesh.yaml; the old one is never changed under a
running function.
)";

constexpr std::string_view kRuntime = R"(      className: {name}
      genericRuntime:
        language: cpp
        functionFile: build/{file}.so)";

// `fmesh new function --python`: the same function in Python, as it is written for Pulsar.
constexpr std::string_view kPythonSource = R"__("""{name}: works out what an order costs."""

import json

from pulsar import Function


class {class}(Function):
    def process(self, input, context):
        """An exception fails the record: it is tried again, then goes to the dead-letter stream if there is one."""
        order = json.loads(input)
        if not order.get("id"):
            raise ValueError("id is missing")
        if order["quantity"] > context.get_user_config_value("quantityMax"):
            raise ValueError("quantity is beyond quantityMax")
        if order["quantity"] == 0:
            return None  # nothing is written
        context.incr_counter("orders", 1)
        order["total_cents"] = order["quantity"] * order["price_cents"]
        return json.dumps(order)
)__";

constexpr std::string_view kPythonRuntime = R"(      className: {file}.{class}
      python:
        py: {file}.py)";

constexpr std::string_view kPythonTest = R"(# What has to come out of which records: fmesh test mesh_test.yaml
mesh: mesh.yaml
tests:
  - name: the total is quantity times price
    given:
      - stream: {name}-orders
        records:
          - {value: {id: a1, quantity: 3, price_cents: 250}}
          - {value: {id: a2, quantity: 0, price_cents: 250}}
    expect:
      - stream: {name}-priced
        records:
          - {value: {id: a1, quantity: 3, price_cents: 250, total_cents: 750}}
)";

constexpr std::string_view kPythonReadme = R"(# {name}

A function for fmesh in Python. `{file}.py` holds it, `mesh_test.yaml` tests it, `mesh.yaml` runs it. The same file runs in Pulsar's own
Python instance.

| to | type |
|---|---|
| test it | `fmesh test mesh_test.yaml` |
| run it | `fmesh run mesh.yaml`; Ctrl-C ends it, `--until-drained` ends it after the last record |
| begin anew | `rm -r .fmesh`: the streams, the state and how far they were read |

It needs fmesh and Debian's `libpython3.11`. Packages of an active virtual environment of Python 3.11 are found.
)";

constexpr std::string_view kIgnored = R"(/build/
/.fmesh/
)";

// `fmesh new mesh`: runs as it is and shows what each part is for.
constexpr std::string_view kMeshOnly =
    R"(# {name}: a generator makes orders, a jq expression works on each, the console shows them.
#   fmesh run {name}/mesh.yaml
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
        count: 20
        template: '{"order": {{seq}}, "items": 3, "price": 5}'
      output:
        topic: orders
  functions:
    - name: total
      className: map
      genericRuntime:
        language: builtin
      funcConfig:
        expression: '. + {total: (.items * .price)}'
      input:
        topics: [orders]
      output:
        topic: totals
  sinks:
    - name: show
      sinkType: console
      sinkConfig: {}
      input:
        topics: [totals]
)";

constexpr std::string_view kMeshReadme = R"(# {name}

A mesh of three components: `orders` (generator) -> `total` (built-in function `map`, a jq expression) -> `show` (console).

| to | type |
|---|---|
| check it | `fmesh validate mesh.yaml` |
| see it | `fmesh graph mesh.yaml` |
| run it | `fmesh run mesh.yaml` |
| look up a field | `fmesh explain functionmesh.spec.functions` |

Next: replace the generator by a `file` or `http` source, change the expression, or add a function of your own with
`fmesh new function NAME`.
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

// `usual`, unless the function has that name.
std::string other_name(const std::string& usual, const std::string& name, const std::string& instead) {
  return usual == name ? instead : usual;
}

std::vector<ProjectFile> filled(std::vector<ProjectFile> files,
                                const std::vector<std::pair<std::string_view, std::string>>& marks) {
  for (ProjectFile& one : files) {
    for (const auto& [mark, with] : marks) {
      one.text = replaced(one.text, mark, with);
      one.path = replaced(one.path, mark, with);
    }
  }
  return files;
}

// On Kubernetes a component is called MESH-NAME, with 43 characters at most: "shop-orders", "try-price-orders".
constexpr size_t kNameBytesMax = 36;
constexpr size_t kMeshNameBytesMax = 43;

// `next`: how to run it, once it is written.
std::vector<ProjectFile> function_files(std::vector<ProjectFile> files, const std::string& name,
                                        std::string_view runtime, const std::string& next) {
  return filled(std::move(files), {{"{runtime}", std::string(runtime)},
                                   {"{next}", next},
                                   {"{name}", name},
                                   {"{file}", replaced(name, "-", "_")},
                                   {"{class}", other_name(class_name(name), "Order", "OrderFunction")},
                                   {"{mesh}", 2 * name.size() + 1 <= kMeshNameBytesMax ? name : "try"},
                                   {"{source}", other_name("orders", name, "make-orders")},
                                   {"{sink}", other_name("show", name, "console")}});
}

}  // namespace

Status check_project_name(const std::string& name) {
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
              fmt::format("the name \"{}\" has to have a to z, 0 to 9 and - only, begin with a letter, not end "
                          "with -, and be no longer than {}; e.g. {}",
                          name, kNameBytesMax, good.empty() ? "my-function" : good));
}

std::vector<ProjectFile> function_project(const std::string& name) {
  return function_files({{"CMakeLists.txt", std::string(kCmake)},
                         {"{file}.h", std::string(kHeader)},
                         {"{file}.cc", std::string(kSource)},
                         {"{file}_test.cc", std::string(kTest)},
                         {"mesh.yaml", std::string(kMesh)},
                         {"README.md", std::string(kReadme)},
                         {".gitignore", std::string(kIgnored)}},
                        name, kRuntime, "cmake -B build && cmake --build build && fmesh run mesh.yaml");
}

std::vector<ProjectFile> python_project(const std::string& name) {
  return function_files({{"{file}.py", std::string(kPythonSource)},
                         {"mesh.yaml", std::string(kMesh)},
                         {"mesh_test.yaml", std::string(kPythonTest)},
                         {"README.md", std::string(kPythonReadme)},
                         {".gitignore", "/.fmesh/\n__pycache__/\n"}},
                        name, kPythonRuntime, "fmesh run mesh.yaml");
}

std::vector<ProjectFile> mesh_project(const std::string& name) {
  return filled({{"mesh.yaml", std::string(kMeshOnly)}, {"README.md", std::string(kMeshReadme)}}, {{"{name}", name}});
}

Status write_project(const std::vector<ProjectFile>& project, const std::string& directory) {
  namespace files = std::filesystem;
  std::error_code code;
  if (files::exists(directory, code) && !(files::is_directory(directory, code) && files::is_empty(directory, code))) {
    return fail(ErrorKind::kFixInput,
                fmt::format("{} exists already and is not empty; choose another name or remove it", directory));
  }
  files::create_directories(directory, code);
  if (code) return fail(ErrorKind::kRetryLater, fmt::format("{} can't be made: {}", directory, code.message()));
  for (const ProjectFile& one : project) {
    const files::path path = files::path(directory) / one.path;
    std::ofstream out(path, std::ios::binary);
    out << one.text;
    out.close();
    if (!out) return fail(ErrorKind::kRetryLater, fmt::format("{} can't be written; is the disk full?", path.string()));
  }
  return {};
}

}  // namespace fmesh::runtime
