#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/result.h"

namespace signum {

// Ed25519 (RFC 8032) through OpenSSL.
struct PublicKey {
  std::string bytes;       // 32 raw bytes
  std::string Id() const;  // first 16 hex digits of SHA-256 of the raw key
  // 64-byte signature over `message`.
  bool Verify(std::string_view message, std::string_view signature) const;
  std::string ToBase64() const;
  static Result<PublicKey> FromBase64(std::string_view text);
};

class SigningKey {
 public:
  static Result<SigningKey> Generate();
  static Result<SigningKey> FromSeed(std::string_view seed32);
  // Reads the 32-byte seed file, or creates it (mode 0600) where absent.
  static Result<SigningKey> LoadOrCreate(const std::filesystem::path& path);

  const PublicKey& public_key() const { return public_key_; }
  std::string Sign(std::string_view message) const;  // 64 bytes

 private:
  std::string seed_;
  PublicKey public_key_;
};

// What a key signs to say that its successor is to be trusted as it was (FORMAT.md, Keys).
std::string Endorse(const SigningKey& key, const PublicKey& successor);
bool IsEndorsement(const PublicKey& key, const PublicKey& successor, std::string_view signature);

}  // namespace signum
