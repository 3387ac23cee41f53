// Whom a client trusts over TLS and who it says it is, as texts: credentials come from Secrets, kubeconfigs and files
// that rotate, so they are values. A value type.
#pragma once

#include <string>

namespace fmesh::net {

// PEM texts, not files.
struct TlsIdentity {
  std::string ca{};                  // trusted; empty: the system's
  std::string certificate{}, key{};  // the client's own; empty: none
  std::string server_name{};         // for SNI and verification; empty: the host that is connected to
  bool insecure = false;             // nothing is verified
  bool any_name = false;             // the chain is verified, the name in it is not
  bool operator==(const TlsIdentity&) const = default;
};

}  // namespace fmesh::net
