#include "client/node/node_options.h"

namespace signum::client {

std::unique_ptr<Registry> NewRegistry(const NodeOptions& options, const RetryPolicy& retry,
                                      const std::stop_token& stop) {
  RegistryOptions out;
  out.url = options.registry_url;
  out.token = options.token;
  out.tls = options.tls;
  out.retry = retry;
  out.patience = retry;
  out.stop = stop;
  return std::make_unique<Registry>(std::move(out));
}

}  // namespace signum::client
