#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/node/serve/jinja/text.h"
#include "client/node/serve/jinja/value.h"
#include "storage/base/result.h"

namespace signum::client::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

// A Jinja template of those that checkpoints carry: what Python's jinja2 makes of them under
// transformers' settings (sandboxed, trim_blocks, lstrip_blocks, loop controls), and nothing else.
// Immutable; rendering shares nothing, and is bounded in time, memory and depth.
class Template {
 public:
  // Errc::kUnusable unsupported_template, naming line and construct: what is malformed, or would
  // not do here what it does there.
  static Result<std::shared_ptr<const Template>> Parse(std::string_view source);
  ~Template();

  // `now` is what strftime_now tells. Errc::kInvalid: bad_messages (the template raised it) or
  // chat_template_failed, naming the line.
  Result<Text> Render(const Variables& variables, const std::tm& now) const;

 private:
  struct Program;
  explicit Template(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace signum::client::jinja
