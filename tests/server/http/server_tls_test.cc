#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/server/http/test_server.h"

namespace signum::http::test {
namespace {

using std::chrono::milliseconds;

// A fresh self-signed certificate with its key in a folder of its own.
class Certificate {
 public:
  Certificate() {
    std::string name = (std::filesystem::temp_directory_path() / "signum-tls-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x509 = X509_new();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME* subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(x509, subject);
    X509_sign(x509, key, EVP_sha256());
    Save(cert(), [&](FILE* file) { PEM_write_X509(file, x509); });
    Save(this->key(), [&](FILE* file) {
      PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    X509_free(x509);
    EVP_PKEY_free(key);
  }
  ~Certificate() { std::filesystem::remove_all(folder_); }

  std::string cert() const { return (folder_ / "cert.pem").string(); }
  std::string key() const { return (folder_ / "key.pem").string(); }

 private:
  template <class Write>
  static void Save(const std::string& path, Write write) {
    FILE* file = fopen(path.c_str(), "w");
    write(file);
    fclose(file);
  }

  std::filesystem::path folder_;
};

// A blocking TLS client of one protocol version over a RawClient's socket.
class TlsClient {
 public:
  // With `shown` (may be null) as the client's own certificate.
  TlsClient(uint16_t port, int version, const Certificate* shown = nullptr)
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    if (shown != nullptr) {
      SSL_CTX_use_certificate_chain_file(context_, shown->cert().c_str());
      SSL_CTX_use_PrivateKey_file(context_, shown->key().c_str(), SSL_FILETYPE_PEM);
    }
    SSL_CTX_set_security_level(context_, 0);  // so that it does offer what must be refused
    SSL_CTX_set_min_proto_version(context_, version);
    SSL_CTX_set_max_proto_version(context_, version);
    tls_ = SSL_new(context_);
    SSL_set_fd(tls_, socket_.fd());
    connected_ = SSL_connect(tls_) == 1;
  }
  ~TlsClient() {
    SSL_free(tls_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  SSL* tls() { return tls_; }
  bool Send(const std::string& bytes) {
    return SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }
  // Reads until `size` bytes of a body have come; returns head and body.
  std::string Read(size_t size) {
    std::string text;
    std::string piece(65536, '\0');
    while (text.find("\r\n\r\n") == std::string::npos ||
           text.size() - text.find("\r\n\r\n") - 4 < size) {
      const int got = SSL_read(tls_, piece.data(), static_cast<int>(piece.size()));
      if (got <= 0) break;
      text.append(piece, 0, static_cast<size_t>(got));
    }
    return text;
  }

 private:
  RawClient socket_;
  SSL_CTX* context_;
  SSL* tls_ = nullptr;
  bool connected_ = false;
};

class Tls : public ServerTest {
 protected:
  void StartTls(ServerOptions options = {}) {
    options.tls.cert = certificate_.cert();
    options.tls.key = certificate_.key();
    StartServer(options);
  }
  Certificate certificate_;
};

TEST_F(Tls, Serves12And13) {
  StartTls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(port(), version);
    ASSERT_TRUE(client.connected()) << version;
    client.Send(Ask11("GET", "/echo/a/files/b"));
    EXPECT_TRUE(client.Read(21).ends_with("a|b|https://localhost"));
    for (const std::string target : {"/viewed", "/read"}) {
      client.Send(Ask11("GET", target));
      const std::string text = client.Read(blob_.size());
      EXPECT_TRUE(text.substr(text.find("\r\n\r\n") + 4) == blob_) << target;
    }
  }
}

TEST_F(Tls, TakesBodiesAndPipelinedRequests) {
  StartTls();
  TlsClient client(port(), TLS1_3_VERSION);
  ASSERT_TRUE(client.Send(Ask11("PUT", "/sink", "", blob_)));
  EXPECT_TRUE(client.Read(16).ends_with("{\"size\":3000000}"));
  EXPECT_TRUE(sink_log_->Get().bytes == blob_);
  client.Send(Ask11("POST", "/echo", "", "one") + Ask11("POST", "/echo", "", "two"));
  std::string both;
  while (both.find("two") == std::string::npos) {
    const std::string more = client.Read(3);
    if (more.empty()) break;
    both += more;
  }
  EXPECT_LT(both.find("one"), both.find("two"));
}

TEST_F(Tls, WaitsAndNoticesThatAClientLeft) {
  StartTls();
  {
    TlsClient client(port(), TLS1_3_VERSION);
    client.Send(Ask11("GET", "/wait"));
    ASSERT_TRUE(bell_.WaitFor(1));
    news_.Set(9);
    bell_.Ring();
    EXPECT_TRUE(client.Read(1).ends_with("9"));
    news_.Set(0);
    client.Send(Ask11("GET", "/wait"));
    ASSERT_TRUE(bell_.WaitFor(1));
    SSL_shutdown(client.tls());
    EXPECT_TRUE(bell_.WaitFor(0)) << "after close_notify";
  }
  {
    TlsClient client(port(), TLS1_2_VERSION);
    client.Send(Ask11("GET", "/wait"));
    ASSERT_TRUE(bell_.WaitFor(1));
  }
  EXPECT_TRUE(bell_.WaitFor(0)) << "after the end of the stream alone";
}

TEST_F(Tls, RefusesOldVersionsAndPlainHttp) {
  StartTls();
  EXPECT_FALSE(TlsClient(port(), TLS1_1_VERSION).connected());
  EXPECT_FALSE(TlsClient(port(), TLS1_VERSION).connected());
  RawClient plain(port());
  plain.Send(Ask11("GET", "/hello"));
  EXPECT_FALSE(plain.Read().has_value());
  EXPECT_TRUE(TlsClient(port(), TLS1_3_VERSION).connected());
}

TEST_F(Tls, EndsASlowHandshake) {
  ServerOptions options;
  options.header_timeout = milliseconds(200);
  StartTls(options);
  RawClient silent(port());
  silent.Send("\x16\x03\x01");
  EXPECT_TRUE(silent.AtEnd());
}

// The answer of /verified: whether the client's certificate was believed; empty where it was turned
// away.
std::string Verified(uint16_t port, int version, const Certificate* shown) {
  TlsClient client(port, version, shown);
  if (!client.connected() || !client.Send(Ask11("GET", "/verified"))) return {};
  const std::string text = client.Read(2);
  return text.empty() ? text : text.substr(text.find("\r\n\r\n") + 4);
}

TEST_F(Tls, AsksClientsForCertificatesOfItsCa) {
  const Certificate known;
  const Certificate stranger;
  ServerOptions options;
  options.tls.client_ca = known.cert();
  StartTls(options);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_EQ(Verified(port(), version, &known), "yes");
    EXPECT_EQ(Verified(port(), version, nullptr), "no");
    EXPECT_EQ(Verified(port(), version, &stranger), "");
  }
}

TEST_F(Tls, BelievesNoCertificateUnasked) {
  StartTls();
  EXPECT_EQ(Verified(port(), TLS1_3_VERSION, &certificate_), "no");
}

TEST_F(Tls, ReadsItsCertificateAnew) {
  StartTls();
  TlsClient before(port(), TLS1_3_VERSION);
  const auto serial = [](TlsClient& client) {
    X509* shown = SSL_get1_peer_certificate(client.tls());
    char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    X509_digest(shown, EVP_sha256(), reinterpret_cast<unsigned char*>(digest), &size);
    X509_free(shown);
    return std::string(digest, size);
  };
  const std::string old = serial(before);
  const Certificate renewed;
  const auto overwrite = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy(renewed.cert(), certificate_.cert(), overwrite);
  EXPECT_EQ(server_->ReloadTls().error().reason, "bad_tls_key");  // half a renewal changes nothing
  TlsClient between(port(), TLS1_3_VERSION);
  EXPECT_EQ(serial(between), old);
  std::filesystem::copy(renewed.key(), certificate_.key(), overwrite);
  ASSERT_TRUE(server_->ReloadTls().has_value());
  TlsClient after(port(), TLS1_3_VERSION);
  EXPECT_NE(serial(after), old);
  before.Send(Ask11("GET", "/hello"));
  EXPECT_NE(before.Read(1).find("200"), std::string::npos) << "old connections go on";
}

TEST_F(Tls, SaysWhatIsWrongWithACertificateOrKey) {
  const auto start = [](const std::string& cert, const std::string& key) {
    ServerOptions options;
    options.tls.cert = cert;
    options.tls.key = key;
    return Server::Start(options, Router(), {}).error();
  };
  const Error missing = start("/nowhere/cert.pem", certificate_.key());
  EXPECT_EQ(missing.reason, "bad_tls_certificate");
  EXPECT_NE(missing.message.find("/nowhere/cert.pem"), std::string::npos);
  EXPECT_EQ(start(certificate_.key(), certificate_.key()).reason, "bad_tls_certificate");
  EXPECT_EQ(start(certificate_.cert(), certificate_.cert()).reason, "bad_tls_key");
  const Certificate other;
  EXPECT_EQ(start(certificate_.cert(), other.key()).reason, "bad_tls_key");
  EXPECT_EQ(start(certificate_.cert(), "").reason, "bad_tls_options");
  ServerOptions options;
  options.tls = {certificate_.cert(), certificate_.key(), "/nowhere/ca.pem"};
  const Error no_ca = Server::Start(options, Router(), {}).error();
  EXPECT_EQ(no_ca.reason, "bad_tls_client_ca");
  EXPECT_NE(no_ca.message.find("/nowhere/ca.pem"), std::string::npos);
}

}  // namespace
}  // namespace signum::http::test
