#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "gpu/distill/make_delta.h"
#include "server/fields.h"
#include "storage/base/result.h"

namespace signum {

// How a publisher asked for a version to be made. Kept with the version as JSON (options_json), so
// that a job that runs again after a restart does the same.
struct VersionOptions {
  Codec codec = Codec::kSign1;
  ScaleKind scales = ScaleKind::kRowCol;
  int planes = 1;
  std::string budget;  // bytes or "12x" (gpu/budget.h); empty: none
  bool exact_embeddings = false;
  Method method = Method::kDistill;
  std::string calibration_text, calibration_tokens;  // the publisher's; both empty: self-generated
  TrainOptions train;
  int64_t calibration_rows = DistillOptions().calibration_rows;  // of self-generated text
  Gate gate;
  bool keep_exact = true;
  bool allow_not_finite = false;

  // Reads codec, scales, planes, budget, embeddings, method, distill, keep_exact, allow_not_finite
  // and gate of a request. Errc::kUnusable: unsupported_codec, unsupported_scales,
  // unsupported_planes, unsupported_budget, unsupported_embeddings, unsupported_method,
  // unsupported_loss, unsupported_calibration; bad_field; each names the field and what is
  // possible.
  static Result<VersionOptions> Read(Fields& body);
  static Result<VersionOptions> FromJson(std::string_view json);  // kCorrupt "bad_record"

  nlohmann::json ToJson() const;
  std::string_view Embeddings() const { return exact_embeddings ? "exact" : "onebit"; }
  // As a version's resource shows them: without the publisher's text.
  static nlohmann::json Shown(nlohmann::json stored);
  // Without calibration rows: reading text takes the upload's tokenizer.
  MakeDeltaOptions ForDelta() const;
};

}  // namespace signum
