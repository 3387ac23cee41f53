#include "cli/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/units.h"

namespace fmesh::cli {
namespace {

using testing::HasSubstr;

observe::MeshState shop() {
  observe::MeshState state;
  state.name = "shop";
  state.state = "running";
  state.started_ms = 1'000;
  state.process_id = 42;
  observe::ComponentView orders;
  orders.name = "orders";
  orders.runs = "generator";
  orders.state = "running";
  orders.replicas = 1;
  orders.written_per_s = 1'234.5;
  orders.written_total = 98'765;
  observe::ComponentView enrich;
  enrich.name = "enrich";
  enrich.runs = "native libenrich.so";
  enrich.state = "backoff";
  enrich.replicas = 2;
  enrich.inputs = {"persistent://public/default/orders"};
  enrich.backlog_records = 12;
  enrich.errors_total = 3;
  enrich.last_error = "record 1:2: bad\x1b[31m thing";
  state.components = {orders, enrich};
  return state;
}

TEST(Tables, ShowAMeshAlignedAndPlain) {
  EXPECT_EQ(render_mesh(shop(), 66'000, {}),
            "shop  running  up 1 m 05 s  pid 42\n"
            "NAME    RUNS                 STATE    REPLICAS  IN/S  OUT/S  IN    OUT  BACKLOG  ERRORS  DEAD  CPU%\n"
            "orders  generator            running         1     0   1235   0  98.8k        -       0     0     0\n"
            "enrich  native libenrich.so  backoff         2     0      0   0      0       12       3     0     0\n"
            "enrich: record 1:2: bad\\x1b[31m thing\n");
}

TEST(Tables, NeverDrawMoreThanTheTerminalHolds) {
  const std::string text = render_mesh(shop(), 66'000, {.width = 40, .lines_max = 1, .colours = true});
  EXPECT_THAT(text, HasSubstr("... and 1 more components"));
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) {
    EXPECT_LE(shown_width(text.substr(begin, end - begin)), 40U);
  }
}

TEST(Tables, LeaveColumnsOutRatherThanCutNumbers) {
  EXPECT_EQ(render_mesh(shop(), 66'000, {.width = 40, .lines_max = 0, .colours = false}),
            "shop  running  up 1 m 05 s  pid 42\n"
            "NAME    STATE    IN/S  BACKLOG  ERRORS\n"
            "orders  running     0        -       0\n"
            "enrich  backoff     0       12       3\n"
            "enrich: record 1:2: bad\\x1b[31m thing\n");
  observe::MeshState state = shop();
  state.components[0].name = "a-component-with-a-very-long-name";
  EXPECT_THAT(render_mesh(state, 66'000, {.width = 40, .lines_max = 0, .colours = false}),
              HasSubstr("a-component-with…  running     0       0\n"));
  EXPECT_THAT(render_mesh(state, 66'000, {.width = 80, .lines_max = 0, .colours = false}), HasSubstr("BACKLOG"));
}

TEST(Tables, UseNoColoursUnlessAsked) {
  EXPECT_THAT(render_mesh(shop(), 0, {}), testing::Not(HasSubstr("\x1b[")));
  EXPECT_THAT(render_mesh(shop(), 0, {.width = 0, .lines_max = 0, .colours = true}), HasSubstr("\x1b["));
}

TEST(Tables, ShowEachSubscriptionOfAStreamOnALine) {
  observe::StreamView stream;
  stream.topic = "persistent://public/default/in";
  stream.records = 10;
  stream.bytes = 2'048;
  stream.subscriptions = {{"a", "shared", 1, 3, 0, 0}, {"b", "failover", 1, 0, 0, 0}};
  EXPECT_EQ(render_streams({stream}, {}),
            "STREAM  PARTITIONS  RECORDS      SIZE  SUBSCRIPTION  TYPE      BACKLOG\n"
            "in               0       10  2.00 KiB  a             shared          3\n"
            "                                       b             failover        0\n");
}

TEST(Units, ReadSizesAndTimes) {
  EXPECT_EQ(*parse_size("10M"), 10 << 20);
  EXPECT_EQ(*parse_size("1.5K"), 1'536);
  EXPECT_EQ(*parse_duration_ms("7d"), 7 * 86'400'000LL);
  EXPECT_EQ(*parse_duration_ms("10"), 10'000);
  EXPECT_EQ(*parse_duration_ms("250ms"), 250);
  for (const char* bad : {"", "x", "-1", "5y", "1e400", "nan"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
    EXPECT_FALSE(parse_duration_ms(bad)) << bad;
  }
}

TEST(Units, ReadReplicas) {
  EXPECT_EQ(*parse_replicas("a=b=3"), (std::pair<std::string, int32_t>("a=b", 3)));
  for (const char* bad : {"", "a", "=1", "a=", "a=x", "a=-1", "a=5000"}) EXPECT_FALSE(parse_replicas(bad)) << bad;
}

TEST(Units, ShowCountsInThreeDigits) {
  EXPECT_EQ(show_count(9'999), "9999");
  EXPECT_EQ(show_count(12'345), "12.3k");
  EXPECT_EQ(show_count(999'999), "1.00M");
  EXPECT_EQ(show_rate(0.04), "0.0");
  EXPECT_EQ(show_bytes(1'536), "1.50 KiB");
}

}  // namespace
}  // namespace fmesh::cli
