#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <mutex>
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

// PEM files. Where `client_ca` is not empty, clients are asked for a certificate that it signed:
// one that has none goes on without, one whose certificate does not hold is turned away.
struct TlsFiles {
  std::string cert, key, client_ca;
};

// A server context for TLS 1.2 and 1.3 with forward secrecy only. Errc::kInvalid
// "bad_tls_certificate", "bad_tls_key" or "bad_tls_client_ca" names the file and what OpenSSL found
// wrong with it.
Result<TlsContext> MakeTlsContext(const TlsFiles& files);

// The context that new connections take. Connections keep the one they began with. Thread-safe.
class TlsKeeper {
 public:
  std::shared_ptr<SSL_CTX> Current() const;  // null: plain
  Result<void> Load(const TlsFiles& files);  // reads the files; the context stays where they fail

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;
};

}  // namespace signum::http
