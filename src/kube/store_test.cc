#include "kube/store.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kube/kube_testing.h"

namespace fmesh::kube {
namespace {

std::string label(const ObjectPtr& object) {
  return object ? object->key().name + "/" + object->uid() + "/" + object->resource_version() : "-";
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    store.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
      changes.push_back(label(before) + ">" + label(after));
      EXPECT_EQ(label(store.get((before ? before : after)->key())), label(after)) << "reported before it was so";
    });
  }
  std::vector<std::string> take_changes() { return std::exchange(changes, {}); }
  std::string seen(const std::string& name) { return label(store.get({"ns", name})); }
  std::string all() {
    std::string names;
    store.each([&](const ObjectPtr& object) {
      names += object->key().name + ",";
      return true;
    });
    return names;
  }

  ManualClock clock;
  Store store{clock};
  std::vector<std::string> changes;
};

using Changes = std::vector<std::string>;

TEST_F(StoreTest, AListReplacesTheWholeAndWhatIsMissingInItIsReportedAsGone) {
  EXPECT_FALSE(store.synced());
  store.replace({test_object({"a", "u1", "1"}), test_object({"b", "u2", "2"})});
  EXPECT_TRUE(store.synced());
  EXPECT_EQ(take_changes(), (Changes{"->a/u1/1", "->b/u2/2"}));
  store.replace({test_object({"b", "u2", "2"}), test_object({"c", "u3", "3"})});
  EXPECT_EQ(take_changes(), (Changes{"a/u1/1>-", "->c/u3/3"}));
  EXPECT_EQ(all(), "b,c,");
  EXPECT_EQ(store.size(), 2U);
}

TEST_F(StoreTest, AListOfOneNamespaceLeavesTheOthersAlone) {
  const std::string here = test_object({"a", "u1", "1"})->key().name_space;
  store.expect_lists(2);
  store.replace({test_object({"a", "u1", "1"})}, std::nullopt, here);
  EXPECT_FALSE(store.synced());
  store.replace({}, std::nullopt, "another");
  EXPECT_TRUE(store.synced());
  EXPECT_EQ(all(), "a,");
  store.replace({}, std::nullopt, here);
  EXPECT_EQ(all(), "");
}

TEST_F(StoreTest, ReadersNeverSeeHalfOfAList) {
  store.replace({test_object({"a", "u1", "1"})});
  store.on_change([&](const ObjectPtr&, const ObjectPtr&) { EXPECT_EQ(all(), "b,c,"); });
  store.replace({test_object({"c", "u3", "3"}), test_object({"b", "u2", "2"})});
}

TEST_F(StoreTest, AnObjectMadeAnewUnderItsNameIsOneChangeOfUid) {
  store.put(test_object({"a", "u1", "1"}));
  take_changes();
  store.replace({test_object({"a", "u9", "9"})});
  EXPECT_EQ(take_changes(), (Changes{"a/u1/1>a/u9/9"}));
  store.remove({"ns", "a"}, "u1");  // of the one before: too late
  EXPECT_EQ(seen("a"), "a/u9/9");
}

TEST_F(StoreTest, AnUnchangedVersionIsNotReported) {
  store.put(test_object({"a", "u1", "1"}));
  take_changes();
  store.put(test_object({"a", "u1", "1"}));
  EXPECT_EQ(take_changes(), Changes{});
}

TEST_F(StoreTest, OwnWritesAreReadAtOnceAndOlderNewsOfTheWatchDoNotHideThem) {
  store.put(test_object({"a", "u1", "1"}));
  store.wrote(test_object({"a", "u1", "5"}));
  EXPECT_EQ(take_changes(), (Changes{"->a/u1/1", "a/u1/1>a/u1/5"}));
  store.put(test_object({"a", "u1", "3"}));
  EXPECT_EQ(seen("a"), "a/u1/5");
  store.put(test_object({"a", "u1", "5"}));
  EXPECT_EQ(take_changes(), Changes{});
  store.put(test_object({"a", "u1", "8"}));
  EXPECT_EQ(take_changes(), (Changes{"a/u1/5>a/u1/8"}));
}

TEST_F(StoreTest, AWatchThatIsFasterThanTheAnswerIsNotOverlaid) {
  store.put(test_object({"a", "u1", "5"}));
  store.put(test_object({"a", "u1", "8"}));
  store.wrote(test_object({"a", "u1", "5"}));
  EXPECT_EQ(seen("a"), "a/u1/8");
  store.wrote(test_object({"a", "u1", "8"}));  // a write that changed nothing
  store.put(test_object({"a", "u1", "9"}));
  EXPECT_EQ(seen("a"), "a/u1/9");
}

TEST_F(StoreTest, DeletionOfItsUidEndsAnOwnWriteAndDeletionOfAnotherDoesNot) {
  store.wrote(test_object({"a", "u2", "5"}));
  store.remove({"ns", "a"}, "u1");
  EXPECT_EQ(seen("a"), "a/u2/5");
  store.remove({"ns", "a"}, "u2");
  EXPECT_EQ(seen("a"), "-");
  EXPECT_EQ(take_changes(), (Changes{"->a/u2/5", "a/u2/5>-"}));
}

TEST_F(StoreTest, AnOlderListKeepsOwnWritesAndANewerOneEndsThem) {
  store.replace({test_object({"a", "u1", "1"})});
  clock.advance_ms(10);
  store.wrote(test_object({"a", "u1", "5"}));
  store.wrote(test_object({"new", "u7", "6"}));
  take_changes();
  store.replace({test_object({"a", "u1", "1"})});  // from a replica that is behind
  EXPECT_EQ(seen("a"), "a/u1/5");
  EXPECT_EQ(seen("new"), "new/u7/6");
  store.replace({test_object({"a", "u1", "1"})}, clock.monotonic_ns());  // asked for in the same moment: not proved
  EXPECT_EQ(seen("a"), "a/u1/5");
  EXPECT_EQ(take_changes(), Changes{});
  clock.advance_ms(1);
  store.replace({test_object({"a", "u1", "9"})}, clock.monotonic_ns());
  EXPECT_EQ(seen("a"), "a/u1/9");
  EXPECT_EQ(seen("new"), "-");
}

TEST_F(StoreTest, AListThatTellsTheVersionWrittenEndsTheOverlay) {
  store.wrote(test_object({"a", "u1", "5"}));
  store.replace({test_object({"a", "u1", "5"})});
  store.put(test_object({"a", "u1", "7"}));
  EXPECT_EQ(seen("a"), "a/u1/7");
}

TEST_F(StoreTest, AWriteThatIsNeverToldIsLetGo) {
  store.put(test_object({"a", "u1", "1"}));
  store.wrote(test_object({"a", "u1", "5"}));
  store.wrote(test_object({"b", "u2", "6"}));
  clock.advance_ms(kOwnWriteMaxMs - 1);
  store.expire();
  EXPECT_EQ(seen("a"), "a/u1/5");
  take_changes();
  clock.advance_ms(1);
  EXPECT_EQ(seen("a"), "a/u1/1");
  EXPECT_EQ(store.size(), 1U);
  store.expire();
  EXPECT_EQ(take_changes(), (Changes{"a/u1/5>a/u1/1", "b/u2/6>-"}));
  store.put(test_object({"a", "u1", "8"}));
  EXPECT_EQ(seen("a"), "a/u1/8");
}

TEST_F(StoreTest, OwnRemovalsHideTheObjectUntilTheWatchFollows) {
  store.put(test_object({"a", "u1", "1"}));
  store.wrote_removal({"ns", "a"}, "u1");
  EXPECT_EQ(seen("a"), "-");
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(all(), "");
  store.put(test_object({"a", "u1", "2"}));  // what happened before our delete
  EXPECT_EQ(seen("a"), "-");
  store.put(test_object({"a", "u2", "4"}));  // made anew by someone
  EXPECT_EQ(seen("a"), "a/u2/4");
  store.remove({"ns", "a"}, "u1");
  EXPECT_EQ(seen("a"), "a/u2/4");
  store.wrote_removal({"ns", "a"}, "u1");  // the answer comes last of all
  EXPECT_EQ(seen("a"), "a/u2/4");
}

TEST_F(StoreTest, OwnRemovalIsOverOnceTheWatchTellsIt) {
  store.put(test_object({"a", "u1", "1"}));
  store.wrote_removal({"ns", "a"}, "u1");
  take_changes();
  store.remove({"ns", "a"}, "u1");
  EXPECT_EQ(take_changes(), Changes{});
  store.wrote(test_object({"a", "u2", "3"}));
  EXPECT_EQ(seen("a"), "a/u2/3");
}

TEST_F(StoreTest, FindsChildrenByTheUidOfTheirOwnerInOrderOfKeys) {
  store.put(test_object({"c", "u3", "3", "owner1"}));
  store.put(test_object({"a", "u1", "1", "owner1"}));
  store.put(test_object({"b", "u2", "2", "owner2"}));
  store.wrote(test_object({"d", "u4", "4", "owner1"}));
  auto names = [&](const std::string& owner) {
    std::string text;
    for (const ObjectPtr& object : store.owned_by(owner)) text += object->key().name + ",";
    return text;
  };
  EXPECT_EQ(names("owner1"), "a,c,d,");
  store.put(test_object({"a", "u1", "5"}));  // orphaned
  EXPECT_EQ(names("owner1"), "c,d,");
  store.wrote(test_object({"a", "u1", "6", "owner2"}));  // adopted by a write of ours
  EXPECT_EQ(names("owner2"), "a,b,");
  clock.advance_ms(kOwnWriteMaxMs);
  EXPECT_EQ(names("owner2"), "b,");
  store.expire();
  store.remove({"ns", "c"}, "u3");
  EXPECT_EQ(names("owner1"), "");
  store.replace({test_object({"z", "u9", "9", "owner3"})});
  EXPECT_EQ(names("owner2"), "");
  EXPECT_EQ(names("owner3"), "z,");
}

TEST_F(StoreTest, EachWalksToldAndWrittenInOneOrderAndStopsWhenAsked) {
  store.put(test_object({"a", "u1", "1"}));
  store.put(test_object({"c", "u3", "3"}));
  store.wrote(test_object({"b", "u2", "2"}));
  store.wrote(test_object({"c", "u3", "4"}));
  store.wrote(test_object({"d", "u4", "5"}));
  EXPECT_EQ(all(), "a,b,c,d,");
  EXPECT_EQ(store.size(), 4U);
  int visited = 0;
  store.each([&](const ObjectPtr&) { return ++visited < 2; });
  EXPECT_EQ(visited, 2);
}

// Whatever order answers and news come in, the store ends at what the server has.
TEST_F(StoreTest, AnyOrderOfAnswersAndNewsEndsAtTheServersState) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    Store store(clock);
    int version = 0;
    std::vector<ObjectPtr> history;  // every version of one object; ours are answered late
    std::vector<size_t> answers;
    for (int i = 0; i < 20; ++i) {
      history.push_back(test_object({"a", "u1", std::to_string(++version)}));
      if (rng.below(2) == 0) answers.push_back(history.size() - 1);
    }
    size_t told = 0, answered = 0;
    while (told < history.size() || answered < answers.size()) {
      if (told < history.size() && (answered == answers.size() || rng.below(2) == 0)) {
        store.put(history[told++]);
      } else {
        store.wrote(history[answers[answered++]]);
      }
    }
    EXPECT_EQ(label(store.get({"ns", "a"})), label(history.back())) << "seed " << seed;
  }
}

}  // namespace
}  // namespace fmesh::kube
