#include "gpu/cuda/loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace signum::cuda {
namespace {

// The runtime in the module loads this, too; without it the module, and cuBLAS with it, need not
// be.
constexpr char kDriver[] = "libcuda.so.1";

std::string ExecutableFolder() {
  std::string path(PATH_MAX, '\0');
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(size > 0 ? static_cast<size_t>(size) : 0);
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// Of the library that this is in, where it is one.
std::string LibraryFolder() {
  Dl_info info{};
  static const char here = 0;
  if (dladdr(&here, &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::vector<std::string> Places() {
  const char* set = std::getenv("SIGNUM_CUDA_MODULE");
  if (set != nullptr && *set != '\0') return {set};
  const std::string folder = ExecutableFolder();
  std::vector<std::string> places{folder + "/" + kModuleFile,
                                  folder + "/../lib/signum/" + kModuleFile};
  const std::string beside = LibraryFolder();
  if (!beside.empty() && beside != folder) places.push_back(beside + "/" + kModuleFile);
  return places;
}

std::string LastError() {
  const char* error = dlerror();
  return error == nullptr ? "unknown error" : error;
}

void* OpenModule(LoadFailure* failure) {
  std::string looked;
  for (const std::string& place : Places()) {
    if (access(place.c_str(), F_OK) != 0) {
      looked += (looked.empty() ? "" : ", ") + place;
      continue;
    }
    void* module = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    failure->present = true;
    if (module == nullptr) failure->why = "the CUDA module does not load: " + LastError();
    return module;
  }
  failure->why = "no CUDA module (looked for " + looked + ")";
  return nullptr;
}

template <class Function>
Function* Find(void* module, const char* name) {
  Function* function = nullptr;
  void* symbol = dlsym(module, name);
  static_assert(sizeof function == sizeof symbol);
  std::memcpy(&function, &symbol, sizeof symbol);
  return function;
}

// The module's opener, if it is this program's interface. Loading again finds the module loaded.
OpenFunction* FindOpen(LoadFailure* failure) {
  void* module = OpenModule(failure);
  if (module == nullptr) return nullptr;
  auto* interface = Find<InterfaceFunction>(module, kInterfaceName);
  auto* open = Find<OpenFunction>(module, kOpenName);
  if (interface == nullptr || open == nullptr) {
    failure->why = "the CUDA module lacks its functions";
    return nullptr;
  }
  if (std::strcmp(interface(), SIGNUM_OPS_INTERFACE) != 0) {
    failure->why = std::string("the CUDA module is of another build: interface ") + interface() +
                   ", wanted " + SIGNUM_OPS_INTERFACE;
    return nullptr;
  }
  return open;
}

}  // namespace

std::unique_ptr<ops::Backend> LoadBackend(const ModuleOptions& options, LoadFailure* failure) {
  *failure = {};
  void* driver = dlopen(kDriver, RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) {
    failure->why = std::string("no NVIDIA driver: ") + LastError();
    return nullptr;
  }
  dlclose(driver);
  OpenFunction* open = FindOpen(failure);
  if (open == nullptr) return nullptr;
  char reason[512] = {};
  std::unique_ptr<ops::Backend> backend(open(options, reason, sizeof reason));
  if (backend == nullptr) failure->why = reason;
  return backend;
}

}  // namespace signum::cuda
