#include "gpu/cuda/delta_ops.cuh"
#include "gpu/cuda/rebuild.cuh"

namespace signum::cuda {

void Reconstruct(Context& context, const ops::ReconstructArgs& args) {
  Rebuild(context, args.weight, args.out_type, args.out);
}

}  // namespace signum::cuda
