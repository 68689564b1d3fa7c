#pragma once

#include "client/http_client.h"

namespace CLI {
class App;
}

namespace signum::client {

// --ca-file, --cert-file and --key-file (SIGNUM_CA_FILE, SIGNUM_CERT_FILE, SIGNUM_KEY_FILE), for
// every program that speaks to a registry.
void AddTlsOptions(CLI::App& app, ClientTls& tls);

}  // namespace signum::client
