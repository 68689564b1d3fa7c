#include "server/settings/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

namespace signum {
namespace {

// Not what asks for text, and not --config, which a file cannot say.
bool IsSetting(const std::string& flag) {
  static const std::vector<std::string> kOthers = {"--help", "--version", "--config",
                                                   "--print-config", "--print-options"};
  return std::find(kOthers.begin(), kOthers.end(), flag) == kOthers.end();
}

bool IsGiven(const std::string& flag, int argc, const char* const* argv) {
  return std::any_of(argv + 1, argv + argc, [&](std::string_view argument) {
    return argument == flag || argument.starts_with(flag + "=");
  });
}

// The arguments in CLI11's order (last first), with what the environment says of others. CLI11's
// own way would let the file win over the environment.
std::vector<std::string> Arguments(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (const CLI::Option* option : app.get_options()) {
    const std::string flag = "--" + option->get_single_name();
    if ((!IsSetting(flag) && flag != "--config") || IsGiven(flag, argc, argv)) continue;
    const char* value = std::getenv(VariableOf(flag).c_str());
    if (value == nullptr) continue;
    const bool several = option->get_items_expected_max() > 1;
    for (const std::string& each :
         several ? CLI::detail::split(value, ',') : std::vector<std::string>{value}) {
      arguments.push_back(flag + "=" + each);
    }
  }
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

// Thrown while the command line is read: --print-options needs nothing else of it.
struct PrintOptions {};

std::string Escaped(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

// The reference of deploy/OPERATIONS.md, from the options themselves.
std::string OptionsTable(const CLI::App& app) {
  std::string table = "| flag, key of the file | variable | default | |\n|---|---|---|---|\n";
  for (const CLI::Option* option : app.get_options()) {
    const std::string flag = "--" + option->get_single_name();
    if (!IsSetting(flag)) continue;
    const std::string variable = VariableOf(flag);
    std::string help = option->get_description();
    if (const size_t at = help.rfind(" [" + variable + "]"); at != help.npos) help.resize(at);
    const std::string otherwise = option->get_default_str();
    table += "| `" + flag + "` | `" + variable + "` | " +
             (otherwise.empty() ? "" : "`" + otherwise + "`") + " | " + Escaped(help) + " |\n";
  }
  return table;
}

}  // namespace

std::string VariableOf(std::string_view flag) {
  std::string variable = "SIGNUM_" + std::string(flag.substr(2));
  for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return variable;
}

std::string SettingHelp(const std::string& flag, const std::string& help) {
  return help + " [" + VariableOf(flag) + "]";
}

std::optional<UsageExit> ParseSettings(CLI::App& app, int argc, const char* const* argv) {
  const std::string program = app.get_name();
  app.set_config("--config", "", "TOML or INI file with the flags above, without the dashes");
  app.set_version_flag("--version", program + " " + SIGNUM_VERSION);
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_flag_function(
      "--print-config", [](int64_t) {}, "Print the settings in force, as --config reads them");
  app.add_flag_callback(
         "--print-options", [] { throw PrintOptions(); }, "Print all settings")
      ->trigger_on_parse();
  try {
    app.parse(Arguments(app, argc, argv));
  } catch (const PrintOptions&) {
    return UsageExit{0, OptionsTable(app)};
  } catch (const CLI::Success& success) {
    const bool version = success.get_name() == "CallForVersion";
    return UsageExit{0, version ? app.version() + "\n" : app.help()};
  } catch (const CLI::ParseError& error) {
    return UsageExit{2, program + ": " + error.what() + "\n"};
  }
  return std::nullopt;
}

std::optional<UsageExit> PrintedSettings(const CLI::App& app) {
  if (app.count("--print-config") == 0) return std::nullopt;
  return UsageExit{0, app.config_to_str(true, false)};
}

}  // namespace signum
