#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <map>
#include "client/commands/command.h"

#include "client/local_checkpoint.h"
#include "storage/base/file.h"
#include "storage/format/canonical_json.h"
#include "storage/format/manifest.h"

namespace signum::client {

namespace {

using nlohmann::json;

constexpr uint64_t kMaxManifestBytes = 1u << 30;

json DescribeDelta(const std::string& path, const DeltaReader& delta) {
  json out = {{"file", path},
              {"format", "signum.delta"},
              {"size", delta.file()->size()},
              {"data_begin", delta.data_begin()},
              {"base", delta.header().base.Text()},
              {"codec", delta.header().codec},
              {"scales", delta.header().scales},
              {"tensors", json::array()},
              {"parts", json::array()},
              {"files", json::array()}};
  for (const auto& [name, codec] : delta.header().codecs) {
    out["tensors"].push_back({{"name", name}, {"codec", CodecName(codec)}});
  }
  for (const SafetensorsEntry& part : delta.parts()) {
    out["parts"].push_back({{"name", part.info.name},
                            {"dtype", DtypeName(part.info.dtype)},
                            {"shape", part.info.shape},
                            {"bytes", part.end - part.begin}});
  }
  for (const RecipeFile& file : delta.recipe().files) {
    out["files"].push_back(
        {{"path", file.path}, {"size", file.size}, {"sha256", file.digest.Text()}});
  }
  return out;
}

std::string Overview(const json& document, const DeltaReader& delta) {
  std::map<std::string, size_t> counts;
  for (const auto& [name, codec] : delta.header().codecs) ++counts[std::string(CodecName(codec))];
  std::string codecs;
  for (const auto& [codec, count] : counts) {
    codecs += (codecs.empty() ? "" : ", ") + std::to_string(count) + " " + codec;
  }
  std::string out = document["file"].get<std::string>() + ": delta of " +
                    HumanBytes(delta.file()->size()) + ", codec " + delta.header().codec +
                    ", scales " + delta.header().scales + "\nbase " + delta.header().base.Text() +
                    "\nweights: " + codecs + "\n\n";
  Table table({"PART", "DTYPE", "SHAPE", "BYTES"});
  for (const json& part : document["parts"]) {
    table.Add({part["name"], part["dtype"], part["shape"].dump(), part["bytes"].dump()});
  }
  Table files({"FILE OF THE FINE-TUNE", "BYTES"});
  for (const json& file : document["files"]) files.Add({file["path"], file["size"].dump()});
  return out + table.Format() + "\n" + files.Format();
}

// A manifest is shown as it is; that it parses is checked, its signature is not (that is verify's).
Result<void> InspectManifest(const std::string& path) {
  SIGNUM_ASSIGN(const std::string text, ReadFile(path, kMaxManifestBytes));
  SIGNUM_TRY(Manifest::ParseUnverified(text));
  SIGNUM_ASSIGN(const json document, ParseJson(text));
  PrintJson(document);
  return {};
}

Result<void> Run(const CommandContext& context, const std::string& path) {
  SIGNUM_ASSIGN(const auto file, MappedFile::Open(path));
  if (file->size() > 0 && AsText(file->View()).front() == '{') return InspectManifest(path);
  SIGNUM_ASSIGN(const auto delta, OpenDeltaFile(path));
  const json document = DescribeDelta(path, *delta);
  if (context.json) {
    PrintJson(document);
  } else {
    PrintText(Overview(document, *delta));
  }
  return {};
}

}  // namespace

CommandRun AddInspect(CLI::App& app, const CommandContext& context) {
  auto path = std::make_shared<std::string>();
  app.add_option("FILE", *path, "Delta file or manifest")->required();
  return [&context, path] { return Run(context, *path); };
}

}  // namespace signum::client
