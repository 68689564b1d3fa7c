#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "server/settings/usage_exit.h"

// The settings of a program as one table: each is a flag, a variable of the environment and a key
// of the file that --config names. A flag wins over its variable, a variable over the file.

namespace signum {

// --tls-cert is SIGNUM_TLS_CERT in the environment.
std::string VariableOf(std::string_view flag);

// What is said of a setting, with its variable.
std::string SettingHelp(const std::string& flag, const std::string& help);

template <class T>
CLI::Option* AddSetting(CLI::App& app, const std::string& flag, T& value, const std::string& help) {
  return app.add_option(flag, value, SettingHelp(flag, help));
}

// Reads flags, variables and the file into the options of `app`, to which it adds --config,
// --version, --print-config and --print-options (the table as Markdown). Something where the
// program is to end at once.
std::optional<UsageExit> ParseSettings(CLI::App& app, int argc, const char* const* argv);

// What --print-config asked for; after a parse, and after what was read was found to be good.
std::optional<UsageExit> PrintedSettings(const CLI::App& app);

}  // namespace signum
