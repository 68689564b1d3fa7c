// Bodies of completions and chat requests: whatever they are, a request or an error that says why.

#include "client/node/serve/openai_request.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  for (const bool chat : {false, true}) {
    const auto request = client::ParseOpenAiRequest(FuzzText(data, size), chat);
    if (!request) {
      Require(!request.error().reason.empty() && !request.error().message.empty());
      continue;
    }
    Require(chat ? !request->messages.empty() : !request->prompts.empty());
    Require(request->prompts.size() <= 64 && request->stops.size() <= 16);
    Require(request->n >= 1 && request->n <= 64);
    Require(request->sampling.top_p >= 0 && request->sampling.top_p <= 1);
    Require(request->max_tokens.value_or(0) >= 0);
  }
  return 0;
}
