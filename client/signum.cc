#include <csignal>

#include "client/commands/command.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return signum::client::RunCommandLine(argc, argv);
}
