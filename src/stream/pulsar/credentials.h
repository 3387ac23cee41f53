// How someone says who they are to Pulsar: the authentication plugins of its Java client with their parameters, as
// resources and command lines have them. Values and pure functions; whoever may read the files reads them.
#pragma once

#include <string>

#include "base/result.h"

namespace fmesh::stream::pulsar {

// A text, or the path of the pod's file that has it.
struct TextOrFile {
  std::string text, path;
  bool operator==(const TextOrFile&) const = default;
};

struct Credentials {
  enum class Kind { kNone, kToken, kBasic, kCertificate, kOauth2 };
  Kind kind = Kind::kNone;
  TextOrFile secret{};       // the token; "user:password"; the certificate's key; the OAuth2 key file
  TextOrFile certificate{};  // kCertificate
  std::string issuer_url{}, audience{}, scope{};  // kOauth2
};

// Of a plugin of Pulsar's Java client, by class name or short name. Errors: kFixInput; secrets are not repeated.
Result<Credentials> read_plugin(const std::string& plugin, const std::string& parameters);

// The header's value; empty if it is of another kind. A line break at the end, as editors leave it, does not belong to
// a token. REQUIRES: the files are read.
std::string authorization_of(const Credentials& credentials);

}  // namespace fmesh::stream::pulsar
