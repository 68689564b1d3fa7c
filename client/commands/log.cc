#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "storage/base/file.h"
#include "storage/format/log_chain.h"

namespace signum::client {

namespace {

using nlohmann::json;

Result<void> Run(const CommandContext& context) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json list, registry->AuditLog());
  if (context.json) {
    PrintJson(list);
    return {};
  }
  Table table({"SEQ", "AT", "WHO", "ACTION", "TARGET", "FROM", "RESULT"});
  for (const json& entry : list.at("entries")) {
    table.Add({JsonCell(entry, "seq"), JsonCell(entry, "at"), JsonCell(entry, "who"),
               JsonCell(entry, "action"), JsonCell(entry, "target"), JsonCell(entry, "from"),
               JsonCell(entry, "result")});
  }
  PrintText(table.Format());
  return {};
}

constexpr uint64_t kMaxLogBytes = 1ull << 32;

Result<std::string> ReadInput(const std::string& file) {
  if (file != "-") return ReadFile(file, kMaxLogBytes);
  std::string text;
  char buffer[1 << 16];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, stdin)) text.append(buffer, got);
  return text;
}

// What is missing at the end cannot be seen: the last hash is there to be compared with another
// export.
Result<void> Verify(const CommandContext& context, const std::string& file) {
  SIGNUM_ASSIGN(const std::string text, ReadInput(file));
  SIGNUM_ASSIGN(const auto entries, ParseLogExport(text));
  const bool whole = entries.empty() || entries.front().seq == 1;
  LogChain chain = whole ? LogChain::Whole() : LogChain::Part();
  for (const LogEntry& entry : entries) SIGNUM_TRY(chain.Add(entry));
  const uint64_t first = entries.empty() ? 0 : entries.front().seq;
  if (context.json) {
    PrintJson({{"entries", entries.size()},
               {"first", first},
               {"last", chain.seq()},
               {"hash", chain.hash()}});
  } else {
    PrintText("entries " + std::to_string(first) + " to " + std::to_string(chain.seq()) +
              " are good; the last has hash " + chain.hash() + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddLog(CLI::App& app, const CommandContext& context) {
  auto file = std::make_shared<std::string>();
  auto verify = std::make_shared<bool>(false);
  CLI::App* const sub = app.add_subcommand("verify", "Check the hash chain of an exported log");
  sub->add_option("FILE", *file, "What log --json printed; - for standard input")->required();
  sub->callback([verify] { *verify = true; });
  sub->fallthrough();
  return [&context, file, verify] { return *verify ? Verify(context, *file) : Run(context); };
}

}  // namespace signum::client
