#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace signum {

// A SHA-256 digest (FIPS 180-4). Its text form everywhere is "sha256:<64 lower-case hex>".
struct Digest {
  std::array<std::byte, 32> bytes{};

  auto operator<=>(const Digest&) const = default;

  std::string Hex() const;   // 64 hex digits
  std::string Text() const;  // "sha256:" + Hex()
  // RFC 9530 Repr-Digest value: sha-256=:<base64>:
  std::string ReprDigest() const;

  static Result<Digest> FromText(std::string_view text);  // with or without "sha256:"
};

// Incremental SHA-256. Not thread-safe; one per stream.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(ConstBytes bytes);
  Digest Finish();  // the object may then be reused for a new stream

  static Digest Of(ConstBytes bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace signum

template <>
struct std::hash<signum::Digest> {
  size_t operator()(const signum::Digest& d) const noexcept {
    return signum::LoadLe<size_t>(d.bytes.data());
  }
};
