#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/model_ref.h"

namespace signum::client {

namespace {

using nlohmann::json;

// The version named, else the live one, else (nothing is live yet) the newest.
Result<json> Find(Registry& registry, const ModelRef& ref) {
  Result<json> found =
      registry.GetVersion(ref.tenant, ref.model, ref.version.empty() ? "live" : ref.version);
  if (found || !ref.version.empty() || found.error().code != Errc::kNotFound) return found;
  SIGNUM_ASSIGN(const json list, registry.ListVersions(ref.tenant, ref.model));
  const json& versions = list.at("versions");
  if (versions.empty()) return found;
  const auto newest = std::max_element(versions.begin(), versions.end(), [](auto& a, auto& b) {
    return JsonNumberOr(a, "version", 0) < JsonNumberOr(b, "version", 0);
  });
  return Result<json>(boost::system::in_place_value, *newest);
}

// What was asked for, and what became of it where that is something else.
std::string AskedAndMade(const json& version, const char* key) {
  const std::string asked = JsonCell(version, key);
  const json made = version.value("made", json());
  const std::string became = made.is_object() ? JsonStringOr(made, key, asked) : asked;
  return became == asked ? asked : became + " (asked: " + asked + ")";
}

void AddMade(Table& table, const json& version) {
  for (const char* key : {"embeddings", "method"}) table.Add({key, AskedAndMade(version, key)});
  const json made = version.value("made", json());
  if (!made.is_object()) return;
  for (const auto& [key, label] :
       {std::pair{"note", "note"}, {"device_note", "note on the device"}}) {
    if (made.contains(key)) table.Add({label, JsonCell(made, key)});
  }
}

void AddFidelity(Table& table, const json& version) {
  const json fidelity = version.value("fidelity", json());
  if (!fidelity.is_object()) return;
  table.Add({"logit MSE", Fixed(JsonRealOr(fidelity, "logit_mse", 0), 5)});
  table.Add({"KL", Fixed(JsonRealOr(fidelity, "kl", 0), 5)});
  table.Add({"top-1 agreement", Fixed(JsonRealOr(fidelity, "top1", 0), 4)});
  const json perplexity = fidelity.value("perplexity", json::object());
  for (const char* of : {"base", "fine", "delta"}) {
    table.Add({"perplexity of " + std::string(of), Fixed(JsonRealOr(perplexity, of, 0), 2)});
  }
}

std::string Describe(const json& version) {
  Table table({"FIELD", "VALUE"});
  for (const char* key :
       {"tenant", "model", "version", "state", "base", "base_digest", "digest", "manifest_digest",
        "codec", "scales", "keep_exact", "job", "created", "finished", "creator"}) {
    table.Add({key, JsonCell(version, key)});
  }
  AddMade(table, version);
  const json sizes = version.value("sizes", json::object());
  for (const char* key : {"upload", "exact", "delta"}) {
    table.Add({"size of " + std::string(key), HumanBytes(JsonNumberOr(sizes, key, 0))});
  }
  table.Add({"ratio", Fixed(JsonRealOr(version, "ratio", 0), 2)});
  const json linear = version.value("linear", json::object());
  table.Add({"bits a linear weight",
             linear.is_object() ? Fixed(JsonRealOr(linear, "bits_per_weight", 0), 3) : "-"});
  AddFidelity(table, version);
  table.Add({"aliases", JsonCell(version, "aliases")});
  table.Add({"error", JsonCell(version, "error")});
  return table.Format();
}

Result<void> Run(const CommandContext& context, const std::string& what) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(what));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json version, Find(*registry, ref));
  if (context.json) {
    PrintJson(version);
  } else {
    PrintText(Describe(version));
  }
  return {};
}

}  // namespace

CommandRun AddShow(CLI::App& app, const CommandContext& context) {
  auto what = std::make_shared<std::string>();
  app.add_option("TENANT/MODEL[@V]", *what, "A version; default: the live one")->required();
  return [&context, what] { return Run(context, *what); };
}

}  // namespace signum::client
