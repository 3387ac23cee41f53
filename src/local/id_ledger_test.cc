#include "local/id_ledger.h"

#include <gtest/gtest.h>

namespace fmesh::local {
namespace {

TEST(IdLedger, IsCleanIfEachIdCameOnceInTheOrderOfItsKey) {
  IdLedger ledger(6, 2);
  for (const int64_t id : {1, 3, 0, 5, 2, 4}) ledger.received(id);
  EXPECT_TRUE(ledger.complete());
  EXPECT_TRUE(ledger.report().clean());
  EXPECT_EQ(ledger.report().received, 6);
}

TEST(IdLedger, CountsWhatIsLostDuplicatedReorderedAndUnknown) {
  IdLedger ledger(6, 2);
  for (const int64_t id : {2, 0, 1, 1, 9, -1}) ledger.received(id);
  const LedgerReport report = ledger.report();
  EXPECT_EQ(report.lost, 3);        // 3, 4, 5
  EXPECT_EQ(report.duplicated, 1);  // 1
  EXPECT_EQ(report.reordered, 1);   // 0 after 2
  EXPECT_EQ(report.unknown, 2);     // 9, -1
  EXPECT_FALSE(report.clean());
  EXPECT_EQ(report.examples.size(), 7U);
}

}  // namespace
}  // namespace fmesh::local
