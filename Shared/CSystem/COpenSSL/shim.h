#pragma once
// What Swift cannot import of OpenSSL: macros, casts, typed stacks and variadic functions.
#include <limits.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Contexts.

static inline int cossl_ctx_set_min_version(SSL_CTX *ctx, int version) {
  return (int)SSL_CTX_set_min_proto_version(ctx, version);
}
static inline int cossl_ctx_set_max_version(SSL_CTX *ctx, int version) {
  return (int)SSL_CTX_set_max_proto_version(ctx, version);
}
/// Modes, options and caching that every context of ours has.
static inline void cossl_ctx_set_defaults(SSL_CTX *ctx, int release_buffers) {
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (release_buffers) SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(
      ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);
}
static inline int cossl_ctx_add_chain_certificate(SSL_CTX *ctx, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(ctx, certificate);
}

// Connections.

static inline int cossl_set_server_name(SSL *ssl, const char *name) {
  return (int)SSL_set_tlsext_host_name(ssl, name);
}
static inline void cossl_bio_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void cossl_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static const int COSSL_BIO_CTRL_FLUSH = BIO_CTRL_FLUSH;

// Digests.

/// SHA-256 of a short message, written to 32 bytes: at once and on the stack. EVP makes and frees a state for each message,
/// which takes as long as to digest one of 50 bytes. Deprecated since OpenSSL 3.0 in favour of EVP, and there in all of 3.x.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
static inline int cossl_sha256(const void *message, size_t count, void *digest) {
  SHA256_CTX state;
  return SHA256_Init(&state) == 1 && SHA256_Update(&state, message, count) == 1 &&
         SHA256_Final((unsigned char *)digest, &state) == 1;
}
#pragma clang diagnostic pop

// Errors.

static inline int cossl_err_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int cossl_err_lib(unsigned long code) { return ERR_GET_LIB(code); }

// Memory BIOs.

static inline long cossl_bio_mem_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }

// Keys and certificates.

/// A password callback that has none: without it OpenSSL would ask on the terminal.
static inline int cossl_no_password(char *buffer, int size, int writing, void *user) {
  (void)buffer; (void)size; (void)writing; (void)user;
  return -1;
}
static inline EVP_PKEY *cossl_read_private_key(BIO *bio) {
  return PEM_read_bio_PrivateKey(bio, NULL, cossl_no_password, NULL);
}
static inline X509 *cossl_read_certificate(BIO *bio) {
  return PEM_read_bio_X509(bio, NULL, cossl_no_password, NULL);
}
static inline EVP_PKEY *cossl_generate_p256(void) { return EVP_EC_gen("P-256"); }

static inline int cossl_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  if (extension == NULL) return 0;
  int ok = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return ok;
}

// Subject alternative names.

static inline GENERAL_NAMES *cossl_names_new(void) { return GENERAL_NAMES_new(); }
static inline void cossl_names_free(GENERAL_NAMES *names) { GENERAL_NAMES_free(names); }
static inline int cossl_names_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline GENERAL_NAMES *cossl_names_of(const X509 *certificate) {
  return (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}
static inline int cossl_names_set(X509 *certificate, GENERAL_NAMES *names) {
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0);
}
/// The bytes and the type (`GEN_DNS`, `GEN_URI`, `GEN_IPADD`) of the name at `index`; -1 for any other type.
static inline int cossl_names_get(const GENERAL_NAMES *names, int index, const unsigned char **data, int *length) {
  int type = -1;
  ASN1_STRING *value = (ASN1_STRING *)GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, index), &type);
  if (type != GEN_DNS && type != GEN_URI && type != GEN_IPADD) return -1;
  *data = ASN1_STRING_get0_data(value);
  *length = ASN1_STRING_length(value);
  return type;
}
/// Adds a DNS name, a URI or an IP address in text form; 0 when it is not one or memory is short.
static inline int cossl_names_add(GENERAL_NAMES *names, int type, const char *text) {
  ASN1_STRING *value = NULL;
  if (type == GEN_IPADD) {
    value = (ASN1_STRING *)a2i_IPADDRESS(text);
  } else {
    value = (ASN1_STRING *)ASN1_IA5STRING_new();
    if (value != NULL && !ASN1_STRING_set(value, text, (int)strlen(text))) {
      ASN1_STRING_free(value);
      value = NULL;
    }
  }
  if (value == NULL) return 0;
  GENERAL_NAME *name = GENERAL_NAME_new();
  if (name == NULL) {
    ASN1_STRING_free(value);
    return 0;
  }
  GENERAL_NAME_set0_value(name, type, value);
  if (sk_GENERAL_NAME_push(names, name) <= 0) {
    GENERAL_NAME_free(name);
    return 0;
  }
  return 1;
}
static inline int cossl_is_ip_address(const char *text) {
  ASN1_OCTET_STRING *address = a2i_IPADDRESS(text);
  if (address == NULL) return 0;
  ASN1_OCTET_STRING_free(address);
  return 1;
}
