// Arithmetic on sets of records of one entry. The answer is normalised: a set that has every record is AckSet::all(),
// so that whole entries stay free of memory of their own. Pure.
#pragma once

#include <cstdint>

#include "stream/ack_set.h"

namespace fmesh::stream::log {

// Records that are in both.
AckSet records_in_both(const AckSet& left, const AckSet& right, uint32_t record_count);
// Records that are in `left` and not in `right`.
AckSet records_without(const AckSet& left, const AckSet& right, uint32_t record_count);
// Records that are in either.
AckSet records_in_either(const AckSet& left, const AckSet& right, uint32_t record_count);
bool no_records(const AckSet& set);
// Records first .. last, both included.
AckSet records_between(uint32_t first, uint32_t last, uint32_t record_count);
// The lowest record of a set; record_count if there is none.
uint32_t first_record(const AckSet& set, uint32_t record_count);

}  // namespace fmesh::stream::log
