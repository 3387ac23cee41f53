#include "model/validate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string resource(std::string_view kind, std::string_view spec) {
  return fmt::format("apiVersion: compute.functionmesh.io/v1alpha1\nkind: {}\nmetadata: {{name: part}}\nspec: {{{}}}\n",
                     kind, spec);
}

Diagnostics findings_of(const std::string& text, Target target) {
  const ResourceSet set = read_text("a.yaml", text);
  EXPECT_EQ(render(set.findings, set.sources), "") << text;
  return validate_set(set, {.target = target, .builtins = {}});
}

// "path: text" of errors.
std::vector<std::string> errors_of(const std::string& text, Target target) {
  std::vector<std::string> out;
  const Diagnostics findings = findings_of(text, target);
  for (const Diagnostic& one : findings.list()) {
    if (one.severity == Severity::kError) out.push_back(one.path + ": " + one.text);
  }
  return out;
}

constexpr const char* kFunction =
    "className: org.F, java: {jar: f.jar}, input: {topics: [in]}, output: {topic: out}, pulsar: {pulsarConfig: p}";
constexpr const char* kNoInput =
    "className: org.F, java: {jar: f.jar}, output: {topic: out}, pulsar: {pulsarConfig: p}";
constexpr const char* kSink =
    "className: org.S, java: {jar: s.nar}, sinkConfig: {}, input: {topics: [in]}, pulsar: {pulsarConfig: p}";
constexpr const char* kSource =
    "className: org.S, java: {jar: s.nar}, sourceConfig: {}, output: {topic: out}, pulsar: {pulsarConfig: p}";

TEST(Validate, TakesWhatUpstreamTakes) {
  for (const auto target : {Target::kLocal, Target::kCluster}) {
    EXPECT_THAT(errors_of(resource("Function", kFunction), target), IsEmpty());
    EXPECT_THAT(errors_of(resource("Sink", kSink), target), IsEmpty());
    EXPECT_THAT(errors_of(resource("Source", kSource), target), IsEmpty());
  }
}

struct RuleCase {
  const char* name;
  const char* kind;
  std::string spec;
  const char* path;
  const char* field;
  const char* text;  // begins with
};

// One case per rule, on a cluster, where all rules apply.
std::vector<RuleCase> rule_cases() {
  const std::string function = kFunction, no_input = kNoInput, sink = kSink, source = kSource;
  const std::string bare = "input: {topics: [in]}, pulsar: {pulsarConfig: p}";
  return {
      {"no runtime", "Function", bare, "spec",
       "spec.runtime.java,spec.runtime.python,spec.runtime.golang,spec.runtime.genericRuntime",
       "runtime cannot be empty"},
      {"two runtimes", "Function", function + ", golang: {go: g}", "spec", "spec.runtime",
       "you can only specify one runtime"},
      {"sink without java", "Sink", bare, "spec", "spec.runtime.java", "sink must have java runtime specified"},
      {"source without java", "Source", "output: {topic: o}, pulsar: {pulsarConfig: p}", "spec", "spec.runtime.java",
       "source must have java runtime specified"},
      {"unknown connector", "Sink", bare + ", sinkType: consle", "spec.sinkType", "spec.runtime.java",
       "there is no built-in sink consle; there are file, http, console, drop; did you mean console?"},
      {"no sink config", "Sink", "className: c, java: {jar: j}, " + bare, "spec.sinkConfig", "spec.sinkConfig",
       "sink config is not provided"},
      {"no class", "Function", "java: {jar: j}, " + bare, "spec.className", "spec.classname",
       "class name cannot be empty"},
      {"empty jar", "Function", "className: c, java: {jar: ''}, " + bare, "spec.java.jar", "spec.java.jar",
       "jar cannot be empty in java runtime"},
      {"empty py", "Function", "className: c, python: {py: ''}, " + bare, "spec.python.py", "spec.python.py",
       "py cannot be empty in python runtime"},
      {"empty go", "Function", "golang: {go: ''}, " + bare, "spec.golang.go", "spec.golang.go",
       "go cannot be empty in golang runtime"},
      {"no function file", "Function", "genericRuntime: {language: cpp}, " + bare, "spec.genericRuntime.functionFile",
       "spec.genericRuntime.functionFile", "functionFile cannot be empty"},
      {"unknown builtin", "Function", "className: mpa, genericRuntime: {language: builtin}, " + bare, "spec.className",
       "spec.classname", "mpa is no built-in function; there are identity, filter, map; did you mean map?"},
      {"package name", "Function", "className: c, java: {jar: j, jarLocation: 'function://t/n'}, " + bare,
       "spec.java.jarLocation", "spec.java.jarLocation", "invalid package name function://t/n"},
      {"package url", "Function", "className: c, python: {py: p, pyLocation: 'ftp://h/p'}, " + bare,
       "spec.python.pyLocation", "spec.python.pyLocation",
       "invalid function package url ftp://h/p, supported url (http/https)"},
      {"max below replicas", "Function", function + ", replicas: 3, maxReplicas: 2", "spec.maxReplicas",
       "spec.maxReplicas", "maxReplicas must be greater than or equal to replicas"},
      {"min above replicas", "Sink", sink + ", replicas: 1, minReplicas: 2", "spec.minReplicas", "spec.minReplicas",
       "minReplicas must be less than or equal to replicas"},
      {"min zero", "Source", source + ", minReplicas: 0", "spec.minReplicas", "spec.minReplicas",
       "minReplicas cannot be zero or negative"},
      {"hpa and vpa", "Function", function + ", maxReplicas: 2, pod: {vpa: {updatePolicy: {updateMode: Auto}}}",
       "spec.pod.vpa", "spec.pod.vpa", "you can not enable HPA and VPA at the same time"},
      {"vpa container", "Sink", sink + ", pod: {vpa: {resourcePolicy: {containerPolicies: [{mode: Off}]}}}",
       "spec.pod.vpa.resourcePolicy.containerPolicies[0]", "spec.pod.vpa.resourcePolicy.containerPolicies",
       "container name must be specified"},
      {"two cpu rules", "Function",
       function + ", pod: {builtinAutoscaler: [AverageUtilizationCPUPercent80, AverageUtilizationCPUPercent20]}",
       "spec.pod.builtinAutoscaler", "spec.pod.builtinAutoscaler", "Duplicate CPU autoscaler metrics are set"},
      {"memory over limit", "Sink", sink + ", resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}",
       "spec.resources", "spec.resources", "resource requirement is invalid"},
      {"cpu over limit", "Sink",
       sink + ", resources: {requests: {memory: 1Gi, cpu: 2}, limits: {memory: 1Gi, cpu: 500m}}", "spec.resources",
       "spec.resources", "resource requirement is invalid"},
  };
}

std::vector<RuleCase> stream_rule_cases() {
  const std::string function = kFunction, no_input = kNoInput, sink = kSink, source = kSource;
  const std::string bare = "input: {topics: [in]}, pulsar: {pulsarConfig: p}";
  return {
      {"timeout with effectively once", "Function", function + ", timeout: 5, processingGuarantee: effectively_once",
       "spec.timeout", "spec.timeout", "message timeout can only be set for AtleastOnce processing guarantee"},
      {"retry with effectively once", "Sink", sink + ", maxMessageRetry: 5, processingGuarantee: effectively_once",
       "spec.maxMessageRetry", "spec.maxMessageRetry", "MaxMessageRetries and Effectively once are not compatible"},
      {"dead letters without retry", "Sink", sink + ", deadLetterTopic: dead", "spec.maxMessageRetry",
       "spec.maxMessageRetry", "dead letter topic is set but max message retry is set to infinity"},
      {"key order with effectively once", "Function",
       function + ", retainKeyOrdering: true, processingGuarantee: effectively_once", "spec.retainKeyOrdering",
       "spec.retainKeyOrdering", "when effectively once processing guarantee is specified"},
      {"no input", "Function", no_input, "spec.input", "spec.input", "No input topic(s) specified for the function"},
      {"bad input", "Function", no_input + ", input: {topics: [ok, 'persistent://a/b']}", "spec.input.topics[1]",
       "spec.input", "Input topic persistent://a/b is invalid"},
      {"queue size", "Sink",
       "className: c, java: {jar: j}, sinkConfig: {}, pulsar: {pulsarConfig: p}, input: {sourceSpecs: {q: "
       "{receiverQueueSize: -1}}}",
       "spec.input.sourceSpecs.q.receiverQueueSize", "spec.input.sourceSpecs",
       "q receiver queue size should be >= zero"},
      {"crypto input", "Function", no_input + ", input: {sourceSpecs: {q: {cryptoConfig: {}}}}",
       "spec.input.sourceSpecs.q.cryptoConfig", "spec.input.sourceSpecs", "q cryptoKeyReader class name required"},
      {"bad output", "Source",
       "className: c, java: {jar: j}, sourceConfig: {}, pulsar: {pulsarConfig: p}, output: {topic: a/b}",
       "spec.output.topic", "spec.output.topic", "Output topic a/b is invalid"},
      {"output is input by another spelling", "Function",
       "className: c, java: {jar: j}, pulsar: {pulsarConfig: p}, input: {topics: ['persistent://public/default/x']}, "
       "output: "
       "{topic: x}",
       "spec.output.topic", "spec.output.topic", "Output topic x is also being used as an input topic"},
      {"log topic", "Function", function + ", logTopic: 'q://'", "spec.logTopic", "spec.logTopic",
       "Log topic q:// is invalid"},
      {"dead letter topic", "Sink", sink + ", maxMessageRetry: 1, deadLetterTopic: a/b", "spec.deadLetterTopic",
       "spec.deadLetterTopic", "DeadLetter topic a/b is invalid"},
      {"key file of no Secret", "Function",
       function + ", pulsarPackageService: {pulsarConfig: p, authConfig: {oauth2Config: {audience: a, issuerUrl: u, "
                  "keySecretName: '', keySecretKey: k}}}",
       "spec.pulsarPackageService.authConfig.oauth2Config.keySecretName",
       "spec.pulsarPackageService.authConfig.oauth2Config.keySecretName", "cannot be empty; name the Secret"},
      {"mounted key of no name", "Function",
       no_input +
           ", input: {sourceSpecs: {q: {cryptoConfig: {cryptoKeyReaderClassName: c, cryptoSecrets: [{secretName: "
           "s, secretKey: '', asVolume: /v}]}}}}",
       "spec.input.sourceSpecs.q.cryptoConfig.cryptoSecrets[0].secretKey",
       "spec.input.sourceSpecs.q.cryptoConfig.cryptoSecrets[0].secretKey", "cannot be empty; name the key"},
      {"state with go", "Function", "golang: {go: g}, statefulConfig: {pulsar: {serviceUrl: 'bk://h'}}, " + bare,
       "spec.statefulConfig", "spec.statefulConfig", "Golang function do not support stateful function yet"},
      {"state without url", "Function", function + ", statefulConfig: {pulsar: {serviceUrl: ''}}",
       "spec.statefulConfig.pulsar.serviceUrl", "spec.statefulConfig.pulsar.serviceUrl", "serviceUrl cannot be empty"},
      {"window without length", "Function", function + ", windowConfig: {maxLagMs: 1}", "spec.windowConfig",
       "spec.windowConfig", "Window length is not specified"},
      {"window with two lengths", "Function",
       function + ", windowConfig: {windowLengthCount: 1, windowLengthDurationMs: 1}", "spec.windowConfig",
       "spec.windowConfig", "Window length for time and count are set! Please set one or the other"},
      {"window of nothing", "Function", function + ", windowConfig: {windowLengthCount: 0}",
       "spec.windowConfig.windowLengthCount", "spec.windowConfig", "Window length must be positive"},
      {"window that stands", "Function",
       function + ", windowConfig: {windowLengthDurationMs: 5, slidingIntervalDurationMs: 0}",
       "spec.windowConfig.slidingIntervalDurationMs", "spec.windowConfig", "Sliding interval must be positive"},
      {"window lag", "Function",
       function + ", windowConfig: {windowLengthDurationMs: 5, timestampExtractorClassName: t, maxLagMs: 0}",
       "spec.windowConfig.maxLagMs", "spec.windowConfig", "Lag duration must be positive"},
      {"no pulsar", "Function", "className: c, java: {jar: j}, input: {topics: [in]}", "spec.pulsar", "spec.pulsar",
       "Pulsar configuration needs to be set"},
      {"package service", "Source", source + ", pulsarPackageService: {authSecret: s}", "spec.pulsarPackageService",
       "spec.pulsarPackageService", "pulsarPackageService.pulsarConfig needs to be set"},
      {"slash in name", "Function", function + ", name: a/b", "spec.name", "spec.name",
       "may hold neither / nor blanks"},
  };
}

TEST(Validate, FindsEachRuleAtItsPath) {
  std::vector<RuleCase> cases = rule_cases();
  const std::vector<RuleCase> more = stream_rule_cases();
  cases.insert(cases.end(), more.begin(), more.end());
  for (const RuleCase& one : cases) {
    SCOPED_TRACE(one.name);
    const Diagnostics findings = findings_of(resource(one.kind, one.spec), Target::kCluster);
    ASSERT_EQ(findings.errors(), 1u) << render(findings, {});
    for (const Diagnostic& found : findings.list()) {
      if (found.severity != Severity::kError) continue;
      EXPECT_EQ(found.path, one.path);
      EXPECT_EQ(found.field, one.field);
      EXPECT_THAT(found.text, testing::StartsWith(one.text));
      EXPECT_GT(found.place.line, 0);
    }
  }
}

// Upstream takes both of Sinks and Sources, so on a cluster that can't be more than a warning.
TEST(Validate, TellsOfOrderingsThatExcludeEachOtherAndOfBadLogTopicsForAllKinds) {
  const auto counts = [](const char* kind, const char* spec, const char* more, Target target) {
    const Diagnostics found =
        validate_set(read_text("a.yaml", resource(kind, std::string(spec) + more)), {.target = target, .builtins = {}});
    return std::pair(found.errors(), found.warnings());
  };
  const char* both = ", retainOrdering: true, retainKeyOrdering: true";
  EXPECT_EQ(counts("Function", kFunction, both, Target::kCluster), std::pair(2ul, 0ul));
  EXPECT_EQ(counts("Sink", kSink, both, Target::kCluster), std::pair(0ul, 2ul));
  const char* topic = ", logTopic: 'q://'";
  EXPECT_EQ(counts("Function", kFunction, topic, Target::kCluster), std::pair(1ul, 0ul));
  EXPECT_EQ(counts("Sink", kSink, topic, Target::kCluster), std::pair(0ul, 1ul));
  EXPECT_EQ(counts("Source", kSource, topic, Target::kCluster), std::pair(0ul, 1ul));
}

TEST(Validate, WarnsOfAWindowFunctionThatIsNotCalled) {
  const auto warned = [](const char* name) {
    const ResourceSet set =
        read_text("a.yaml", resource("Function", fmt::format("{}, windowConfig: {{windowLengthCount: 5, "
                                                             "actualWindowFunctionClassName: {}}}",
                                                             kFunction, name)));
    return validate_set(set, {.target = Target::kCluster, .builtins = {}}).warnings();
  };
  EXPECT_EQ(warned("not.Called"), 1u);
  EXPECT_EQ(warned("org.F"), 0u);
}

TEST(Validate, NeedsNoClusterOnOneMachine) {
  const std::string text =
      resource("Function", "className: identity, genericRuntime: {language: builtin}, input: {topics: [a]}");
  EXPECT_THAT(errors_of(text, Target::kLocal), IsEmpty());
  EXPECT_THAT(errors_of(text, Target::kCluster), ElementsAre(HasSubstr("Pulsar configuration needs to be set")));
  EXPECT_THAT(errors_of(resource("Sink", "sinkType: console, input: {topics: [a]}"), Target::kLocal), IsEmpty());
}

TEST(Validate, FillsInResourcesThatUpstreamDemands) {
  for (const char* resources : {"{}", "{limits: {memory: 1Gi, cpu: 1}}", "{requests: {memory: 64Mi}}"}) {
    EXPECT_THAT(
        errors_of(resource("Function", fmt::format("{}, resources: {}", kFunction, resources)), Target::kCluster),
        IsEmpty())
        << resources;
  }
}

TEST(Validate, TakesCountWindowsWithoutASlide) {
  EXPECT_THAT(errors_of(resource("Function", std::string(kFunction) + ", windowConfig: {windowLengthCount: 5}"),
                        Target::kCluster),
              IsEmpty());
}

TEST(Validate, LimitsNamesToWhatAStatefulSetTakes) {
  const std::string text = fmt::format(
      "apiVersion: compute.functionmesh.io/v1alpha1\nkind: Function\nmetadata: {{name: {}}}\nspec: {{{}}}\n",
      std::string(44, 'a'), kFunction);
  EXPECT_THAT(errors_of(text, Target::kCluster),
              ElementsAre(HasSubstr("function name must be no more than 43 characters")));
  EXPECT_THAT(errors_of(text, Target::kLocal), IsEmpty());
}

TEST(Validate, NamesAreThoseThatKubernetesTakes) {
  const auto named = [](const std::string& name) {
    return fmt::format(
        "apiVersion: compute.functionmesh.io/v1alpha1\nkind: Function\nmetadata: {{name: '{}'}}\nspec: {{{}}}\n", name,
        kFunction);
  };
  for (const char* name : {"Upper", "under_score", "Ünï", "-a", "a-"}) {
    EXPECT_THAT(errors_of(named(name), Target::kCluster),
                ElementsAre(HasSubstr(fmt::format("name '{}' may hold", name))));
    EXPECT_THAT(errors_of(named(name), Target::kLocal), IsEmpty());
  }
  for (const char* name : {"a", "a-1", "1a", "a.b"}) EXPECT_THAT(errors_of(named(name), Target::kCluster), IsEmpty());
  ValidateOptions options;
  options.target = Target::kCluster;
  const auto warnings = [&](const char* name) {
    return validate_component(read_text("a.yaml", named(name)).components.front(), options).warnings();
  };
  EXPECT_EQ(warnings("1a"), warnings("a") + 1);
  EXPECT_EQ(warnings("a.b"), warnings("a") + 1);
}

std::string mesh(std::string_view functions) {
  return fmt::format(
      "apiVersion: compute.functionmesh.io/v1alpha1\nkind: FunctionMesh\nmetadata: {{name: m}}\nspec:\n  "
      "functions:\n{}",
      functions);
}

constexpr const char* kItem =
    "  - {{name: {}, tenant: {}, className: map, genericRuntime: {{language: builtin}}, input: {{topics: [a]}}}}\n";

TEST(Validate, RefusesTwoComponentsOfOneName) {
  const std::string text =
      mesh(fmt::format(fmt::runtime(kItem), "x", "t") + fmt::format(fmt::runtime(kItem), "x", "u"));
  EXPECT_THAT(
      errors_of(text, Target::kLocal),
      ElementsAre(
          "spec.functions[1].name: the component name x is taken by the one at a.yaml:6; names have to differ"));
}

TEST(Validate, RefusesTwoComponentsOfOneFullyQualifiedName) {
  const std::string other = mesh(fmt::format(fmt::runtime(kItem), "x", "t"));
  std::string second = other;
  second.replace(second.find("name: m"), 7, "name: k");
  EXPECT_THAT(
      errors_of(other + "---\n" + second, Target::kCluster),
      testing::Contains(HasSubstr("the fully-qualified name t/default/x is taken by the component at a.yaml:6")));
}

TEST(Validate, RefusesAResourceDefinedTwice) {
  const std::string text = resource("Function", kFunction);
  EXPECT_THAT(errors_of(text + "---\n" + text, Target::kCluster),
              ElementsAre(HasSubstr("Function /part is defined a second time; first at a.yaml:4")));
}

TEST(Validate, WantsSecretsInTheFilesOnOneMachine) {
  const std::string text = resource("Sink", "sinkType: drop, input: {topics: [a]}, secretsMap: {K: {path: s, key: k}}");
  EXPECT_THAT(errors_of(text, Target::kLocal),
              ElementsAre(HasSubstr("spec.secretsMap.K: no Secret s is in the files")));
  const std::string secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {other: v}\n";
  EXPECT_THAT(errors_of(text + secret, Target::kLocal), ElementsAre(HasSubstr("Secret s has no key k")));
}

TEST(Validate, DoesNotRepeatWhatReadingFound) {
  const ResourceSet set = read_text("a.yaml", resource("Sink", "sinkType: drop, input: {topics: many}"));
  EXPECT_EQ(set.findings.errors(), 1u);
  EXPECT_EQ(validate_set(set, {}).errors(), 0u) << "no second error that says there is no input";
}

Component component_of(std::string_view spec) {
  return read_text("a.yaml", resource("Function", spec)).components.at(0);
}

TEST(ValidateUpdate, LetsScaleToZeroAndKeepsWhatWasWrongBefore) {
  const ValidateOptions options{.target = Target::kCluster, .builtins = {}};
  const std::string bad = std::string(kFunction) + ", logTopic: 'q://'";
  EXPECT_TRUE(
      validate_update(component_of(kFunction), component_of(std::string(kFunction) + ", replicas: 0"), options).ok());
  EXPECT_TRUE(validate_update(component_of(bad), component_of(bad + ", replicas: 2"), options).ok());
  EXPECT_FALSE(validate_update(component_of(kFunction), component_of(bad), options).ok());
}

TEST(ValidateUpdate, WarnsOfChangesThatDoNotDoWhatOneThinks) {
  const ValidateOptions options;
  const auto warned = [&](const std::string& more) {
    return validate_update(component_of(kFunction), component_of(std::string(kFunction) + more), options).warnings();
  };
  EXPECT_EQ(warned(""), 0u);
  EXPECT_EQ(warned(", volumeClaimTemplates: [{metadata: {name: v}}]"), 1u);
  EXPECT_EQ(warned(", tenant: other"), 1u);
  EXPECT_EQ(warned(", subscriptionName: s"), 1u);
}

}  // namespace
}  // namespace fmesh::model
