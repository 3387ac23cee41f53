#include "net/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <memory>

namespace fmesh::net {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Certificate = std::unique_ptr<X509, Freer<&X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<&EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freer<&BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<&X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<&GENERAL_NAMES_free>>;
using Trust = std::unique_ptr<X509_STORE, Freer<&X509_STORE_free>>;
using TrustContext = std::unique_ptr<X509_STORE_CTX, Freer<&X509_STORE_CTX_free>>;

constexpr int kVersion3 = 2;  // as it is written in a certificate
constexpr int kSerialBytes = 16;
constexpr size_t kCommonNameMaxBytes = 64;  // RFC 5280, ub-common-name
constexpr size_t kAuthoritiesMax = 16;

std::string last_failure() {
  char text[256] = "no reason given";
  const unsigned long code = ERR_get_error();
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

std::unexpected<Error> openssl_failed(const char* what) {
  return fail(ErrorKind::kBug, std::string("make a certificate: ") + what + ": " + last_failure());
}

Bio reading(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

std::string pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  return PEM_write_bio_X509(bio.get(), certificate) == 1 ? text_of(bio.get()) : std::string();
}

std::string pem_of(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  return PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1 ? text_of(bio.get())
                                                                                              : std::string();
}

Certificate parse_certificate(std::string_view pem) {
  if (pem.size() > kPemMaxBytes) return nullptr;
  const Bio bio = reading(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

// Keys with a passphrase are not asked for one.
int no_passphrase(char*, int, int, void*) { return 0; }

Key parse_key(std::string_view pem) {
  if (pem.size() > kPemMaxBytes) return nullptr;
  const Bio bio = reading(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr));
  ERR_clear_error();
  return key;
}

int64_t wall_ms(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<int64_t>(::timegm(&parts)) * 1000;
}

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Names are added as values: a comma in one must not become a second name.
bool add_dns_names(X509* certificate, const std::vector<std::string>& dns_names) {
  const Names names(GENERAL_NAMES_new());
  for (const std::string& name : dns_names) {
    GENERAL_NAME* general = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
    GENERAL_NAME_set0_value(general, GEN_DNS, text);
    sk_GENERAL_NAME_push(names.get(), general);
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

bool set_name(X509_NAME* name, std::string_view common_name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(common_name.data());
  const int size = static_cast<int>(std::min(common_name.size(), kCommonNameMaxBytes));
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, size, -1, 0) == 1;
}

bool set_serial(X509* certificate) {
  unsigned char bytes[kSerialBytes];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3F) | 0x40);  // positive, and always of one length
  std::unique_ptr<BIGNUM, Freer<&BN_free>> number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// What CA and serving certificate have in common; extensions and the signature follow.
Certificate begin_certificate(EVP_PKEY* key, std::string_view common_name, const CertificateWish& wish) {
  Certificate certificate(X509_new());
  const auto seconds = [](int64_t ms) { return static_cast<time_t>(ms / 1000); };
  const bool made =
      certificate && X509_set_version(certificate.get(), kVersion3) == 1 && set_serial(certificate.get()) &&
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), seconds(wish.now_ms - kCertificateBackdateMs)) &&
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), seconds(wish.now_ms + wish.lifetime_ms)) &&
      X509_set_pubkey(certificate.get(), key) == 1 && set_name(X509_get_subject_name(certificate.get()), common_name);
  return made ? std::move(certificate) : nullptr;
}

bool finish_authority(X509* authority, EVP_PKEY* key) {
  return X509_set_issuer_name(authority, X509_get_subject_name(authority)) == 1 &&
         add_extension(authority, authority, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
         add_extension(authority, authority, NID_key_usage, "critical,keyCertSign,cRLSign") &&
         add_extension(authority, authority, NID_subject_key_identifier, "hash") &&
         X509_sign(authority, key, EVP_sha256()) > 0;
}

bool finish_serving(X509* serving, X509* authority, EVP_PKEY* authority_key, const CertificateWish& wish) {
  return X509_set_issuer_name(serving, X509_get_subject_name(authority)) == 1 &&
         add_extension(serving, authority, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(serving, authority, NID_key_usage, "critical,digitalSignature") &&
         add_extension(serving, authority, NID_ext_key_usage, "serverAuth") &&
         add_extension(serving, authority, NID_authority_key_identifier, "keyid:always") &&
         add_dns_names(serving, wish.dns_names) && X509_sign(serving, authority_key, EVP_sha256()) > 0;
}

std::vector<std::string> dns_names_of(X509* certificate) {
  std::vector<std::string> out;
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int index = 0; names && index < sk_GENERAL_NAME_num(names.get()); ++index) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), index);
    if (name->type != GEN_DNS) continue;
    const auto* bytes = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    out.emplace_back(bytes, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  return out;
}

Status check_signed(X509* certificate, std::string_view ca, int64_t now_ms) {
  const Trust trust(X509_STORE_new());
  for (const std::string& pem : split_certificates(ca, kAuthoritiesMax)) {
    const Certificate authority = parse_certificate(pem);
    if (authority) X509_STORE_add_cert(trust.get(), authority.get());
  }
  const TrustContext context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), trust.get(), certificate, nullptr);
  X509_STORE_CTX_set_time(context.get(), 0, static_cast<time_t>(now_ms / 1000));
  const bool good = X509_verify_cert(context.get()) == 1;
  const int why = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (good) return {};
  return fail(ErrorKind::kFixInput,
              std::string("the certificate is not signed by its CA: ") + X509_verify_cert_error_string(why));
}

}  // namespace

Result<ServingCertificate> make_serving_certificate(const CertificateWish& wish) {
  if (wish.dns_names.empty()) return fail(ErrorKind::kFixInput, "make a certificate: it needs a DNS name");
  const Key authority_key(EVP_EC_gen("P-256")), serving_key(EVP_EC_gen("P-256"));
  if (!authority_key || !serving_key) return openssl_failed("keys");
  const Certificate authority = begin_certificate(authority_key.get(), "fmesh CA of " + wish.dns_names[0], wish);
  if (!authority || !finish_authority(authority.get(), authority_key.get())) return openssl_failed("CA");
  const Certificate serving = begin_certificate(serving_key.get(), wish.dns_names[0], wish);
  if (!serving || !finish_serving(serving.get(), authority.get(), authority_key.get(), wish)) {
    return openssl_failed("serving certificate");
  }
  ServingCertificate out{pem_of(serving.get()), pem_of(serving_key.get()), pem_of(authority.get())};
  if (out.certificate.empty() || out.key.empty() || out.ca.empty()) return openssl_failed("PEM");
  return out;
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  const Certificate certificate = parse_certificate(pem);
  if (!certificate) return fail(ErrorKind::kFixInput, "expected a certificate (PEM, -----BEGIN CERTIFICATE-----)");
  return CertificateFacts{wall_ms(X509_get0_notBefore(certificate.get())),
                          wall_ms(X509_get0_notAfter(certificate.get())), dns_names_of(certificate.get())};
}

Status check_serving(const ServingCertificate& serving, const std::vector<std::string>& dns_names, int64_t now_ms) {
  FMESH_TRY(const CertificateFacts facts, read_certificate(serving.certificate));
  const Certificate certificate = parse_certificate(serving.certificate);
  const Key key = parse_key(serving.key);
  if (!key) return fail(ErrorKind::kFixInput, "expected a key without a passphrase (PEM, -----BEGIN PRIVATE KEY-----)");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(ErrorKind::kFixInput, "the key does not belong to the certificate");
  }
  for (const std::string& name : dns_names) {
    const bool held = X509_check_host(certificate.get(), name.data(), name.size(), 0, nullptr) == 1;
    if (!held) return fail(ErrorKind::kFixInput, "the certificate is not made for " + name);
  }
  if (now_ms < facts.not_before_ms) return fail(ErrorKind::kFixInput, "the certificate is not valid yet");
  if (now_ms >= facts.not_after_ms) return fail(ErrorKind::kFixInput, "the certificate has expired");
  return serving.ca.empty() ? Status() : check_signed(certificate.get(), serving.ca, now_ms);
}

std::vector<std::string> split_certificates(std::string_view pem, size_t limit) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";
  std::vector<std::string> out;
  while (out.size() < limit) {
    const size_t begin = pem.find(kBegin);
    const size_t end = begin == std::string_view::npos ? begin : pem.find(kEnd, begin);
    if (end == std::string_view::npos) break;
    std::string one(pem.substr(begin, end + kEnd.size() - begin));
    one += '\n';
    if (std::find(out.begin(), out.end(), one) == out.end()) out.push_back(std::move(one));
    pem.remove_prefix(end + kEnd.size());
  }
  return out;
}

}  // namespace fmesh::net
