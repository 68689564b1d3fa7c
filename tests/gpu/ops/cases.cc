#include "tests/gpu/ops/cases.h"

#include <iterator>

namespace signum::ops {

std::vector<Case> OpCases() {
  std::vector<Case> all;
  for (const auto& cases :
       {MatMulCases(), RmsNormCases(), RopeCases(), AttentionCases(), DecodeAttentionCases(),
        SwigluCases(), ElementwiseCases(), LossCases(), SampleCases(), SignMatrixCases(),
        AdamwCases(), BackendCases(), DeltaCases(), SignProductCases(), ChunkDigestCases(),
        ServeCases(), TransferCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace signum::ops
