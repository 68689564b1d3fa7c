#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"

namespace signum::client {

namespace {

struct Options {
  std::string backup, data, at;
};

// The store is the server's: signumd does it, the one beside this program, else that of the PATH.
Result<void> Run(const Options& options) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string beside = error ? "" : (self.parent_path() / "signumd").string();
  const std::string program = ::access(beside.c_str(), X_OK) == 0 ? beside : "signumd";
  std::vector<std::string> arguments = {program,      "--restore", options.backup, "--data",
                                        options.data, "--log",     "text"};
  if (!options.at.empty()) arguments.insert(arguments.end(), {"--at", options.at});
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execvp(program.c_str(), pointers.data());
  return Fail(
      Errc::kUnavailable, "no_signumd",
      "restoring is done by signumd, which cannot be run: " + std::string(std::strerror(errno)));
}

}  // namespace

CommandRun AddRestore(CLI::App& app, const CommandContext&) {
  auto options = std::make_shared<Options>();
  app.add_option("BACKUP_DIR", options->backup, "Directory of backups")->required();
  app.add_option("DATA_DIR", options->data, "The data directory to make: new, or empty")
      ->required();
  app.add_option("--at", options->at, "Number of the backup; default the newest");
  return [options] { return Run(*options); };
}

}  // namespace signum::client
