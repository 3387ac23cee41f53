#include "model/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/json.h"
#include "model/quantity.h"
#include "model/resource_set.h"

namespace fmesh::model {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string render_all(const DocumentList& list) { return render(list.findings, {}); }

// The first document as JSON on one line.
std::string yaml(std::string_view text) {
  const DocumentList list = read_yaml("a.yaml", text);
  EXPECT_EQ(render_all(list), "") << text;
  return list.documents.empty() ? "none" : write_json(to_json(*list.documents.front()));
}
std::string yaml_error(std::string_view text) { return render_all(read_yaml("a.yaml", text)); }
std::string json(std::string_view text) {
  const DocumentList list = read_json("a.json", text);
  EXPECT_EQ(render_all(list), "") << text;
  return list.documents.empty() ? "none" : write_json(to_json(*list.documents.front()));
}
std::string json_error(std::string_view text) { return render_all(read_json("a.json", text)); }

TEST(Yaml, TypesScalarsAsKubectlDoes) {
  const std::pair<const char*, const char*> cases[] = {{"yes", "true"},
                                                       {"On", "true"},
                                                       {"off", "false"},
                                                       {"y", "\"y\""},
                                                       {"N", "\"N\""},
                                                       {"~", "null"},
                                                       {"Null", "null"},
                                                       {"nULL", "\"nULL\""},
                                                       {"1", "1"},
                                                       {"-1", "-1"},
                                                       {"+7", "7"},
                                                       {"010", "8"},
                                                       {"0o10", "8"},
                                                       {"0x1F", "31"},
                                                       {"-0b11", "-3"},
                                                       {"1_000", "1000"},
                                                       {"1.50", "1.5"},
                                                       {"1e3", "1000"},
                                                       {".5", "0.5"},
                                                       {"1e21", "1e+21"},
                                                       {"1e-7", "1e-7"},
                                                       {"09", "9"},
                                                       {"1.2.3", "\"1.2.3\""},
                                                       {"12:30", "\"12:30\""},
                                                       {"2001-01-01", "\"2001-01-01\""},
                                                       {"'1'", "\"1\""},
                                                       {"\"yes\"", "\"yes\""},
                                                       {"!!str 1", "\"1\""},
                                                       {"!!float 1", "1"},
                                                       {"18446744073709551615", "18446744073709551615"},
                                                       {"99999999999999999999", "100000000000000000000"}};
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(yaml("- " + std::string(text)), "[" + std::string(expected) + "]") << text;
}

TEST(Yaml, MakesKeysStrings) {
  EXPECT_EQ(yaml("{1: a, true: b, 1.5: c, n: d}"), R"({"1":"a","true":"b","1.5":"c","n":"d"})");
}

TEST(Yaml, ExpandsAliasesAndMerges) {
  EXPECT_EQ(yaml("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [{p: 7}, *x]}\n"),
            R"({"a":{"p":1,"q":2},"b":{"p":1,"q":2},"c":{"q":3,"p":1},"d":{"p":7,"q":2}})");
}

TEST(Yaml, ReadsSeveralDocumentsAndSkipsEmptyOnes) {
  const DocumentList list = read_yaml("a.yaml", "---\n# nothing\n---\na: 1\n---\nb: 2\n...\n");
  ASSERT_EQ(list.documents.size(), 2u);
  EXPECT_EQ(list.documents[1]->entries[0].line, 6);
}

TEST(Yaml, KnowsWhereEverythingStands) {
  const DocumentList list = read_yaml("a.yaml", "top:\n  list:\n    - one\n    - {k: 'two'}\n");
  const Node& items = *list.documents.at(0)->find("top")->find("list");
  EXPECT_EQ(items.items[0].line, 3);
  EXPECT_EQ(items.items[0].column, 7);
  EXPECT_EQ(items.items[1].entries[0].value.column, 11);
  EXPECT_EQ(items.items[1].entries[0].value.length, 5);
}

TEST(Yaml, RefusesWhatIsNotYaml) {
  EXPECT_THAT(yaml_error("a: 1\n\tb: 2\n"),
              HasSubstr("a.yaml:2:1: not valid YAML: a tab; YAML is indented with blanks"));
  EXPECT_THAT(yaml_error("a: [1, 2\n"), HasSubstr("a.yaml:2:1: not valid YAML"));
  EXPECT_THAT(yaml_error("a: *missing\n"), HasSubstr("a.yaml:1:4: *missing refers to no anchor &missing above it"));
  EXPECT_THAT(yaml_error("a: &x [*x]\n"), HasSubstr("refers to no anchor"));
  EXPECT_THAT(yaml_error("? [a]\n: b\n"), HasSubstr("a key has to be a plain word, not a list"));
  EXPECT_THAT(yaml_error("<<: 3\n"), HasSubstr("<< takes a mapping"));
  EXPECT_THAT(yaml_error("!!int x\n"), HasSubstr("not a !!int"));
}

TEST(Yaml, ReportsEveryDuplicateKey) {
  EXPECT_EQ(yaml_error("a: 1\nb: {c: 1, c: 2}\na: 2\n"),
            "a.yaml:2:11: the key c stands here a second time\na.yaml:3:1: the key a stands here a second time\n");
}

TEST(Yaml, BoundsDepthAndAliases) {
  EXPECT_THAT(yaml_error(std::string(101, '[') + std::string(101, ']')), HasSubstr("nested more than 100 levels deep"));
  EXPECT_EQ(yaml_error(std::string(100, '[') + "x" + std::string(100, ']')), "");
  EXPECT_THAT(yaml_error(std::string(50'000, '[')), HasSubstr("nested more than 100 levels deep"));
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 12; ++level) {
    const std::string before = "*a" + std::to_string(level - 1);
    laughs += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + before;
    for (int copy = 1; copy < 9; ++copy) laughs += ", " + before;
    laughs += "]\n";
  }
  EXPECT_THAT(yaml_error(laughs), HasSubstr("too much: a file may hold 1000000 values, aliases expanded"));
  std::string strings = "a: &a \"" + std::string(1'000'000, 'x') + "\"\nb:\n";
  for (int copy = 0; copy < 1000; ++copy) strings += "- *a\n";
  EXPECT_THAT(yaml_error(strings), HasSubstr("too much"));
  std::string deep = "a0: &a0 [x]\n";
  for (int level = 1; level < 120; ++level) {
    deep += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [*a" + std::to_string(level - 1) + "]\n";
  }
  EXPECT_THAT(yaml_error(deep), HasSubstr("nested more than 100 levels deep"));
}

TEST(Json, ReadsEverythingOfTheStandard) {
  EXPECT_EQ(json(R"( {"a": [1, -2.5e1, true, false, null, "\u00e9\ud83d\ude00\/\n"], "b": {}} )"),
            "{\"a\":[1,-25,true,false,null,\"é😀/\\n\"],\"b\":{}}");
  EXPECT_EQ(json("\xEF\xBB\xBF[]"), "[]");
}

TEST(Json, IsStrict) {
  const char* bad[] = {"{a: 1}", "[1,]",  "{\"a\":1,}", "[01]",      "[1.]",          "[.5]",
                       "[+1]",   "['a']", "[\"\t\"]",   "[\"\\x\"]", "[\"\\ud800\"]", "[\"\\udc00\\ud800\"]",
                       "[tru]",  "[NaN]", "{} {}",      "[1 2]",     "{\"a\" 1}",     "[",
                       "\"",     "-",     "{\"a\":"};
  for (const char* text : bad) EXPECT_THAT(json_error(text), HasSubstr("not valid JSON")) << text;
  EXPECT_THAT(json_error("{\"a\":1,\n \"a\":2}"), HasSubstr("a.json:2:2: the key a stands here a second time"));
  EXPECT_THAT(json_error(std::string(101, '[') + std::string(101, ']')), HasSubstr("nested more than 100 levels deep"));
  EXPECT_EQ(json_error(std::string(100, '[') + "1" + std::string(100, ']')), "");
  EXPECT_THAT(json_error(std::string(50'000, '[')), HasSubstr("nested more than 100 levels deep"));
}

TEST(Json, NamesPlaceAndWhatItFound) {
  EXPECT_EQ(json_error("{\n  \"ä\": x\n}"), "a.json:2:8: not valid JSON: expected a value, found 'x'\n");
}

TEST(WriteJson, SortsAndEscapesAsGoDoes) {
  const boost::json::value value = {{"b", "<&>\u2028\x01"}, {"a", {1.0, 0.1, 1e21, 1e-7}}};
  EXPECT_EQ(write_json(value, {.order = KeyOrder::kSorted, .html = HtmlEscapes::kGo}),
            R"({"a":[1,0.1,1e+21,1e-7],"b":"\u003c\u0026\u003e\u2028\u0001"})");
}

TEST(WriteYaml, ReadsBackAsTheSameValue) {
  const boost::json::value value = boost::json::parse(
      R"({"plain":"a b","quoted":["yes","1","","- x","a: b","#","é","*a","n","~"," lead","0x1"],"empty":{},"none":[],"nested":[{"a":[{"b":1}],"c":null},[[true]]],"t ":{"x":"y\nz"}})");
  const DocumentList list = read_yaml("a.yaml", write_yaml(value));
  ASSERT_EQ(render_all(list), "") << write_yaml(value);
  EXPECT_EQ(to_json(*list.documents.at(0)), value) << write_yaml(value);
}

// YAML knows no such characters, or takes them for ends of lines.
TEST(WriteYaml, QuotesWhatOtherReadersTakeForNumbersAndDates) {
  for (const char* text : {".inf", "-.INF", ".NaN", "1:30", "190:20:30", "2001-01-01", "2001-01-01T10:00:00Z"}) {
    EXPECT_EQ(write_yaml({{"a", text}}), std::string("a: \"") + text + "\"\n");
  }
  for (const char* text : {".env", "1Gi", "500m", "a:b", "v1.2.3", "1.2.3", "x-1"}) {
    EXPECT_EQ(write_yaml({{"a", text}}), std::string("a: ") + text + "\n");
  }
}

TEST(WriteYaml, EscapesWhatOtherReadersRefuseOrFold) {
  EXPECT_EQ(write_yaml({{"a", "\x7f \u0080 \u0085 \u2028 \u2029 \ufeff ü 日 😀"}}),
            "a: \"\\u007f \\u0080 \\u0085 \\u2028 \\u2029 \\ufeff ü 日 😀\"\n");
}

TEST(WriteYaml, LinesStandAsTheyAreAndReadBackTheSame) {
  EXPECT_EQ(write_yaml({{"a", {{"b", "echo \"x\"\n  y: #1\n\nz"}}}}),
            "a:\n  b: |-\n    echo \"x\"\n      y: #1\n\n    z\n");
  for (const char* text : {"a\nb", "a\nb\n", "a\n\n", "a\n\n\nb\n\n\n", "a\n  \n b ", "\na", " a\nb", "a\tb\nc",
                           "a\n---\nb", "a\r\nb", "\xC3\xA9\nb", "a\n- b\n#c: d\n", "\n", "a: b\n", "a\n \n"}) {
    const boost::json::value value{{"k", text}, {"l", boost::json::array{text, "x", boost::json::object{{"m", text}}}}};
    const DocumentList list = read_yaml("a.yaml", write_yaml(value));
    ASSERT_EQ(render_all(list), "") << write_yaml(value);
    EXPECT_EQ(to_json(*list.documents.at(0)), value) << write_yaml(value);
  }
}

TEST(Quantity, ComparesExactly) {
  const auto q = [](const char* text) { return parse_quantity(text).value(); };
  EXPECT_EQ(q("0.5"), q("500m"));
  EXPECT_EQ(q("1Gi"), q("1073741824"));
  EXPECT_EQ(q("1.1G"), q("1100M"));
  EXPECT_EQ(q("2e3"), q("2k"));
  EXPECT_EQ(q("1E"), q("1000P"));
  EXPECT_LT(q("999m"), q("1"));
  EXPECT_EQ(q("1.5Gi").whole(), 1610612736);
  EXPECT_EQ(q("0.0000000001").nanos, 1) << "rounded up, as Kubernetes does";
  EXPECT_DOUBLE_EQ(q("100m").value(), 0.1);
  for (const char* bad : {"", "m", ".", "1.1.1", "1GiB", "1 Gi", "Gi", "1e", "0x1", "--1", "9999999999E"}) {
    EXPECT_FALSE(parse_quantity(bad)) << bad;
  }
}

// Bytes of valid resources changed at random: reading answers with resources or findings, whatever comes.
TEST(Reading, SurvivesAnyBytes) {
  const std::string texts[] = {
      "apiVersion: compute.functionmesh.io/v1alpha1\nkind: FunctionMesh\nmetadata: {name: m, labels: {a: b}}\nspec:\n  "
      "functions:\n"
      "    - &f\n      name: a\n      className: map\n      genericRuntime: {language: builtin}\n      input: {topics: "
      "[x, 'y'], "
      "sourceSpecs: {z: {receiverQueueSize: 5}}}\n      windowConfig: {windowLengthCount: 3}\n      resources: "
      "{limits: {cpu: 500m, "
      "memory: 1Gi}}\n    - {<<: *f, name: \"b\\u00e4\"}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: "
      "s}\ndata: {k: dmFs}\n",
      R"({"apiVersion":"v1","kind":"List","items":[{"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Sink","metadata":{"name":"s"},
      "spec":{"sinkType":"drop","input":{"topics":["a\u00e9"]},"replicas":2,"timeout":1e3,"pod":{"affinity":{"x":[null,true]}}}}]})"};
  constexpr const char* kPieces[] = {"{",    "}", "[",  "]",    ": ",   "- ",     "\n",  "\t",  "*f",    "&f ",
                                     "<<: ", "'", "\"", "\xff", "\xc3", "!!int ", "|\n", "\\u", "---\n", "%"};
  constexpr uint64_t kSeed = 20260101;
  uint64_t random = kSeed;
  const auto next = [&](uint64_t below) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random >> 33) % below;
  };
  for (int round = 0; round < 10'000; ++round) {
    SCOPED_TRACE(testing::Message() << "replay: seed " << kSeed << ", round " << round);
    const bool json_text = round % 2 == 1;
    std::string text = texts[json_text];
    for (uint64_t change = next(6) + 1; change > 0; --change) {
      const size_t at = next(text.size());
      switch (next(4)) {
        case 0:
          text[at] = static_cast<char>(next(256));
          break;
        case 1:
          text.erase(at, next(20));
          break;
        case 2:
          text.insert(at, kPieces[next(std::size(kPieces))]);
          break;
        default:
          text.insert(at, text.substr(next(text.size()), next(60)));
          break;
      }
      if (text.empty()) text = "x";
    }
    const ResourceSet set = read_text(json_text ? "a.json" : "a.yaml", text);
    const std::string shown = render(set.findings, set.sources);
    ASSERT_EQ(shown.empty(), set.findings.empty());
    for (const Diagnostic& one : set.findings.list()) ASSERT_FALSE(one.text.empty());
  }
}

}  // namespace
}  // namespace fmesh::model
