#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

struct Options {
  std::string sample, repair_from;
  uint64_t rate = 0;
  bool recompress = false;
};

// "5%" or "0.05".
Result<double> ParseSample(const std::string& text) {
  size_t used = 0;
  double sample = 0;
  try {
    sample = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  if (unit == "%") sample /= 100;
  if (used > 0 && (unit.empty() || unit == "%") && sample > 0 && sample <= 1) return sample;
  return Fail(Errc::kInvalid, "bad_sample", "--sample must be a part of the whole: 5%, or 0.05");
}

void PrintReport(const json& result) {
  for (const json& object : result.value("damaged", json::array())) {
    std::string touched;
    for (const char* kind : {"bases", "versions"}) {
      for (const json& name : object.value(kind, json::array())) {
        touched += (touched.empty() ? "" : ", ") + name.get<std::string>();
      }
    }
    PrintText(JsonCell(object, "object") + ": " + JsonCell(object, "why") +
              (object.value("repaired", false) ? "; repaired" : "") + "; touches " +
              (touched.empty() ? "nothing" : touched) + "\n");
    const std::string why = object.value("not_repaired", "");
    if (!why.empty()) PrintText("  not repaired: " + why + "\n");
  }
  for (const char* kind : {"damaged_files", "problems"}) {
    for (const json& line : result.value(kind, json::array())) {
      PrintText(line.get<std::string>() + "\n");
    }
  }
  PrintText(JsonCell(result, "objects") + " objects (" +
            HumanBytes(JsonNumberOr(result, "object_bytes", 0)) + "), " +
            JsonCell(result, "files") + " files, " + JsonCell(result, "references") +
            " references and " + JsonCell(result, "manifests") + " manifests checked\n");
}

// Damage that was repaired is no failure, but for files and records, which repair does not reach.
bool IsSound(const json& result) {
  if (result.value("clean", false)) return true;
  const size_t damaged = result.value("damaged", json::array()).size();
  return JsonNumberOr(result, "repaired", 0) == damaged &&
         result.value("damaged_files", json::array()).empty() &&
         result.value("problems", json::array()).empty();
}

Result<void> Run(const CommandContext& context, const Options& options) {
  json request = json::object();
  if (!options.sample.empty()) {
    SIGNUM_ASSIGN(request["sample"], ParseSample(options.sample));
  }
  if (options.rate > 0) request["rate"] = options.rate;
  if (!options.repair_from.empty()) request["repair_from"] = options.repair_from;
  if (options.recompress) request["recompress"] = true;
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json result, RunMaintenance(*registry, "scrub", request));
  context.json ? PrintJson(result) : PrintReport(result);
  if (IsSound(result)) return {};
  return Fail(Errc::kCorrupt, "store_damaged", "not all that is stored is good");
}

}  // namespace

CommandRun AddScrub(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("--sample", options->sample,
                 "Part of objects and files to read: 5%, 0.05; default all");
  app.add_option("--rate", options->rate, "Bytes a second at most: 50MB")
      ->transform(CLI::AsSizeValue(true));
  app.add_option("--repair-from", options->repair_from,
                 "Take what is damaged from the backups in this directory of the server");
  app.add_flag("--recompress", options->recompress,
               "Make damaged deltas again from their exact uploads");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
