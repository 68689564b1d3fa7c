#include "storage/format/manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "storage/format/canonical_json.h"
#include "tests/storage/format/sample_delta.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using nlohmann::json;

SigningKey Key() { return SigningKey::FromSeed(std::string(32, 'k')).value(); }

auto Bad(const char* text) { return FailsWith(Errc::kCorrupt, "bad_manifest", text); }

// The sample's envelope with one change at a JSON pointer, signed anew where `sign`; null removes.
std::string Changed(const std::string& pointer, const json& value, bool sign) {
  json envelope = json::parse(MakeSampleManifest().Sign(Key()));
  const json::json_pointer at(pointer);
  if (value.is_null()) {
    envelope.at(at.parent_pointer()).erase(at.back());
  } else {
    envelope[at] = value;
  }
  if (sign) {
    envelope["signature"]["sig"] =
        Base64Encode(AsBytes(Key().Sign(CanonicalJson(envelope["manifest"]))));
  }
  return CanonicalJson(envelope);
}

void ExpectEqual(const Manifest& a, const Manifest& b) {
  EXPECT_EQ(std::tie(a.tenant, a.model, a.version, a.base, a.base_digest, a.delta_size),
            std::tie(b.tenant, b.model, b.version, b.base, b.base_digest, b.delta_size));
  EXPECT_EQ(std::tie(a.delta_digest, a.chunks, a.codec, a.scales, a.embeddings, a.method),
            std::tie(b.delta_digest, b.chunks, b.codec, b.scales, b.embeddings, b.method));
  EXPECT_EQ(std::tie(a.architecture, a.fidelity_json, a.calibration_json, a.creator, a.created),
            std::tie(b.architecture, b.fidelity_json, b.calibration_json, b.creator, b.created));
  EXPECT_EQ(a.recipe, b.recipe);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].info, b.tensors[i].info);
    EXPECT_EQ(a.tensors[i].codec, b.tensors[i].codec);
    EXPECT_EQ(a.tensors[i].stored_bytes, b.tensors[i].stored_bytes);
  }
}

TEST(Manifest, ComesBack) {
  const Manifest sample = MakeSampleManifest();
  const std::string envelope = sample.Sign(Key());
  const auto verified = Manifest::Verify(envelope, Key().public_key());
  ASSERT_THAT(verified, Ok());
  ExpectEqual(*verified, sample);
  ExpectEqual(Manifest::ParseUnverified(envelope).value(), sample);
  EXPECT_EQ(verified->Sign(Key()), envelope);
}

TEST(Manifest, LeavesOutWhatIsNotKnown) {
  Manifest sample = MakeSampleManifest();
  sample.fidelity_json.clear();
  sample.calibration_json.clear();
  sample.delta_size = 0;
  sample.chunks.clear();
  const std::string envelope = sample.Sign(Key());
  EXPECT_EQ(envelope.find("fidelity"), std::string::npos);
  ExpectEqual(Manifest::Verify(envelope, Key().public_key()).value(), sample);
}

TEST(Manifest, IsRefusedUnderAnotherKey) {
  const SigningKey other = SigningKey::FromSeed(std::string(32, 'o')).value();
  EXPECT_THAT(Manifest::Verify(MakeSampleManifest().Sign(other), Key().public_key()),
              FailsWith(Errc::kCorrupt, "unknown_key", other.public_key().Id().c_str()));
  const std::string posing = Changed("/signature/key", other.public_key().Id(), false);
  EXPECT_THAT(Manifest::Verify(posing, other.public_key()),
              FailsWith(Errc::kCorrupt, "bad_signature", ""));
}

TEST(Manifest, IsRefusedWhenAnyByteChanges) {
  const std::string envelope = MakeSampleManifest().Sign(Key());
  for (size_t at = 0; at < envelope.size(); ++at) {
    std::string changed = envelope;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(Manifest::Verify(changed, Key().public_key())) << at;
  }
  EXPECT_THAT(Manifest::Verify(Changed("/manifest/version", 8, false), Key().public_key()),
              FailsWith(Errc::kCorrupt, "bad_signature", Key().public_key().Id().c_str()));
}

TEST(Manifest, TakesOneSpellingOnly) {
  const std::string envelope = MakeSampleManifest().Sign(Key());
  EXPECT_THAT(Manifest::Verify(envelope + "\n", Key().public_key()), Bad("canonical"));
  EXPECT_THAT(Manifest::Verify(json::parse(envelope).dump(1), Key().public_key()),
              Bad("canonical"));
  EXPECT_THAT(Manifest::ParseUnverified(envelope + " "), Bad("canonical"));
}

TEST(Manifest, LetsNewFieldsThroughThatAreSigned) {
  const std::string newer = Changed("/manifest/license", "apache-2.0", true);
  EXPECT_THAT(Manifest::Verify(newer, Key().public_key()), Ok());
}

TEST(Manifest, NamesTheBadField) {
  const std::tuple<const char*, json, const char*> changes[] = {
      {"/manifest/format", "signum.delta", "format"},
      {"/manifest/format_version", 2, "format_version"},
      {"/manifest/tenant", nullptr, "tenant is absent"},
      {"/manifest/version", -1, "version"},
      {"/manifest/version", 1.5, "version"},
      {"/manifest/base", "llama", "base is not an object"},
      {"/manifest/base/digest", "sha256:1", "base.digest"},
      {"/manifest/delta/size", "big", "delta.size"},
      {"/manifest/delta/size", 3 * kChunkBytes + 1, "delta.chunks"},
      {"/manifest/delta/size", 2 * kChunkBytes, "delta.chunks"},
      {"/manifest/delta/chunk_bytes", 1024, "delta.chunk_bytes"},
      {"/manifest/delta/chunks", "AAAA", "delta.chunks"},
      {"/manifest/delta/chunks", "~", "delta.chunks"},
      {"/manifest/tensors", json::object(), "tensors is not an array"},
      {"/manifest/tensors/0/name", "z", "tensors[1].name: tensors are not sorted"},
      {"/manifest/tensors/1/dtype", "F12", "tensors[1].dtype"},
      {"/manifest/tensors/1/codec", "zip", "tensors[1].codec"},
      {"/manifest/tensors/0/shape/0", -4, "tensors[0].shape"},
      {"/manifest/tensors/0/shape", {uint64_t{1} << 40, uint64_t{1} << 40}, "tensors[0].shape"},
      {"/manifest/tensors/0/stored_bytes", nullptr, "tensors[0].stored_bytes is absent"},
      {"/manifest/recipe/files/0/path", "/etc/passwd", "recipe.files[0].path"},
      {"/manifest/fidelity", 1, "fidelity is not an object"},
      {"/manifest/calibration", json::array(), "calibration is not an object"},
      {"/manifest", json::array(), "not an object"}};
  for (const auto& [pointer, value, text] : changes) {
    const std::string envelope = Changed(pointer, value, true);
    EXPECT_THAT(Manifest::Verify(envelope, Key().public_key()), Bad(text)) << pointer << value;
  }
}

TEST(Manifest, NamesABrokenEnvelope) {
  const PublicKey key = Key().public_key();
  for (const char* bad : {"", "{", "[]", "{}", R"({"manifest":{}})", R"({"signature":{}})",
                          R"({"a":1,"manifest":{},"signature":{}})"}) {
    EXPECT_THAT(Manifest::Verify(bad, key), Bad("manifest")) << bad;
  }
  EXPECT_THAT(Manifest::Verify(R"({"manifest":{},"signature":3})", key), Bad("signature"));
  EXPECT_THAT(Manifest::Verify(Changed("/signature/alg", "none", false), key),
              Bad("signature.alg"));
  EXPECT_THAT(Manifest::Verify(Changed("/signature/sig", "!", false), key), Bad("signature.sig"));
  EXPECT_THAT(Manifest::Verify(Changed("/signature/sig", "", false), key),
              FailsWith(Errc::kCorrupt, "bad_signature", ""));
}

}  // namespace
}  // namespace signum
