// TLS contexts made of texts, for the clients and servers of this folder.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/certificate.h"
#include "net/tls_identity.h"

namespace fmesh::net {

// For a client of `host`. Errors: kFixInput for PEM texts that can't be used.
Result<std::shared_ptr<boost::asio::ssl::context>> make_client_context(const TlsIdentity& identity,
                                                                       const std::string& host);
// Tells the server which name is meant (RFC 6066, 3: names only, not addresses).
void set_server_name(SSL* ssl, const TlsIdentity& identity, const std::string& host);
// A server's without a certificate yet: TLS 1.2 and newer.
std::shared_ptr<boost::asio::ssl::context> new_server_context();
// Errors: kFixInput if the texts are no PEM or do not belong together.
Result<std::shared_ptr<boost::asio::ssl::context>> make_server_context(const KeyPair& pair);

}  // namespace fmesh::net
