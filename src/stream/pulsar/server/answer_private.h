// What the server answers where a request can't be met: Pulsar's error code, by which a client decides whether to try
// again (facts: pulsar.md 1.12), and a text for a person.
#pragma once

#include <stream/pulsar/wire/commands.pb.h>

#include <expected>
#include <string>
#include <utility>

#include "base/result.h"

namespace fmesh::stream::pulsar::server {

namespace proto = wire::proto;

struct Refusal {
  proto::ServerError code = proto::UnknownError;
  std::string text;
};

template <class T>
using Answer = std::expected<T, Refusal>;

inline std::unexpected<Refusal> refuse(proto::ServerError code, std::string text) {
  return std::unexpected(Refusal{code, std::move(text)});
}

// An error of the store as a client shall take it: what may pass is tried again.
Refusal refusal_of(const Error& error);

}  // namespace fmesh::stream::pulsar::server
