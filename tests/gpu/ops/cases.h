#pragma once

#include <vector>

#include "tests/gpu/ops/check.h"

namespace signum::ops {

std::vector<Case> MatMulCases();
std::vector<Case> RmsNormCases();
std::vector<Case> RopeCases();
std::vector<Case> AttentionCases();
std::vector<Case> DecodeAttentionCases();
std::vector<Case> SwigluCases();
std::vector<Case> ElementwiseCases();
std::vector<Case> LossCases();
std::vector<Case> SampleCases();
std::vector<Case> SignMatrixCases();
std::vector<Case> AdamwCases();
std::vector<Case> BackendCases();
std::vector<Case> DeltaCases();
std::vector<Case> SignProductCases();
std::vector<Case> ChunkDigestCases();
std::vector<Case> ServeCases();
std::vector<Case> TransferCases();

// All of them.
std::vector<Case> OpCases();

}  // namespace signum::ops
