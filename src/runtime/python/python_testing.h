// What tests of Python functions share: a folder with the code of one function, opened as a Logic in this process or in
// a child. The interpreter of this process stays from test to test, so every function has a module of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/logic_testing.h"
#include "runtime/python/python_logic.h"

namespace fmesh::runtime {

inline constexpr const char* kInput = "persistent://public/default/in";

class PythonCase : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("fmesh-python-" + std::to_string(::getpid()) + "-" +
                                                        testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    spec_.host = model::HostKind::kPython;
    spec_.component = "shop";
    spec_.details.tenant = "public";
    spec_.details.name_space = "default";
    spec_.details.name = "shop";
    spec_.details.source.emplace().input_specs[kInput] = {};
    spec_.details.sink.emplace().topic = "persistent://public/default/out";
  }
  void TearDown() override {
    logic_.reset();
    std::filesystem::remove_all(folder_);
  }

  bool in_child_ = false;

  // A module named after the test, so that none is taken for another.
  std::string module() const {
    return std::string("t_") + testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }

  Status open(const std::string& text, const std::string& attribute = "") {
    write(module() + ".py", text);
    spec_.library_path = folder_ / (module() + ".py");
    spec_.details.class_name = module() + (attribute.empty() ? "" : "." + attribute);
    return open();
  }
  Status open() {
    context_.emplace(spec_);
    if (in_child_) {
      auto made = make_logic(spec_, folder_ / "cache");
      if (!made) return fail(made.error());
      logic_ = std::move(*made);
    } else {
      logic_ = make_python_logic({.directory = folder_ / "unpacked"});
    }
    return logic_->open(*context_);
  }
  FakeBatch run(const std::vector<std::string>& payloads) {
    FakeBatch batch;
    const std::vector<LogicRecord> records = records_of(payloads);
    logic_->process(records, batch);
    return batch;
  }
  std::string open_error(const std::string& text, const std::string& attribute = "") {
    const Status status = open(text, attribute);
    return status ? "no error" : status.error().text();
  }

  std::filesystem::path folder_;
  model::InstanceSpec spec_;
  std::optional<FakeLogicContext> context_;
  std::unique_ptr<Logic> logic_;
};

}  // namespace fmesh::runtime
