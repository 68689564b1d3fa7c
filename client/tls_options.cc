#include "client/tls_options.h"

#include <CLI/CLI.hpp>

namespace signum::client {

void AddTlsOptions(CLI::App& app, ClientTls& tls) {
  app.add_option("--ca-file", tls.ca_file, "PEM certificates to trust for https")
      ->envname("SIGNUM_CA_FILE");
  app.add_option("--cert-file", tls.cert_file,
                 "PEM certificate to show to a registry that asks for one")
      ->envname("SIGNUM_CERT_FILE");
  app.add_option("--key-file", tls.key_file, "Its PEM key (default: in the same file)")
      ->envname("SIGNUM_KEY_FILE");
}

}  // namespace signum::client
