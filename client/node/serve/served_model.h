#pragma once

#include <memory>
#include <set>
#include <string>

#include "client/node/serve/chat_template.h"
#include "gpu/serve/tenant_weights.h"
#include "gpu/tokenizer/tokenizer.h"

namespace signum::client {

class Scheduler;

// One generation of a model ready to answer: made when it is loaded, never on a request's way.
// Immutable.
struct ServedModel {
  std::string name;         // tenant/model, or the base's name
  std::string fingerprint;  // the delta's digest, or the base's
  std::shared_ptr<const TenantWeights> weights;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: token ids alone
  std::string no_text;                         // why, where its tokenizer can't be used
  bool add_bos = true;                         // before text
  std::set<int32_t> end_tokens;
  ChatTemplate chat;
  bool blank_after_controls = true;  // of text after a control token: ChatTemplate
  Scheduler* scheduler = nullptr;    // of its base; outlives the model
  std::shared_ptr<void> charge;      // of the device's memory, beside the delta's file

  int64_t context() const { return weights->config().max_positions; }
};

// Reads tokenizer and settings from the files of the model; a tokenizer of a kind that is not known
// here leaves token ids. Errc::kUnusable bad_tokenizer, tokenizer_mismatch (more pieces than the
// vocabulary has), bad_config.
Result<std::shared_ptr<ServedModel>> MakeServedModel(std::shared_ptr<const TenantWeights> weights);

}  // namespace signum::client
