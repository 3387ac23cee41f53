// The headers for function authors, seen by an author: JSON by structs and by path, and the fake host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fmesh/json.h"
#include "fmesh/json_path.h"
#include "fmesh/testing.h"

struct Item {
  std::string sku;
  double price = 0;
};
FMESH_JSON(Item, sku, price)

struct Order {
  std::string id;
  int64_t amount = 0;
  uint64_t serial = 0;
  bool paid = false;
  std::vector<Item> items;
  std::optional<std::string> note;
  std::map<std::string, int32_t> counts;
  std::vector<bool> flags;
};
FMESH_JSON(Order, id, amount, serial, paid, items, note, counts, flags)

namespace fmesh {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
  try {
    json::parse<Order>(text);
  } catch (const JsonError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Json, AStructSurvivesWritingAndReading) {
  const std::string text =
      R"({"id":"a\"\\\n\u0001é","amount":-9223372036854775808,"serial":18446744073709551615,"paid":true,)"
      R"("items":[{"sku":"x","price":0.1},{"sku":"y","price":1e+30}],"note":"n","counts":{"a":1},"flags":[true,false]})";
  EXPECT_EQ(json::dump(json::parse<Order>(text)), text);
}

TEST(Json, SkipsUnknownMembersAndKeepsDefaultsOfMissingOnes) {
  const Order order =
      json::parse<Order>(R"( { "new" : {"deep":[1,{"x":null}]} , "id" : "\u20ac\ud83d\ude00" , "note":null } )");
  EXPECT_EQ(order.id, "€😀");
  EXPECT_EQ(order.amount, 0);
  EXPECT_FALSE(order.note);
}

TEST(Json, AnErrorNamesTheMemberByItsPath) {
  EXPECT_THAT(error_of(R"({"items":[{"price":1},{"price":"2"}]})"), HasSubstr("items[1].price: "));
  EXPECT_THAT(error_of(R"({"counts":{"k":3000000000}})"), HasSubstr("counts.k: "));
  EXPECT_THAT(error_of(R"({"amount":1.5})"), HasSubstr("amount: "));
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string_view text : {"", "{", "[]", "nul", R"({"id":"a)", R"({"id":"a"} x)", R"({"id":"\x"})",
                                      R"({"id":"\ud800"})", R"({"paid":tru})", R"({"amount":-})", R"({"id" "a"})"}) {
    EXPECT_NE(error_of(text), "no error") << text;
  }
  EXPECT_NE(error_of(R"({"deep":)" + std::string(100'000, '[')), "no error");
}

TEST(Json, FindsTheEndOfPlainTextWhereverItIs) {
  for (size_t size = 0; size <= 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, '\x80');
        text[at] = static_cast<char>(byte);
        const bool special = byte == '"' || byte == '\\' || byte < 0x20;
        EXPECT_EQ(json::detail::plain_end(text.data(), text.data() + size) - text.data(), special ? at : size);
      }
    }
  }
}

TEST(Json, ReadsAndWritesStringsWithEscapesAtAnyPlace) {
  for (size_t before = 0; before < 12; ++before) {
    for (const char* special : {"\"", "\\", "\n", "\x01", "\xc3\xa9", "\"\\"}) {
      const std::string text = std::string(before, 'a') + special + std::string(10, 'b');
      std::string written;
      json::write_string(written, text);
      EXPECT_EQ(json::parse<std::string>(written), text) << written;
    }
  }
  EXPECT_THROW(json::parse<std::string>("\"aaaaaaaaaa\x1f\""), JsonError);
  EXPECT_THROW(json::parse<std::string>("\"aaaaaaaaaa\\n\x1f\""), JsonError);
  EXPECT_THROW(json::parse<std::string>("\"aaaaaaaaaa"), JsonError);
}

TEST(JsonPath, FindsMembersAndElements) {
  const std::string_view text = R"({"a":{"b":[10,{"c.d":"x"}]},"\u0065":1})";
  EXPECT_EQ(json::find(text, "a.b[0]").raw, "10");
  EXPECT_EQ(json::find(text, R"(a.b[1]["c.d"])").raw, R"("x")");
  EXPECT_EQ(json::find(text, "e").raw, "1");
  EXPECT_EQ(json::find(text, "a").type, json::Type::kObject);
  EXPECT_EQ(json::find(text, "").raw, text);
  for (const std::string_view path : {"b", "a.x", "a.b[2]", "a[0]", "a.b.c", "a.b[x]", "a.b[1", "a."}) {
    EXPECT_EQ(json::find(text, path).type, json::Type::kNone) << path;
  }
}

TEST(JsonPath, NeverReadsBeyondABrokenText) {
  const std::string text = R"({"a":{"b":[10,{"c":"x\\"}]},"d":[true,null]})";
  for (size_t size = 0; size < text.size(); ++size) {
    const std::string cut(text.data(), size);
    EXPECT_EQ(json::find(std::string_view(cut), "zz").type, json::Type::kInvalid) << cut;
  }
}

TEST(JsonPath, SetsAValueAndKeepsEveryOtherByte) {
  std::string out;
  const std::string text = R"( {"a": {"b":[1, 2 ,3]} , "n":1.0})";
  json::set(out, text, "a.b[1]", "\"two\"");
  EXPECT_EQ(out, R"( {"a": {"b":[1, "two" ,3]} , "n":1.0})");
  json::set(out, text, "a.new", "7");
  EXPECT_EQ(out, R"( {"a": {"b":[1, 2 ,3],"new":7} , "n":1.0})");
  json::set(out, "{ }", "x", "1");
  EXPECT_EQ(out, R"({ "x":1})");
  EXPECT_THROW(json::set(out, text, "a.b[3]", "1"), JsonError);
  EXPECT_THROW(json::set(out, text, "n.x", "1"), JsonError);
  EXPECT_THROW(json::set(out, "{\"a\":", "a", "1"), JsonError);
}

class Greets : public Function<std::string, Record<std::string>> {
 public:
  void open(Context& context) override { greeting_ = context.config<std::string>("greeting", "hello"); }
  std::optional<Record<std::string>> process(const std::string& name, Context& context) override {
    if (name.empty()) return std::nullopt;
    if (name == "nobody") throw std::invalid_argument("nobody is here");
    context.put_state(name, "seen");
    context.publish("audit", name);
    context.info("greeted " + name);
    Record<std::string> out;
    out.value = greeting_ + " " + name;
    out.key = name;
    out.properties = {{"redelivered", std::to_string(context.input().redelivery_count())}};
    return out;
  }

 private:
  std::string greeting_;
};

TEST(FakeHost, KeepsWhatAFunctionDid) {
  fmesh::testing::FakeHost<Greets> host(R"({"greeting":"hi"})");
  host.send("ann");
  host.send("");
  host.send("nobody");
  ASSERT_EQ(host.outputs().size(), 2U);
  EXPECT_EQ(host.outputs()[0].topic, "audit");
  EXPECT_EQ(host.outputs()[1].payload, "hi ann");
  EXPECT_EQ(host.outputs()[1].key, "ann");
  EXPECT_EQ(host.outputs()[1].properties.at("redelivered"), "0");
  EXPECT_EQ(host.state().at("ann"), "seen");
  EXPECT_EQ(host.logs(), std::vector<std::string>{"greeted ann"});
  EXPECT_EQ(host.failures(), std::vector<std::string>{"nobody is here"});
}

TEST(FakeHost, RefusesAWrongConfiguration) {
  try {
    fmesh::testing::FakeHost<Greets> host(R"({"greeting":5})");
    FAIL() << "expected an error";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("funcConfig.greeting"));
  }
}

// Fails in the middle of its effects.
class Books : public Function<std::string, std::string> {
 public:
  std::optional<std::string> process(const std::string& input, Context& context) override {
    context.put_state("last", input);
    context.add_counter("books", 1);
    context.publish("audit", input);
    context.metric("bytes", static_cast<double>(input.size()));
    context.output(input);
    if (input == "bad") throw std::runtime_error("no book");
    return std::nullopt;
  }
};

TEST(FakeHost, AFailedRecordLeavesNothingBehind) {
  fmesh::testing::FakeHost<Books> host;
  host.set_counter("books", 5);
  host.send({{.payload = "a"}, {.payload = "bad"}});
  EXPECT_EQ(host.failures(), std::vector<std::string>{"no book"});
  ASSERT_EQ(host.outputs().size(), 2U);
  EXPECT_EQ(host.outputs()[1].payload, "a");
  EXPECT_EQ(host.state().at("last"), "a");
  EXPECT_EQ(host.counter("books"), 6);
  host.state()["books"] = "three";
  host.send("b");
  EXPECT_THAT(host.failures().back(), HasSubstr("is not a counter"));
  EXPECT_EQ(host.state().at("last"), "a");
  EXPECT_EQ(host.metrics().at("bytes"), (std::vector<double>{1, 3}));
}

TEST(FakeHost, RefusesStateThatFmeshRefuses) {
  fmesh::testing::FakeHost<Books> host;
  host.send(std::string(fmesh::testing::kStateValueSizeMaxBytes + 1, 'x'));
  ASSERT_EQ(host.failures().size(), 1U);
  EXPECT_THAT(host.failures()[0], HasSubstr("at most 1 MiB"));
}

TEST(FakeHost, AnOutputTakesKeyTimeAndPropertiesOfItsInput) {
  fmesh::testing::FakeHost<Books> host;
  host.send({.payload = "a", .key = "k", .event_time_ms = 7, .properties = {{"p", "v"}}});
  EXPECT_EQ(host.outputs().at(0).key, "k");
  EXPECT_EQ(host.outputs().at(0).event_time_ms, 7);
  EXPECT_EQ(host.outputs().at(0).properties.at("p"), "v");
}

// Uses the table directly, as a function in C would.
class UsesTable : public BatchFunction {
 public:
  void process(Batch& batch) override {
    Context& context = batch.at(0);
    const fmesh_host& host = context.host();
    for (const auto* entry = reinterpret_cast<void* const*>(&host.output);
         entry <= reinterpret_cast<void* const*>(&host.json_text); ++entry) {
      if (*entry == nullptr) batch.fail(0, "an entry is null");
    }
    const fmesh_bytes text = to_abi(batch[0].payload());
    context.output(from_abi(host.json_get(text, to_abi("a.b")).raw));
    size_t cursor = 0;
    fmesh_bytes key{};
    fmesh_json value{};
    while (host.json_next(text, &cursor, &key, &value) > 0) context.output(from_abi(key));
  }
};

TEST(FakeHost, HasEveryEntryOfTheTable) {
  fmesh::testing::FakeHost<UsesTable> host;
  host.send(R"({"a":{"b":5},"c":1})");
  EXPECT_TRUE(host.failures().empty());
  ASSERT_EQ(host.outputs().size(), 3U);
  EXPECT_EQ(host.outputs()[0].payload, "5");
  EXPECT_EQ(host.outputs()[2].payload, "\"c\"");
}

class Sums : public WindowFunction<int64_t, int64_t> {
 public:
  std::optional<int64_t> process(const std::vector<int64_t>& values, const Window&, Context& context) override {
    int64_t sum = 0;
    for (const int64_t value : values) sum += value;
    context.add_counter("windows", 1);
    if (sum < 0) throw std::invalid_argument("negative");
    return sum;
  }
};

TEST(FakeHost, AWindowFailsAsAWhole) {
  fmesh::testing::FakeHost<Sums> host;
  host.send_window({{.payload = "1"}, {.payload = "2", .key = "k"}}, 0, 10);
  host.send_window({{.payload = "1"}, {.payload = "-2"}}, 10, 20);
  host.send_window({{.payload = "1"}, {.payload = "x"}}, 20, 30);
  ASSERT_EQ(host.outputs().size(), 1U);
  EXPECT_EQ(host.outputs()[0].payload, "3");
  EXPECT_FALSE(host.outputs()[0].key);
  EXPECT_EQ(host.failures().size(), 2U);
  EXPECT_EQ(host.counter("windows"), 1);
}

}  // namespace
}  // namespace fmesh
