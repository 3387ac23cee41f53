// Every field of the five kinds. The fast suite asks admission about all fields (of a mesh, which has those of three
// kinds once more, every 8th) and rolls out every 40th mutation; FMESH_MUTATOR_STEP=1 takes all (`./do test --sim`).
// FMESH_MUTATION='Function java: spec.image absent' replays one.
#include "sim/resource_mutator.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "model/schema.h"

namespace fmesh::sim {
namespace {

constexpr size_t kStepOfTheFastSuite = 40, kMeshFieldsOfTheFastSuite = 8;

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets it
  return value == nullptr ? "" : value;
}

class ResourceMutator : public testing::TestWithParam<model::Kind> {};

TEST_P(ResourceMutator, EveryFieldStandsInABaseThatIsAdmittedAndRendered) {
  for (const PlacedField& field : placed_fields(GetParam())) {
    EXPECT_NE(field.base, nullptr) << field.place.path.to_string()
                                   << " is admitted nowhere; sim/mutations.cc says what "
                                   << "stands in a field";
  }
}

TEST_P(ResourceMutator, AWrongTypeIsRefusedWithItsPathAndNullIsNothing) {
  const bool all = GetParam() != model::Kind::kFunctionMesh || environment("FMESH_MUTATOR_STEP") == "1";
  const std::vector<PlacedField> fields = placed_fields(GetParam());
  for (size_t i = 0; i < fields.size(); i += all ? 1 : kMeshFieldsOfTheFastSuite) {
    if (!fields[i].base) continue;
    EXPECT_EQ(check_wrong_values(fields[i]), "") << fields[i].base->name;
  }
}

TEST_P(ResourceMutator, NoUnknownFieldIsIgnoredInSilence) {
  for (const MutatorBase& base : mutator_bases(GetParam())) EXPECT_EQ(check_unknown_fields(base), "") << base.name;
}

TEST_P(ResourceMutator, FreshEqualsChainedAndGoingBackRestores) {
  const std::string only = environment("FMESH_MUTATION");
  const std::string given = environment("FMESH_MUTATOR_STEP");
  const size_t step = given.empty() ? kStepOfTheFastSuite : std::stoul(given);
  const std::vector<Mutation> mutations = mutations_of(GetParam());
  std::array<size_t, 3> count{};
  for (size_t i = 0; i < mutations.size(); ++i) {
    const std::string name = mutations[i].name();
    if (only.empty() ? i % step != 0 : name != only) continue;
    const MutationOutcome outcome = run_mutation(mutations[i]);
    ++count[static_cast<size_t>(outcome.result)];
    if (!only.empty() || !environment("FMESH_MUTATOR_TALK").empty()) {
      std::printf("%s: %d %s\n", name.c_str(), static_cast<int>(outcome.result), outcome.text.c_str());
    }
    if (!outcome.broken.empty())
      ADD_FAILURE() << name << ": " << outcome.broken << "again: FMESH_MUTATION='" << name
                    << "' build/sim_test --gtest_filter='*ResourceMutator*'";
  }
  std::printf("%zu mutations: %zu refused, %zu rolled out, %zu blocked\n", count[0] + count[1] + count[2], count[0],
              count[1], count[2]);
  const bool some_rolled_out = count[static_cast<size_t>(MutationResult::kRolledOut)] > 0;
  EXPECT_TRUE(some_rolled_out || !only.empty());
}

INSTANTIATE_TEST_SUITE_P(Of, ResourceMutator, testing::ValuesIn(model::kKinds),
                         [](const auto& info) { return std::string(model::to_string(info.param)); });

}  // namespace
}  // namespace fmesh::sim
