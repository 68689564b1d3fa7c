// tokenizer.json: whatever it is, a tokenizer whose ids have pieces, or an error that says why.

#include "gpu/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const auto tokenizer = OpenTokenizerJson(FuzzText(data, size), "");
  if (!tokenizer) {
    Require(!tokenizer.error().reason.empty() && !tokenizer.error().message.empty());
    return 0;
  }
  for (const std::string_view text :
       {"In the  beginning's 12<|a|>\n", "na\xc3\xafve \xff\xe4\xb8"}) {
    size_t at = 0;
    for (const ControlToken& control : (*tokenizer)->FindControls(text)) {
      Require(at <= control.begin && control.begin < control.end && control.end <= text.size());
      Require(control.id >= 0 && control.id < (*tokenizer)->size());
      at = control.end;
    }
    for (const Controls controls : {Controls::kText, Controls::kTokens}) {
      for (const int32_t id : (*tokenizer)->Encode(text, controls)) {
        Require(id >= 0 && id < (*tokenizer)->size());
      }
    }
  }
  Require((*tokenizer)->bos() < (*tokenizer)->size());
  return 0;
}
