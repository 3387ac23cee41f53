#include "local/log_ring.h"

#include <gtest/gtest.h>

namespace fmesh::local {
namespace {

runtime::LogLine line(const std::string& component, const std::string& text) { return {1, component, 0, "info", text}; }

TEST(LogRing, KeepsTheLastLinesOfEachComponent) {
  LogRing ring;
  for (size_t i = 0; i < kLogLinesPerComponentMax + 5; ++i) ring.add(line("a", std::to_string(i)));
  ring.add(line("b", "other"));
  const auto all = ring.last("a", SIZE_MAX);
  ASSERT_EQ(all.size(), kLogLinesPerComponentMax);
  EXPECT_EQ(all.front().text, "5");
  EXPECT_EQ(ring.last("a", 1).front().text, std::to_string(kLogLinesPerComponentMax + 4));
  EXPECT_EQ(ring.last("b", 10).size(), 1U);
  EXPECT_TRUE(ring.last("nobody", 10).empty());
}

TEST(LogRing, StaysWithinItsBytesWhateverAFunctionLogs) {
  LogRing ring;
  for (int i = 0; i < 200; ++i) ring.add(line("a", std::string(1'000'000, 'x')));
  size_t bytes = 0;
  for (const auto& kept : ring.last("a", SIZE_MAX)) bytes += kept.text.size();
  EXPECT_LE(bytes, kLogBytesPerComponentMax);
  EXPECT_GT(bytes, kLogBytesPerComponentMax / 2);
}

TEST(LogRing, FollowersSeeLinesOfTheirComponentUntilTheyLetGo) {
  LogRing ring;
  std::vector<std::string> seen;
  auto following = ring.follow("a", [&](const runtime::LogLine& one) {
    seen.push_back(one.text);
    return true;
  });
  ring.add(line("a", "1"));
  ring.add(line("b", "2"));
  following.reset();
  ring.add(line("a", "3"));
  EXPECT_EQ(seen, std::vector<std::string>{"1"});
}

}  // namespace
}  // namespace fmesh::local
