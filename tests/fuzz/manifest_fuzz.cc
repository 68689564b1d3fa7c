// A manifest's envelope: what parses can be signed anew, and then verifies.

#include "storage/format/manifest.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  static const SigningKey key = SigningKey::FromSeed(std::string(32, 'f')).value();
  const std::string_view text = FuzzText(data, size);
  Require(!Manifest::Verify(text, key.public_key()));  // nobody has this key
  const auto manifest = Manifest::ParseUnverified(text);
  if (!manifest) return 0;
  const std::string signed_anew = manifest->Sign(key);
  const auto verified = Manifest::Verify(signed_anew, key.public_key());
  Require(verified && verified->Sign(key) == signed_anew);
  return 0;
}
