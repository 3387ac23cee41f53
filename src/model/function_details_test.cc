#include "model/function_details.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::model {
namespace {

FunctionDetails example() {
  FunctionDetails details;
  details.tenant = "t";
  details.name_space = "n";
  details.name = "f";
  details.processing_guarantees = ProcessingGuarantees::kEffectivelyOnce;
  details.user_config = R"({"a":"\u003c"})";
  details.runtime = DetailsRuntime::kGo;
  details.auto_ack = true;
  details.parallelism = 2;
  SourceSpec& source = details.source.emplace();
  source.timeout_ms = 5'000'000'000;
  source.input_specs["plain"] = {};
  source.input_specs["sized"].receiver_queue_size = 7;
  source.subscription_position = DetailsSubscriptionPosition::kEarliest;
  SinkSpec& sink = details.sink.emplace();
  sink.topic = "out";
  sink.producer_spec.emplace();
  details.resources = DetailsResources{.cpu = 0.1, .ram = 1'000'000'000, .disk = 0};
  details.retry_details = RetryDetails{.max_message_retries = 3, .dead_letter_topic = "dead"};
  details.component_type = ComponentType::kFunction;
  details.retain_key_ordering = true;
  return details;
}

TEST(FunctionDetails, IsWrittenAsProtobufWritesIt) {
  EXPECT_EQ(to_json(example()),
            R"({"tenant":"t","namespace":"n","name":"f","processingGuarantees":"EFFECTIVELY_ONCE",)"
            R"("userConfig":"{\"a\":\"\\u003c\"}","runtime":"GO","autoAck":true,"parallelism":2,)"
            R"("source":{"inputSpecs":{"plain":{},"sized":{"receiverQueueSize":{"value":7}}},"timeoutMs":"5000000000",)"
            R"("subscriptionPosition":"EARLIEST"},"sink":{"topic":"out","producerSpec":{}},)"
            R"("resources":{"cpu":0.1,"ram":"1000000000"},)"
            R"("retryDetails":{"maxMessageRetries":3,"deadLetterTopic":"dead"},"componentType":"FUNCTION",)"
            R"("retainKeyOrdering":true})");
}

TEST(FunctionDetails, ComesBackAsItWas) {
  const auto parsed = parse_function_details(to_json(example()));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(*parsed, example());
  EXPECT_EQ(*parse_function_details("'" + to_json(example()) + "'"), example()) << "quotes of a shell are stripped";
  EXPECT_EQ(*parse_function_details("{}"), FunctionDetails{});
}

TEST(FunctionDetails, TakesNumbersForEnumsAndIntegersAndSkipsNewMembers) {
  const auto parsed = parse_function_details(
      R"({"runtime":1,"source":{"timeoutMs":12,"subscriptionType":"KEY_SHARED"},"newMember":{"a":[]},"parallelism":"4"})");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->runtime, DetailsRuntime::kPython);
  EXPECT_EQ(parsed->source->timeout_ms, 12u);
  EXPECT_EQ(parsed->source->subscription_type, DetailsSubscriptionType::kKeyShared);
  EXPECT_EQ(parsed->parallelism, 4);
}

TEST(FunctionDetails, NamesTheMemberThatIsWrong) {
  const auto text = [](const char* json) { return parse_function_details(json).error().text(); };
  EXPECT_THAT(text(R"({"source":{"inputSpecs":{"a":{"isRegexPattern":"x"}}}})"),
              testing::HasSubstr("source.inputSpecs.a.isRegexPattern: expected true or false, found the string \"x\""));
  EXPECT_THAT(text(R"({"parallelism":1.5})"), testing::HasSubstr("parallelism: expected a whole number"));
  EXPECT_THAT(text(R"({"runtime":"PERL"})"), testing::HasSubstr("runtime: expected one of its names"));
  EXPECT_THAT(text("[]"), testing::HasSubstr("expected a JSON object"));
  EXPECT_THAT(text("{"), testing::HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace fmesh::model
