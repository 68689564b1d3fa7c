#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "storage/base/result.h"

namespace signum::http {

struct TlsContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsContext = std::unique_ptr<SSL_CTX, TlsContextDeleter>;

struct TlsDeleter {
  void operator()(SSL* tls) const { SSL_free(tls); }
};
using TlsSession = std::unique_ptr<SSL, TlsDeleter>;

// A server context for TLS 1.2 and 1.3 with forward secrecy only. Errc::kInvalid
// "bad_tls_certificate" or "bad_tls_key" names the file and what OpenSSL found wrong with it.
Result<TlsContext> MakeTlsContext(const std::string& cert_file, const std::string& key_file);

}  // namespace signum::http
