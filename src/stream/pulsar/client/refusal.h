// What a broker's refusal means for whoever asked: whether to try again, and what to tell (facts: pulsar.md 1.12).
// Values and pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace fmesh::stream::pulsar {

struct Refusal {
  Error error;                // its text has the broker's own words
  std::optional<int> code{};  // Pulsar's ServerError; none: it was not the broker who refused
};

// `code` as the broker gave it, perhaps one that is not known here.
Refusal refused(int code, const std::string& message);

// True if asking again can't help: before anything was attached once, and after. What was attached once is held on to
// more stubbornly, as the broker may still know the lost connection, or the token has to be renewed.
bool is_final(const Refusal& refusal, bool was_attached);

}  // namespace fmesh::stream::pulsar
