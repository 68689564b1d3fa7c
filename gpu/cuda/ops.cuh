#pragma once

#include "gpu/cuda/context.cuh"
#include "gpu/ops/backend.h"

// The ops of Backend on a device: each puts its work on the context's stream and returns.

namespace signum::cuda {

void RmsNorm(Context& context, const ops::RmsNormArgs& args);
void RmsNormBackward(Context& context, const ops::RmsNormBackwardArgs& args);
void Rope(Context& context, const ops::RopeArgs& args);
void Attention(Context& context, const ops::AttentionArgs& args);
void AttentionBackward(Context& context, const ops::AttentionBackwardArgs& args);
void DecodeAttention(Context& context, const ops::DecodeAttentionArgs& args);
void Swiglu(Context& context, const ops::SwigluArgs& args);
void SwigluBackward(Context& context, const ops::SwigluBackwardArgs& args);
void Add(Context& context, const ops::AddArgs& args);
void AddBias(Context& context, const ops::AddBiasArgs& args);
void CopyRows(Context& context, const ops::CopyRowsArgs& args);
void CopyColumns(Context& context, const ops::CopyColumnsArgs& args);
void GatherRows(Context& context, const ops::GatherRowsArgs& args);
void LossAndGrad(Context& context, const ops::LossArgs& args);
void CompareLogits(Context& context, const ops::FidelityArgs& args);
void NegativeLogLikelihood(Context& context, const ops::NllArgs& args);
void Sample(Context& context, const ops::SampleArgs& args);
void Materialize(Context& context, const ops::MaterializeArgs& args);
void SignGrad(Context& context, const ops::SignGradArgs& args);
void Adamw(Context& context, const ops::AdamwArgs& args);

}  // namespace signum::cuda
