#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/model_ref.h"

namespace signum::client {

namespace {

using nlohmann::json;

// All are looked at before the first is deleted, so that a slip of the pen deletes nothing.
Result<std::vector<ModelRef>> ParseAll(const std::vector<std::string>& versions) {
  std::vector<ModelRef> refs;
  for (const std::string& text : versions) {
    SIGNUM_ASSIGN(ModelRef ref, ModelRef::ParseModel(text));
    if (ref.version.empty()) {
      return Fail(Errc::kInvalid, "bad_name", "which version of " + text + "? TENANT/MODEL@V");
    }
    refs.push_back(std::move(ref));
  }
  return refs;
}

Result<void> Run(const CommandContext& context, const std::vector<std::string>& versions) {
  SIGNUM_ASSIGN(const std::vector<ModelRef> refs, ParseAll(versions));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  std::vector<uint64_t> numbers;
  for (const ModelRef& ref : refs) {
    SIGNUM_ASSIGN(const json shown, registry->GetVersion(ref.tenant, ref.model, ref.version));
    SIGNUM_ASSIGN(const uint64_t number, JsonNumber(shown, "version"));
    numbers.push_back(number);
  }
  json deleted = json::array();
  for (size_t i = 0; i < refs.size(); ++i) {
    SIGNUM_TRY(registry->DeleteVersion(refs[i].tenant, refs[i].model, numbers[i]));
    const std::string name =
        refs[i].tenant + "/" + refs[i].model + "@" + std::to_string(numbers[i]);
    deleted.push_back(name);
    if (!context.json) PrintText("deleted " + name + "\n");
  }
  if (context.json) PrintJson({{"deleted", deleted}});
  return {};
}

}  // namespace

CommandRun AddRm(CLI::App& app, const CommandContext& context) {
  auto versions = std::make_shared<std::vector<std::string>>();
  app.add_option("TENANT/MODEL@V", *versions, "The versions: a number or an alias each")
      ->required();
  app.footer(
      "A version that an alias points at is refused; `latest` may go. The space returns with the\n"
      "next collection after its grace (`signum gc`).");
  return [&context, versions] { return Run(context, *versions); };
}

}  // namespace signum::client
