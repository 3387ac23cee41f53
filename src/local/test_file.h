// A test file of `fmesh test`: which mesh, which records are given in which streams, which are expected out. Read with
// place and path for every error, like resources. Values. The format is described in docs/guide/testing.md.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/diagnostics.h"
#include "observe/mesh_view.h"

namespace fmesh::local {

struct GivenStream {
  std::string topic;  // full name
  std::vector<observe::NewRecord> records;
};

// What is left out is not compared.
struct ExpectedRecord {
  std::optional<std::string> key;
  std::optional<boost::json::value> value;  // the payload as JSON
  std::optional<std::string> text;          // or as it is
  std::vector<std::pair<std::string, std::string>> properties;
  std::optional<int64_t> event_time_ms;
};

struct ExpectedStream {
  std::string topic;
  bool ordered = true;
  std::vector<ExpectedRecord> records;  // all that are in the stream at the end
};

struct TestCase {
  std::string name;
  std::vector<std::string> only;  // components; empty: all functions
  int64_t start_time_ms = 1'700'000'000'000;
  int64_t advance_ms = 0;  // how far the clock runs before the input ends
  std::vector<GivenStream> given;
  std::vector<ExpectedStream> expect;
};

struct TestFile {
  std::vector<std::string> mesh_files;  // relative to the current directory
  std::vector<TestCase> cases;
};

// Errors: kFixInput, all findings rendered.
Result<TestFile> read_test_file(const std::string& path);
Result<TestFile> read_test_text(const std::string& path, const std::string& text);

// "expected ..., found ..." for the first difference of a record, or nothing. JSON numbers are equal if their values
// are.
std::optional<std::string> difference(const ExpectedRecord& expected, const observe::RecordLine& found);
// All differences between what a stream holds and what is expected, one line each.
std::vector<std::string> differences(const ExpectedStream& expected, const std::vector<observe::RecordLine>& found);

}  // namespace fmesh::local
