// Chat templates, and what people say in them: whatever the two are, a text that knows which of its
// bytes were said, or an error that says why; in bounded time and memory. Input: a template, a line
// "====", a message.

#include "client/node/serve/jinja/template.h"
#include "storage/base/name.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace signum;
using namespace signum::client::jinja;

void CheckText(const Text& text) {
  size_t at = 0;
  for (size_t i = 0; i < text.tainted().size(); ++i) {
    const Text::Range& range = text.tainted()[i];
    Require(range.begin < range.end && (i == 0 || range.begin > at));
    at = range.end;
  }
  Require(at <= text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::string_view kLine = "\n====\n";
  const std::string_view input = FuzzText(data, size);
  const size_t end = std::min(input.find(kLine), input.size());
  const std::string said(input.substr(std::min(end + kLine.size(), input.size())));
  if (!IsUtf8(said)) return 0;
  const auto parsed = Template::Parse(input.substr(0, end));
  if (!parsed) {
    Require(parsed.error().reason == "unsupported_template");
    Require(parsed.error().message.starts_with("line "));
    return 0;
  }
  std::vector<Value> messages;
  for (const char* role : {"system", "user", "assistant", "user"}) {
    messages.push_back(MakeDict({{Value::Of("role"), Value::Of(role)},
                                 {Value::Of("content"), Value::Of(Text(said, true))}})
                           .value());
  }
  const Variables variables{{"messages", MakeList(std::move(messages)).value()},
                            {"add_generation_prompt", Value::Bool(true)},
                            {"tools", Value()},
                            {"bos_token", Value::Of("<s>")},
                            {"eos_token", Value::Of("</s>")}};
  const Result<Text> text = (*parsed)->Render(variables, std::tm{});
  if (!text) {
    Require(!text.error().reason.empty() && !text.error().message.empty());
    return 0;
  }
  CheckText(*text);
  Require(IsUtf8(text->bytes()) && text->size() <= (8u << 20));
  return 0;
}
