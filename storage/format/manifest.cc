#include "storage/format/manifest.h"

#include <nlohmann/json.hpp>

#include "storage/base/name.h"
#include "storage/format/canonical_json.h"
#include "storage/format/json_fields.h"
#include "storage/format/recipe_json.h"

namespace signum {

namespace {

using nlohmann::json;

constexpr const char* kFormat = "signum.manifest";
constexpr const char* kAlgorithm = "ed25519";
constexpr size_t kDigestBytes = 32;

Error BadManifest(const std::string& why) {
  return Fail(Errc::kCorrupt, "bad_manifest", "manifest: " + why);
}

std::string PackChunks(const std::vector<Digest>& chunks) {
  std::string raw;
  for (const Digest& chunk : chunks) raw.append(AsText(chunk.bytes));
  return Base64Encode(AsBytes(raw));
}

json TensorToJson(const ManifestTensor& tensor) {
  return {{"name", tensor.info.name},
          {"dtype", DtypeName(tensor.info.dtype)},
          {"shape", ShapeToJson(tensor.info.shape)},
          {"codec", CodecName(tensor.codec)},
          {"stored_bytes", tensor.stored_bytes}};
}

// A JSON object held as text by the caller. Anything else there is a bug of the caller.
void AddObject(json* out, const char* name, const std::string& text) {
  if (text.empty()) return;
  json value = ParseJson(text).value();
  if (!value.is_object()) throw std::logic_error(std::string(name) + " is not a JSON object");
  (*out)[name] = std::move(value);
}

json ToJson(const Manifest& m) {
  json out = {{"format", kFormat},
              {"format_version", 1},
              {"tenant", m.tenant},
              {"model", m.model},
              {"version", m.version},
              {"base", {{"name", m.base}, {"digest", m.base_digest.Text()}}},
              {"delta",
               {{"size", m.delta_size},
                {"digest", m.delta_digest.Text()},
                {"chunk_bytes", kChunkBytes},
                {"chunks", PackChunks(m.chunks)}}},
              {"codec", m.codec},
              {"scales", m.scales},
              {"embeddings", m.embeddings},
              {"method", m.method},
              {"architecture", m.architecture},
              {"tensors", json::array()},
              {"recipe", RecipeToJson(m.recipe)},
              {"creator", m.creator},
              {"created", m.created}};
  for (const ManifestTensor& tensor : m.tensors) out["tensors"].push_back(TensorToJson(tensor));
  AddObject(&out, "fidelity", m.fidelity_json);
  AddObject(&out, "calibration", m.calibration_json);
  return out;
}

void ReadShape(JsonFields* fields, TensorInfo* info) {
  uint64_t bytes = DtypeSize(info->dtype);
  for (const json& dimension : fields->Array("shape")) {
    if (!IsSafeUnsigned(dimension)) return fields->Refuse(fields->PathOf("shape") + " is no shape");
    info->shape.push_back(dimension.get<uint64_t>());
    if (info->shape.back() > 0 && __builtin_mul_overflow(bytes, info->shape.back(), &bytes)) {
      return fields->Refuse(fields->PathOf("shape") + " overflows");
    }
  }
}

ManifestTensor ReadTensor(JsonFields* fields) {
  ManifestTensor tensor;
  tensor.info.name = fields->String("name");
  const std::optional<Dtype> dtype = DtypeFromName(fields->String("dtype"));
  const std::optional<Codec> codec = CodecFromName(fields->String("codec"));
  if (!dtype) fields->Refuse(fields->PathOf("dtype") + " is not known");
  if (!codec) fields->Refuse(fields->PathOf("codec") + " is not known");
  tensor.info.dtype = dtype.value_or(Dtype::kF32);
  tensor.codec = codec.value_or(Codec::kRaw);
  ReadShape(fields, &tensor.info);
  tensor.stored_bytes = fields->Unsigned("stored_bytes");
  return tensor;
}

void ReadTensors(JsonFields* fields, std::vector<ManifestTensor>* tensors) {
  for (const json& element : fields->Array("tensors")) {
    JsonFields row(element,
                   fields->PathOf("tensors") + "[" + std::to_string(tensors->size()) + "]");
    ManifestTensor tensor = ReadTensor(&row);
    if (!tensors->empty() && tensors->back().info.name >= tensor.info.name) {
      row.Refuse(row.PathOf("name") + ": tensors are not sorted by name");
    }
    if (row.failed()) return fields->Refuse(row.error());
    tensors->push_back(std::move(tensor));
  }
}

void ReadChunks(JsonFields* delta, Manifest* m) {
  std::string raw;
  if (!Base64Decode(delta->String("chunks"), &raw) || raw.size() % kDigestBytes != 0) {
    return delta->Refuse(delta->PathOf("chunks") + " is not base64 of 32-byte digests");
  }
  m->chunks.resize(raw.size() / kDigestBytes);
  for (size_t i = 0; i < m->chunks.size(); ++i) {
    std::memcpy(m->chunks[i].bytes.data(), raw.data() + i * kDigestBytes, kDigestBytes);
  }
  if (m->chunks.size() != (m->delta_size + kChunkBytes - 1) / kChunkBytes) {
    delta->Refuse(delta->PathOf("chunks") + " has not one digest for every 64 KiB");
  }
}

void ReadDelta(JsonFields* fields, Manifest* m) {
  JsonFields delta(fields->Object("delta"), fields->PathOf("delta"));
  m->delta_size = delta.Unsigned("size");
  m->delta_digest = delta.ReadDigest("digest");
  delta.Expect("chunk_bytes", kChunkBytes);
  ReadChunks(&delta, m);
  if (delta.failed()) fields->Refuse(delta.error());
}

void ReadBase(JsonFields* fields, Manifest* m) {
  JsonFields base(fields->Object("base"), fields->PathOf("base"));
  m->base = base.String("name");
  m->base_digest = base.ReadDigest("digest");
  if (base.failed()) fields->Refuse(base.error());
}

// Fields of `json_object` that this version does not know are let through: they are signed.
Result<Manifest> FromJson(const json& value) {
  JsonFields fields(value, "");
  fields.Expect("format", kFormat);
  fields.Expect("format_version", 1);
  Manifest m;
  m.tenant = fields.String("tenant");
  m.model = fields.String("model");
  m.version = fields.Unsigned("version");
  ReadBase(&fields, &m);
  ReadDelta(&fields, &m);
  m.codec = fields.String("codec");
  m.scales = fields.String("scales");
  m.embeddings = fields.String("embeddings");
  m.method = fields.String("method");
  m.architecture = fields.String("architecture");
  m.creator = fields.String("creator");
  m.created = fields.String("created");
  ReadTensors(&fields, &m.tensors);
  if (fields.Has("fidelity")) m.fidelity_json = CanonicalJson(fields.Object("fidelity"));
  if (fields.Has("calibration")) m.calibration_json = CanonicalJson(fields.Object("calibration"));
  const Result<Recipe> recipe = RecipeFromJson(fields.Object("recipe"), "recipe");
  if (recipe) m.recipe = *recipe;
  if (!recipe) fields.Refuse(recipe.error().message);
  if (fields.failed()) return BadManifest(fields.error());
  return m;
}

// The envelope's JSON, which must be in canonical form: then its bytes are the ones that were
// signed, and no second spelling of the same manifest passes.
Result<json> ParseEnvelope(std::string_view text) {
  Result<json> envelope = ParseJson(text);
  if (!envelope) return BadManifest(envelope.error().message);
  if (!envelope->is_object() || envelope->size() != 2 || !envelope->contains("manifest") ||
      !envelope->contains("signature")) {
    return BadManifest("it is not an object of manifest and signature");
  }
  if (CanonicalJson(*envelope) != text) return BadManifest("it is not in canonical form");
  return envelope;
}

Result<void> CheckSignature(const json& envelope, const PublicKey& key) {
  JsonFields signature(envelope["signature"], "signature");
  signature.Expect("alg", kAlgorithm);
  const std::string id = signature.String("key");
  std::string raw;
  if (!Base64Decode(signature.String("sig"), &raw)) signature.Refuse("signature.sig is not base64");
  if (signature.failed()) return BadManifest(signature.error());
  if (id != key.Id()) {
    return Fail(Errc::kCorrupt, "unknown_key",
                "the manifest is signed by key '" + Printable(id) + "', not by " + key.Id());
  }
  if (key.Verify(CanonicalJson(envelope["manifest"]), raw)) return {};
  return Fail(Errc::kCorrupt, "bad_signature", "the manifest's signature by " + id + " is wrong");
}

}  // namespace

std::string Manifest::Sign(const SigningKey& key) const {
  json manifest = ToJson(*this);
  const std::string signature = key.Sign(CanonicalJson(manifest));
  return CanonicalJson({{"manifest", std::move(manifest)},
                        {"signature",
                         {{"alg", kAlgorithm},
                          {"key", key.public_key().Id()},
                          {"sig", Base64Encode(AsBytes(signature))}}}});
}

Result<Manifest> Manifest::Verify(std::string_view envelope, const PublicKey& key) {
  SIGNUM_ASSIGN(const json value, ParseEnvelope(envelope));
  SIGNUM_TRY(CheckSignature(value, key));
  return FromJson(value["manifest"]);
}

Result<Manifest> Manifest::ParseUnverified(std::string_view envelope) {
  SIGNUM_ASSIGN(const json value, ParseEnvelope(envelope));
  return FromJson(value["manifest"]);
}

}  // namespace signum
