#include "server/http/tls.h"

#include <openssl/err.h>

namespace signum::http {
namespace {

std::string OpensslReason() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  if (ERR_SYSTEM_ERROR(code)) return "cannot be read";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

// ALPN: this server speaks http/1.1 alone; a client that offers no such thing goes on without.
int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof(kHttp11) - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<void> AskForCertificates(SSL_CTX* context, const std::string& ca_file) {
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(ca_file.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return Fail(Errc::kInvalid, "bad_tls_client_ca",
                "TLS client CA " + ca_file + ": " + OpensslReason());
  }
  SSL_CTX_set_client_CA_list(context, names);  // takes them
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // Without an id of its own OpenSSL resumes no session of a client that was asked.
  static constexpr unsigned char kSessions[] = "signum";
  SSL_CTX_set_session_id_context(context, kSessions, sizeof(kSessions) - 1);
  return {};
}

}  // namespace

Result<TlsContext> MakeTlsContext(const TlsFiles& files) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context) return Fail(Errc::kInternal, "tls", "TLS: " + OpensslReason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Idle connections keep no record buffers; writes may be retried from another piece of memory.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(context.get(), SelectProtocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str()) != 1) {
    return Fail(Errc::kInvalid, "bad_tls_certificate",
                "TLS certificate " + files.cert + ": " + OpensslReason());
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return Fail(Errc::kInvalid, "bad_tls_key", "TLS key " + files.key + ": " + OpensslReason());
  }
  if (!files.client_ca.empty()) SIGNUM_TRY(AskForCertificates(context.get(), files.client_ca));
  return context;
}

std::shared_ptr<SSL_CTX> TlsKeeper::Current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

Result<void> TlsKeeper::Load(const TlsFiles& files) {
  SIGNUM_ASSIGN(TlsContext made, MakeTlsContext(files));
  const std::lock_guard lock(mutex_);
  context_ = std::move(made);
  return {};
}

}  // namespace signum::http
