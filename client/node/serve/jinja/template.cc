#include "client/node/serve/jinja/template.h"

#include "client/node/serve/jinja/interpreter.h"
#include "client/node/serve/jinja/parser.h"

namespace signum::client::jinja {

struct Template::Program {
  Body body;
};

Template::Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Template::~Template() = default;

Result<std::shared_ptr<const Template>> Template::Parse(std::string_view source) {
  auto program = std::make_unique<Program>();
  SIGNUM_ASSIGN(program->body, jinja::Parse(source));
  return std::shared_ptr<const Template>(new Template(std::move(program)));
}

Result<Text> Template::Render(const Variables& variables, const std::tm& now) const {
  Runtime runtime(now);
  Scope given;
  for (const auto& [name, value] : variables) given.Set(name, value);
  Scope root(&given);
  Text out;
  SIGNUM_TRY(Interpreter(runtime, root).Run(program_->body, out));
  return out;
}

}  // namespace signum::client::jinja
