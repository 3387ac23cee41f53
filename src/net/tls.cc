#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ip/address.hpp>

#include "net/tls_private.h"

namespace fmesh::net {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

namespace {

bool is_address(const std::string& text) {
  ErrorCode code;
  asio::ip::make_address(text, code);
  return !code;
}

// The name that the peer's certificate must be for. OpenSSL's own check, as its errors say what is wrong.
bool expect_name(SSL_CTX* context, const std::string& name) {
  X509_VERIFY_PARAM* expected = SSL_CTX_get0_param(context);
  return is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) == 1
                          : X509_VERIFY_PARAM_set1_host(expected, name.c_str(), name.size()) == 1;
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_client_context(const TlsIdentity& identity, const std::string& host) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  ErrorCode code;
  const auto bad = [&](const char* what) {
    return fail(ErrorKind::kFixInput, std::string(what) + " can't be used: " + code.message());
  };
  context->set_verify_mode(identity.insecure ? asio::ssl::verify_none : asio::ssl::verify_peer, code);
  if (identity.ca.empty()) {
    context->set_default_verify_paths(code);
  } else {
    context->add_certificate_authority(asio::buffer(identity.ca), code);
  }
  if (code) return bad("the certificate authority");
  if (!identity.certificate.empty()) {
    context->use_certificate_chain(asio::buffer(identity.certificate), code);
    if (code) return bad("the client certificate");
    context->use_private_key(asio::buffer(identity.key), asio::ssl::context::pem, code);
    if (code) return bad("the client key");
  }
  if (!identity.insecure && !identity.any_name) {
    const std::string& name = identity.server_name.empty() ? host : identity.server_name;
    if (!expect_name(context->native_handle(), name)) {
      return fail(ErrorKind::kFixInput, "the server name \"" + name + "\" can't be used");
    }
  }
  return context;
}

void set_server_name(SSL* ssl, const TlsIdentity& identity, const std::string& host) {
  const std::string& name = identity.server_name.empty() ? host : identity.server_name;
  if (!is_address(name)) SSL_set_tlsext_host_name(ssl, name.c_str());
}

std::shared_ptr<asio::ssl::context> new_server_context() {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  ErrorCode code;
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, code);
  return context;
}

Result<std::shared_ptr<asio::ssl::context>> make_server_context(const KeyPair& pair) {
  // Before the context reads the key, which would ask for its password on a terminal.
  if (!key_fits(pair))
    return fail(ErrorKind::kFixInput, "certificate and key are no PEM texts, or do not belong together");
  auto context = new_server_context();
  ErrorCode code;
  context->use_certificate_chain(asio::buffer(pair.certificate), code);
  if (code) return fail(ErrorKind::kFixInput, "certificate: " + code.message());
  context->use_private_key(asio::buffer(pair.key), asio::ssl::context::pem, code);
  if (code) return fail(ErrorKind::kFixInput, "key: " + code.message());
  return context;
}

}  // namespace fmesh::net
