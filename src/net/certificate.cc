#include "net/certificate.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <memory>

namespace fmesh::net {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

constexpr int kSerialBits = 127;  // RFC 5280: positive, at most 20 bytes
constexpr long kVersion3 = 2;

std::unexpected<Error> failed(const char* what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return fail(ErrorKind::kBug, std::string("make a certificate: ") + what + ": " + text.data());
}

Bio reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

X509Ptr read_x509(const std::string& pem) {
  const Bio bio = reader(pem);
  X509Ptr out(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  return out;
}

// A key with a password is none to us: OpenSSL would ask on the terminal.
int no_password(char*, int, int, void*) { return -1; }

Key read_key(const std::string& pem) {
  const Bio bio = reader(pem);
  Key out(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr);
  ERR_clear_error();
  return out;
}

std::string written(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
  const Number number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_subject(X509* certificate, const std::string& name) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

// Signs with the authority's key, or, for an authority, with its own.
Result<KeyPair> make(const CertificateOptions& options, X509* authority, EVP_PKEY* authority_key) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("key");
  const X509Ptr certificate(X509_new());
  X509* out = certificate.get();
  X509* issuer = authority ? authority : out;
  const bool filled =
      out && X509_set_version(out, kVersion3) == 1 && set_serial(out) && set_subject(out, options.common_name) &&
      X509_set_issuer_name(out, X509_get_subject_name(issuer)) == 1 &&
      ASN1_TIME_set(X509_getm_notBefore(out), static_cast<time_t>(options.not_before_ms / 1000)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(out), static_cast<time_t>(options.not_after_ms / 1000)) != nullptr &&
      X509_set_pubkey(out, key.get()) == 1 && add_extension(out, issuer, NID_subject_key_identifier, "hash") &&
      add_extension(out, issuer, NID_authority_key_identifier, "keyid:always");
  if (!filled) return failed("names and times");
  bool extended = false;
  if (!authority) {
    extended = add_extension(out, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
               add_extension(out, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    std::string names;
    for (const std::string& name : options.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
    extended = add_extension(out, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
               add_extension(out, issuer, NID_key_usage, "critical,digitalSignature") &&
               add_extension(out, issuer, NID_ext_key_usage, "serverAuth") &&
               (names.empty() || add_extension(out, issuer, NID_subject_alt_name, names));
  }
  if (!extended) return failed("extensions");
  if (X509_sign(out, authority_key ? authority_key : key.get(), EVP_sha256()) == 0) return failed("sign");
  const Bio certificate_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_text.get(), out) != 1 ||
      PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return failed("write");
  }
  return KeyPair{written(certificate_text), written(key_text)};
}

int64_t to_ms(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<int64_t>(timegm(&parts)) * 1000;
}

}  // namespace

Result<KeyPair> make_authority(const CertificateOptions& options) { return make(options, nullptr, nullptr); }

Result<KeyPair> make_serving(const CertificateOptions& options, const KeyPair& authority) {
  const X509Ptr issuer = read_x509(authority.certificate);
  const Key key = read_key(authority.key);
  if (!issuer || !key) return fail(ErrorKind::kBug, "make a certificate: the authority can't be read");
  return make(options, issuer.get(), key.get());
}

Result<CertificateInfo> read_certificate(const std::string& pem) {
  const X509Ptr certificate = read_x509(pem);
  if (!certificate) return fail(ErrorKind::kFixInput, "no certificate in PEM (-----BEGIN CERTIFICATE-----) is there");
  CertificateInfo out;
  out.not_before_ms = to_ms(X509_get0_notBefore(certificate.get()));
  out.not_after_ms = to_ms(X509_get0_notAfter(certificate.get()));
  using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;
  const Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int index = 0; names && index < sk_GENERAL_NAME_num(names.get()); ++index) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), index);
    if (name->type != GEN_DNS) continue;
    out.dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                               static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  return out;
}

bool key_fits(const KeyPair& pair) {
  const X509Ptr certificate = read_x509(pair.certificate);
  const Key key = read_key(pair.key);
  const bool fits = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return fits;
}

bool signed_by(const std::string& certificate_pem, const std::string& authority_pem) {
  const X509Ptr certificate = read_x509(certificate_pem), authority = read_x509(authority_pem);
  if (!certificate || !authority) return false;
  const bool good = X509_check_issued(authority.get(), certificate.get()) == X509_V_OK &&
                    X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace fmesh::net
