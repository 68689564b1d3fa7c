#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

struct Options {
  std::string role, note, expires, id;
  std::vector<std::string> tenants;
  uint64_t grace_seconds = 0;
};

// The secret alone, so that a script can take it; it is shown only this once.
void ShowSecret(const CommandContext& context, const json& created) {
  if (context.json) {
    PrintJson(created);
  } else {
    PrintText(JsonCell(created, "token") + "\n");
  }
}

Result<void> Create(const CommandContext& context, const Options& options) {
  const size_t tenants = options.tenants.size();
  if (options.role == "publisher" ? tenants != 1 : (options.role == "node") != (tenants > 0)) {
    return Fail(Errc::kInvalid, "bad_tenants",
                "a publisher has one TENANT, a node one or more, an admin and an auditor none");
  }
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  json spec = {{"role", options.role}};
  if (!options.tenants.empty()) spec["tenants"] = options.tenants;
  if (!options.note.empty()) spec["note"] = options.note;
  if (!options.expires.empty()) spec["expires"] = options.expires;
  SIGNUM_ASSIGN(const json created, registry->CreateToken(spec));
  ShowSecret(context, created);
  return {};
}

Result<void> Rotate(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json created, registry->RotateToken(options.id, options.grace_seconds));
  ShowSecret(context, created);
  return {};
}

Result<void> List(const CommandContext& context) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json list, registry->ListTokens());
  if (context.json) {
    PrintJson(list);
    return {};
  }
  Table table({"ID", "ROLE", "TENANTS", "CREATED", "EXPIRES", "NOTE"});
  for (const json& token : list.at("tokens")) {
    table.Add({JsonCell(token, "id"), JsonCell(token, "role"), JsonCell(token, "tenants"),
               JsonCell(token, "created"), JsonCell(token, "expires"), JsonCell(token, "note")});
  }
  PrintText(table.Format());
  return {};
}

Result<void> Revoke(const CommandContext& context, const std::string& id) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_TRY(registry->RevokeToken(id));
  if (context.json) {
    PrintJson({{"revoked", id}});
  } else {
    PrintText("revoked " + id + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddToken(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  auto run = std::make_shared<CommandRun>();
  app.require_subcommand(1);
  CLI::App* create = app.add_subcommand("create", "Create a token and print its secret once");
  create->add_option("ROLE", options->role, "admin, publisher, node or auditor")
      ->required()
      ->check(CLI::IsMember({"admin", "publisher", "node", "auditor"}));
  create->add_option("TENANT", options->tenants, "publisher: one tenant; node: those it may read");
  create->add_option("--note", options->note, "What it is for");
  create->add_option("--expires", options->expires, "RFC 3339 time after which it is void");
  create->callback([&context, options, run] {
    *run = [&context, options] { return Create(context, *options); };
  });
  CLI::App* list = app.add_subcommand("ls", "List tokens, without their secrets");
  list->callback([&context, run] { *run = [&context] { return List(context); }; });
  CLI::App* revoke = app.add_subcommand("revoke", "Make a token void");
  revoke->add_option("ID", options->id, "The token's id, as ls shows it")->required();
  revoke->callback([&context, options, run] {
    *run = [&context, options] { return Revoke(context, options->id); };
  });
  CLI::App* rotate = app.add_subcommand("rotate", "Print a new secret with the same rights");
  rotate->add_option("ID", options->id, "The token's id, as ls shows it")->required();
  rotate->add_option("--grace", options->grace_seconds,
                     "Seconds that the old secret still works (0)");
  rotate->callback([&context, options, run] {
    *run = [&context, options] { return Rotate(context, *options); };
  });
  for (CLI::App* sub : {create, list, revoke, rotate}) sub->fallthrough();
  return [run] { return (*run)(); };
}

}  // namespace signum::client
