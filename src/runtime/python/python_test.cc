// The Python host called directly: what functions are given, what becomes of what they return, and what their failures
// say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "runtime/python/python_testing.h"

namespace fmesh::runtime {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Python : public PythonCase {};

TEST_F(Python, CallsABareFunction) {
  ASSERT_TRUE(open("def process(input):\n    return input + '!'\n"));
  EXPECT_THAT(run({"hello", "wörld", ""}).payloads(), ElementsAre("hello!", "wörld!", "!"));
}

TEST_F(Python, CallsAClassWrittenForPulsar) {
  ASSERT_TRUE(open(R"py(
from pulsar import Function

class Counts(Function):
    def __init__(self):
        self.seen = 0

    def process(self, input, context):
        self.seen += 1
        context.get_logger().info("seen %d", self.seen)
        return None if input == "skip" else "%d %s" % (self.seen, input)
)py",
                   "Counts"));
  EXPECT_THAT(run({"a", "skip", "b"}).payloads(), ElementsAre("1 a", "3 b"));
  EXPECT_THAT(context_->logs, ElementsAre("info: seen 1", "info: seen 2", "info: seen 3"));
}

TEST_F(Python, GivesTextWhereItIsTextAndBytesWhereItIsNot) {
  ASSERT_TRUE(open("def process(input):\n    return type(input).__name__\n"));
  EXPECT_THAT(run({"12", "\xff\xfe", ""}).payloads(), ElementsAre("str", "bytes", "str"));
}

TEST_F(Python, TheIdentityKeepsEveryByte) {
  ASSERT_TRUE(open("def process(input):\n    return input\n"));
  std::vector<std::string> payloads = {"007", "1e5", "nan", " 12\n", "1_000", std::string("a\0b", 3), "\xff", ""};
  for (int byte = 0; byte < 256; ++byte) payloads.push_back(std::string(3, static_cast<char>(byte)));
  EXPECT_EQ(run(payloads).payloads(), payloads);
}

TEST_F(Python, AnAnnotationDecidesBetweenTextAndBytes) {
  ASSERT_TRUE(open("def process(input: bytes):\n    return type(input).__name__ + str(len(input))\n"));
  EXPECT_THAT(run({"é"}).payloads(), ElementsAre("bytes2"));
  logic_.reset();
  write("t_annotated.py", "def process(input: str):\n    return input\n");
  spec_.library_path = folder_ / "t_annotated.py";
  spec_.details.class_name = "t_annotated";
  ASSERT_TRUE(open());
  const FakeBatch batch = run({"a", "\xff"});
  EXPECT_THAT(batch.payloads(), ElementsAre("a"));
  EXPECT_THAT(batch.failures.at(1), HasSubstr("UnicodeDecodeError"));
}

TEST_F(Python, WritesNumbersAndRefusesWhatIsNoMessage) {
  ASSERT_TRUE(open(R"py(
def process(input):
    return eval(input)
)py"));
  const FakeBatch batch = run({"12", "1.5", "1+2j", "bytearray(b'x')", "True", "{'a': 1}", "'\\ud800'"});
  EXPECT_THAT(batch.payloads(), ElementsAre("12", "1.5", "(1+2j)", "x"));
  EXPECT_THAT(batch.failures.at(4), HasSubstr("process() returned bool"));
  EXPECT_THAT(batch.failures.at(5), AllOf(HasSubstr("process() returned dict"), HasSubstr("SerDe")));
  EXPECT_THAT(batch.failures.at(6), HasSubstr("surrogates not allowed"));
}

TEST_F(Python, TheSerDeOfPulsarReadsNumbersIfItIsNamed) {
  for (const char* name : {"pulsar.functions.serde.IdentitySerDe", "serde.IdentitySerDe"}) {
    spec_.details.source->input_specs[kInput].serde_class_name = name;
    ASSERT_TRUE(open("def process(input):\n    return '%s %r' % (type(input).__name__, input)\n"));
    const FakeBatch batch = run({"007", "1e5", "x", "\xff"});
    EXPECT_THAT(batch.payloads(), ElementsAre("int 7", "float 100000.0", "str 'x'", "bytes b'\\xff'"));
    logic_.reset();
  }
}

TEST_F(Python, EachStreamHasItsSerDe) {
  spec_.details.source->input_specs[kInput].serde_class_name = module() + ".Csv";
  spec_.details.source->input_specs["persistent://public/default/other"].serde_class_name = module() + ".Hex";
  spec_.details.sink->serde_class_name = module() + ".Csv";
  ASSERT_TRUE(open(R"py(
from pulsar import SerDe

class Csv(SerDe):
    def serialize(self, input):
        return ",".join(str(one) for one in input).encode()
    def deserialize(self, input_bytes):
        return [int(one) for one in input_bytes.decode().split(",")]

class Hex(SerDe):
    def serialize(self, input):
        return input.hex().encode()
    def deserialize(self, input_bytes):
        return list(bytes.fromhex(input_bytes.decode()))

def process(input):
    return [one * 2 for one in input]
)py"));
  const std::vector<std::string> payloads = {"1,2", "0aff", "x", "3"};
  std::vector<LogicRecord> records = records_of(payloads);
  records[1].topic = "persistent://public/default/other";
  records[3].topic = "persistent://public/default/in-partition-2";
  FakeBatch batch;
  logic_->process(records, batch);
  EXPECT_THAT(batch.payloads(), ElementsAre("2,4", "20,510", "6"));
  EXPECT_THAT(batch.failures.at(2), HasSubstr("invalid literal for int()"));
}

TEST_F(Python, PicklesWhatPickles) {
  spec_.details.sink->serde_class_name = "pulsar.functions.serde.PickleSerDe";
  ASSERT_TRUE(open("def process(input):\n    return {'a': [input]}\n"));
  spec_.details.source->input_specs[kInput].serde_class_name = "pulsar.PickleSerDe";
  const std::vector<std::string> pickled = run({"x"}).payloads();
  logic_.reset();
  spec_.details.sink->serde_class_name = "";
  write("t_unpickles.py", "def process(input):\n    return input['a'][0]\n");
  spec_.library_path = folder_ / "t_unpickles.py";
  spec_.details.class_name = "t_unpickles";
  ASSERT_TRUE(open());
  EXPECT_THAT(run(pickled).payloads(), ElementsAre("x"));
}

TEST_F(Python, SchemasOfTextAndBytesAreKnownAndOthersRefused) {
  spec_.details.source->input_specs[kInput].schema_type = "bytes";
  ASSERT_TRUE(open("def process(input):\n    return type(input).__name__\n"));
  EXPECT_THAT(run({"a"}).payloads(), ElementsAre("bytes"));
  logic_.reset();
  spec_.details.source->input_specs[kInput].schema_type = "avro";
  EXPECT_THAT(open_error("def process(input):\n    return input\n"), HasSubstr("schema avro is not available"));
}

TEST_F(Python, TheContextKnowsRecordAndFunction) {
  spec_.details.user_config = R"({"limit":12345,"deep":{"a":[1,2.5,"x"]},"__WINDOWCONFIGS__":{}})";
  spec_.secrets["password"] = "s3cret";
  spec_.instance_id = 1;
  ASSERT_TRUE(open(R"py(
import json
import pulsar

class Tells(pulsar.Function):
    def process(self, input, context):
        assert isinstance(context, pulsar.Context)
        id = context.get_message_id()
        return json.dumps([
            str(id), id.ledger_id(), id.entry_id(), id.partition(), id.batch_index(), id.serialize().hex(),
            context.get_message_key(), context.get_partition_key(), context.get_message_eventtime(),
            context.get_message_properties(), context.get_current_message_topic_name(),
            context.get_function_tenant(), context.get_function_namespace(), context.get_function_name(),
            context.get_function_id(), context.get_instance_id(), context.get_function_version(),
            context.get_user_config_value("limit"), context.get_user_config_value("none"), context.get_user_config_map(),
            context.get_secret("password"), context.get_secret("none"), context.get_input_topics(),
            context.get_output_topic(), context.get_output_serde_class_name(),
        ], separators=(",", ":"))
)py",
                   "Tells"));
  const std::vector<std::string> payloads = {"a", "b"};
  std::vector<LogicRecord> records = records_of(payloads);
  const std::vector<stream::Property> properties = {{"colour", "blue"}};
  records[0].record.has_key = true;
  records[0].record.key = "k";
  records[0].record.event_time_ms = 99;
  records[0].record.properties = properties;
  records[0].id = {300, 2, 1, 3};
  FakeBatch batch;
  logic_->process(records, batch);
  EXPECT_THAT(batch.failures, IsEmpty());
  EXPECT_EQ(
      batch.written.at(0).payload,
      R"js(["(300,2,1,3)",300,2,1,3,"08ac02100218012003","k","k",99,{"colour":"blue"},"persistent://public/default/in",)js"
      R"js("public","default","shop","public/default/shop",1,"0",12345,null,{"limit":12345,"deep":{"a":[1,2.5,"x"]}},)js"
      R"js("s3cret",null,["persistent://public/default/in"],"persistent://public/default/out",""])js");
  EXPECT_THAT(batch.written.at(1).payload, HasSubstr("null,null,0,{}"));
}

TEST_F(Python, PublishesWithAllThatBelongsToAMessage) {
  ASSERT_TRUE(open(R"py(
from pulsar import Function, SerDe

class Upper(SerDe):
    def serialize(self, input):
        return input.upper().encode()
    def deserialize(self, input_bytes):
        return input_bytes

class Sends(Function):
    def process(self, input, context):
        told = []
        context.publish("audit", input, properties={"from": "shop"}, callback=lambda result, id: told.append(result),
                        message_conf={"partition_key": "k", "event_timestamp": 5})
        context.publish("audit", input, __name__ + ".Upper")
        context.publish("audit", 5, compression_type=None)
        assert told == [None]
        if input == "later":
            context.publish("audit", input, message_conf={"deliver_after": 5})
        if input == "nowhere":
            context.publish("", input)
        if input == "odd":
            context.publish("audit", {})
)py",
                   "Sends"));
  const FakeBatch batch = run({"a", "later", "nowhere", "odd"});
  ASSERT_GE(batch.written.size(), 3U);
  EXPECT_EQ(batch.written[0].topic, "audit");
  EXPECT_EQ(batch.written[0].key, "k");
  EXPECT_EQ(batch.written[0].event_time_ms, 5);
  EXPECT_EQ(batch.written[0].properties.at("from"), "shop");
  EXPECT_EQ(batch.written[1].payload, "A");
  EXPECT_EQ(batch.written[2].payload, "5");
  EXPECT_THAT(batch.failures.at(1), HasSubstr("fmesh has no deliver_after"));
  EXPECT_THAT(batch.failures.at(2), HasSubstr("a stream needs a name"));
  EXPECT_THAT(batch.failures.at(3), HasSubstr("found dict"));
}

TEST_F(Python, KeepsStateAndCounters) {
  ASSERT_TRUE(open(R"py(
from pulsar import Function

class Keeps(Function):
    def process(self, input, context):
        before = context.get_state("last")
        context.put_state("last", input)
        context.incr_counter("n", 2)
        context.record_metric("size", len(input))
        return "%r %d" % (before, context.get_counter("n"))
)py",
                   "Keeps"));
  EXPECT_THAT(run({"a", "b"}).payloads(), ElementsAre("None 2", "b'a' 4"));
  EXPECT_EQ(context_->metrics.at("size"), 1);
}

TEST_F(Python, AcknowledgesByHand) {
  ASSERT_TRUE(open(R"py(
class Acks:
    def __init__(self):
        self.last = None
    def process(self, input, context):
        if self.last:
            context.ack(*self.last)
        self.last = (context.get_message_id(), context.get_current_message_topic_name())
        if input == "now":
            context.ack(*self.last)
)py",
                   "Acks"));
  const FakeBatch batch = run({"a", "now"});
  EXPECT_THAT(batch.acked, ElementsAre(1U));
  EXPECT_THAT(batch.acked_ids, ElementsAre(stream::MessageId{1, 0, -1, -1}));
}

TEST_F(Python, AFailureSaysWhatAndWhere) {
  ASSERT_TRUE(open(R"py(import json

def price(text):
    return json.loads(text)["price"]

def process(input):
    try:
        return price(input)
    except KeyError as error:
        raise ValueError("no price") from error
)py"));
  const FakeBatch batch = run({R"({"price":3})", "{}", "x"});
  EXPECT_THAT(batch.payloads(), ElementsAre("3"));
  const std::string file = module() + ".py";
  EXPECT_EQ(batch.failures.at(1),
            "ValueError: no price; at " + file +
                R"(:10 in process (raise ValueError("no price") from error); after KeyError: 'price')");
  EXPECT_THAT(batch.failures.at(2), AllOf(HasSubstr("json.decoder.JSONDecodeError: Expecting value"),
                                          HasSubstr("in raw_decode"), HasSubstr("from " + file + ":4 in price")));
}

TEST_F(Python, ExitIsAFailureOfTheRecord) {
  ASSERT_TRUE(open("import sys\n\ndef process(input):\n    sys.exit(3)\n"));
  EXPECT_THAT(run({"a"}).failures.at(0), HasSubstr("SystemExit: the function called sys.exit(3)"));
}

TEST_F(Python, SurvivesErrorsThatCannotBeDescribed) {
  ASSERT_TRUE(open(R"py(
class Bad(Exception):
    def __str__(self):
        raise RuntimeError("no words")

def deep():
    return deep()

def process(input):
    if input == "deep":
        deep()
    raise Bad()
)py"));
  const FakeBatch batch = run({"a", "deep", "b"});
  EXPECT_THAT(batch.failures.at(0), HasSubstr("Bad, which can't be described"));
  EXPECT_THAT(batch.failures.at(1), HasSubstr("RecursionError: maximum recursion depth exceeded"));
  EXPECT_EQ(batch.failures.size(), 3U);
}

TEST_F(Python, SaysWhyAFunctionDoesNotStart) {
  EXPECT_THAT(open_error("def process(input)\n    return 1\n"),
              AllOf(HasSubstr("SyntaxError"), HasSubstr(".py:1 (def process(input))")));
  const std::string source = "class Counts:\n    def process(self, input, context):\n        pass\n";
  spec_.library_path = folder_ / "t_other.py";
  write("t_other.py", source);
  const auto with_class = [&](const std::string& name) {
    spec_.details.class_name = name;
    const Status status = open();
    return status ? "no error" : status.error().text();
  };
  EXPECT_THAT(with_class("t_other.Count"),
              HasSubstr("module t_other has no Count; it has Counts; did you mean Counts?"));
  EXPECT_THAT(with_class("t_other"),
              HasSubstr("the module has no function process(input); did you mean t_other.Counts?"));
  EXPECT_THAT(with_class("t_nothing.Counts"), HasSubstr("there is no module t_nothing in " + folder_.string()));
  EXPECT_THAT(with_class(""), HasSubstr("className is missing"));
  spec_.library_path = folder_ / "nothing.py";
  EXPECT_THAT(with_class("t_other"), HasSubstr("nothing.py: no such file"));
}

TEST_F(Python, AMissingPackageIsNamedWithAWayToGetIt) {
  EXPECT_THAT(open_error("import nowhere_to_be_found\n"),
              AllOf(HasSubstr("ModuleNotFoundError: No module named 'nowhere_to_be_found'"), HasSubstr(".py:1"),
                    HasSubstr("python3 -m pip install nowhere_to_be_found")));
}

TEST_F(Python, AClassThatCannotBeMadeSaysWhy) {
  EXPECT_THAT(open_error("class Bad:\n    def __init__(self):\n        raise OSError('no disk')\n", "Bad"),
              AllOf(HasSubstr("OSError: no disk"), HasSubstr(".py:3 in __init__")));
}

TEST_F(Python, WhatIsPrintedGoesToTheLog) {
  ASSERT_TRUE(open(R"py(
import logging, sys, threading

def process(input):
    print("one\ntwo", input)
    print("part", end="")
    print(" of a line", file=sys.stderr)
    logging.warning("careful")
    logging.debug("not shown")
    thread = threading.Thread(target=lambda: print("from a thread"))
    thread.start()
    thread.join()
    sys.stdout.buffer.write(b"bytes\n")
)py"));
  run({"a"});
  EXPECT_THAT(context_->logs, ElementsAre("info: one", "info: two a", "warn:  of a line", "warn: careful",
                                          "info: partfrom a thread", "info: bytes"));
}

TEST_F(Python, AThreadOfTheFunctionCannotTouchARecord) {
  ASSERT_TRUE(open(R"py(
import threading

class Starts:
    def process(self, input, context):
        found = []
        def other():
            try:
                context.publish("audit", input)
            except RuntimeError as error:
                found.append(str(error))
            context.get_logger().info("may log")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return found[0]
)py",
                   "Starts"));
  const FakeBatch batch = run({"a"});
  EXPECT_THAT(batch.payloads().at(0), HasSubstr("this is another"));
  EXPECT_THAT(context_->logs, ElementsAre("info: may log"));
}

TEST_F(Python, AWindowIsAListOfInputs) {
  ASSERT_TRUE(open(R"py(
class Sums:
    def process(self, inputs, context):
        return sum(int(one) for one in inputs)
)py",
                   "Sums"));
  FakeBatch batch;
  const std::vector<std::string> payloads = {"1", "2", "39"};
  const std::vector<std::string> bad = {"1", "x"};
  logic_->process_window(records_of(payloads), {0, 10}, batch);
  EXPECT_THAT(batch.payloads(), ElementsAre("42"));
  logic_->process_window(records_of(bad), {10, 20}, batch);
  EXPECT_EQ(batch.failures.size(), 1U);
}

TEST_F(Python, IsCalledFromAnyThread) {
  ASSERT_TRUE(open("def process(input):\n    return input\n"));
  for (int i = 0; i < 3; ++i) {
    std::thread([&] { EXPECT_THAT(run({"a"}).payloads(), ElementsAre("a")); }).join();
  }
}

}  // namespace
}  // namespace fmesh::runtime
