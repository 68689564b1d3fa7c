#include "storage/format/signature.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "storage/base/digest.h"
#include "storage/base/file.h"

namespace signum {

namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kSignatureBytes = 64;

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyDeleter>;
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

const unsigned char* Raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Key PrivateKey(std::string_view seed) {
  return Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Raw(seed), seed.size()));
}

// Begins as no manifest does, so that neither signature can pass for the other.
std::string EndorsementText(const PublicKey& successor) {
  return "signum key endorsement v1\n" + successor.bytes;
}

Error CryptoError(const std::string& what) {
  return Fail(Errc::kInternal, "crypto_error", what + " failed in OpenSSL");
}

}  // namespace

std::string PublicKey::Id() const { return Sha256::Of(AsBytes(bytes)).Hex().substr(0, 16); }

bool PublicKey::Verify(std::string_view message, std::string_view signature) const {
  if (bytes.size() != kKeyBytes || signature.size() != kSignatureBytes) return false;
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Raw(bytes), bytes.size()));
  const Context context(EVP_MD_CTX_new());
  return key && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Raw(signature), signature.size(), Raw(message),
                          message.size()) == 1;
}

std::string PublicKey::ToBase64() const { return Base64Encode(AsBytes(bytes)); }

Result<PublicKey> PublicKey::FromBase64(std::string_view text) {
  PublicKey key;
  if (!Base64Decode(text, &key.bytes) || key.bytes.size() != kKeyBytes) {
    return Fail(Errc::kInvalid, "bad_key", "not the base64 of a 32-byte Ed25519 public key");
  }
  return key;
}

Result<SigningKey> SigningKey::Generate() {
  std::string seed(kKeyBytes, '\0');
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(seed.data()), kKeyBytes) != 1) {
    return CryptoError("RAND_priv_bytes");
  }
  return FromSeed(seed);
}

Result<SigningKey> SigningKey::FromSeed(std::string_view seed32) {
  if (seed32.size() != kKeyBytes) {
    return Fail(Errc::kInvalid, "bad_key",
                "an Ed25519 seed has 32 bytes, not " + std::to_string(seed32.size()));
  }
  SigningKey key;
  key.seed_ = seed32;
  key.public_key_.bytes.resize(kKeyBytes);
  size_t size = kKeyBytes;
  const Key handle = PrivateKey(seed32);
  if (!handle || EVP_PKEY_get_raw_public_key(
                     handle.get(), reinterpret_cast<unsigned char*>(key.public_key_.bytes.data()),
                     &size) != 1) {
    return CryptoError("Ed25519 key derivation");
  }
  return key;
}

Result<SigningKey> SigningKey::LoadOrCreate(const std::filesystem::path& path) {
  const Result<std::string> seed = ReadFile(path, kKeyBytes);
  if (seed.has_error() && seed.error().code != Errc::kNotFound) return seed.error();
  if (seed) {
    Result<SigningKey> key = FromSeed(*seed);
    if (key.has_error())
      return Fail(Errc::kCorrupt, "bad_key", path.string() + ": " + key.error().message);
    return key;
  }
  SIGNUM_ASSIGN(SigningKey key, Generate());
  SIGNUM_TRY(WriteFileAtomically(path, AsBytes(key.seed_), kSecretMode));
  return key;
}

std::string SigningKey::Sign(std::string_view message) const {
  std::string signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  const Key key = PrivateKey(seed_);
  const Context context(EVP_MD_CTX_new());
  if (!key || !context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     Raw(message), message.size()) != 1) {
    throw std::bad_alloc();  // nothing else can fail with a checked seed
  }
  return signature;
}

std::string Endorse(const SigningKey& key, const PublicKey& successor) {
  return key.Sign(EndorsementText(successor));
}

bool IsEndorsement(const PublicKey& key, const PublicKey& successor, std::string_view signature) {
  return key.Verify(EndorsementText(successor), signature);
}

}  // namespace signum
