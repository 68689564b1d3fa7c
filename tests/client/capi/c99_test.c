/* signum.h from C, and nothing of ours beside it.
 *
 * usage: capi_c99_test                                     wrong calls, answered with errors
 *        capi_c99_test REGISTRY TOKEN TENANT/MODEL CACHE DATA [DEVICE]
 * The second prints every tensor and weight of the live delta and writes the tensors' bytes to
 * DATA. The device is the CPU, or an emulated one, whose memory is the host's.
 */
#include <stdio.h>
#include <string.h>

#include "client/capi/signum.h"

static int failures = 0;

static void expect(int holds, const char* what) {
  if (holds) return;
  ++failures;
  fprintf(stderr, "not so: %s (last error: %s: %s)\n", what, signum_last_error_reason(),
          signum_last_error());
}

static signum_node_options options_for(const char* registry, const char* const* tenants,
                                       const char* cache) {
  signum_node_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.registry_url = registry;
  options.tenants = tenants;
  options.tenant_count = 1;
  options.cache_directory = cache;
  options.memory_bytes = 1 << 20;
  options.name = "c99";
  return options;
}

static int check_errors(void) {
  const char* const tenants[] = {"acme"};
  signum_node_options options = options_for("http://127.0.0.1:9", tenants, "c99_test_cache");
  signum_node* node = NULL;
  signum_lease* lease = NULL;
  signum_tensor tensor;
  memset(&tensor, 0, sizeof tensor);

  expect(signum_abi_version() == SIGNUM_ABI_VERSION, "header and library are of one ABI");
  expect(strlen(signum_version()) > 0, "the library has a version");
  expect(signum_node_open(NULL, &node) == SIGNUM_INVALID, "options are needed");
  expect(strcmp(signum_last_error_reason(), "null_argument") == 0, "the reason is named");
  expect(signum_lease_acquire(NULL, "acme/chat", &lease) == SIGNUM_INVALID, "a node is needed");
  expect(signum_lease_tensor(NULL, 0, &tensor) == SIGNUM_INVALID, "a lease is needed");
  signum_lease_release(NULL);
  signum_node_close(NULL);
  signum_string_free(NULL);
  signum_dlpack_free(NULL, 0);

  expect(signum_node_open(&options, &node) == SIGNUM_OK, "a node starts without a registry");
  expect(signum_node_wait_ready(node, 0.05) == SIGNUM_UNAVAILABLE, "which is not ready");
  expect(signum_lease_acquire(node, "acme/chat", &lease) == SIGNUM_NOT_FOUND, "and has nothing");
  expect(strstr(signum_last_error(), "acme/chat") != NULL, "the message names the model");
  signum_node_close(node);
  return failures;
}

static void print_tensors(const signum_lease* lease, size_t count, FILE* data, const char* device) {
  size_t i;
  int32_t d;
  for (i = 0; i < count; ++i) {
    signum_tensor tensor;
    tensor.struct_size = sizeof tensor;
    expect(signum_lease_tensor(lease, i, &tensor) == SIGNUM_OK, "each tensor is there");
    printf("tensor\t%s\t%s\t%s\t%d\t%d\t%d\t", tensor.name, tensor.weight,
           signum_dtype_name(tensor.dtype), (int)tensor.layout, (int)tensor.part,
           (int)tensor.plane);
    for (d = 0; d < tensor.rank; ++d) printf(d > 0 ? ",%lld" : "%lld", (long long)tensor.shape[d]);
    printf("\n");
    if (device == NULL) {
      expect(tensor.device_kind == SIGNUM_DEVICE_CPU && tensor.ready_event == NULL,
             "a tensor of host memory waits for nothing");
    } else {
      expect(tensor.device_kind == SIGNUM_DEVICE_CUDA && tensor.ready_event != NULL,
             "a tensor of a device has an event");
    }
    expect(fwrite(tensor.data, 1, (size_t)tensor.bytes, data) == tensor.bytes, "data is written");
  }
}

static void print_weights(const signum_lease* lease, size_t count) {
  size_t i;
  for (i = 0; i < count; ++i) {
    signum_weight weight;
    weight.struct_size = sizeof weight;
    expect(signum_lease_weight(lease, i, &weight) == SIGNUM_OK, "each weight is there");
    printf("weight\t%s\t%s\t%d\n", weight.name, signum_codec_name(weight.codec),
           (int)weight.planes);
  }
}

static int print_delta(char** arguments) {
  char tenant[64] = {0};
  const char* tenants[1];
  signum_node_options options;
  signum_node* node = NULL;
  signum_lease* lease = NULL;
  signum_lease_info info;
  FILE* data = fopen(arguments[5], "wb");
  if (data == NULL) return 1;
  strncpy(tenant, arguments[3], sizeof tenant - 1);
  *strchr(tenant, '/') = '\0';
  tenants[0] = tenant;
  options = options_for(arguments[1], tenants, arguments[4]);
  options.token = arguments[2];
  options.memory_bytes = 64 << 20;
  options.device = arguments[6]; /* or the NULL at the end */
  options.device_memory_bytes = 64 << 20;
  info.struct_size = sizeof info;
  if (signum_node_open(&options, &node) != SIGNUM_OK ||
      signum_node_wait_ready(node, 60) != SIGNUM_OK ||
      signum_lease_acquire(node, arguments[3], &lease) != SIGNUM_OK ||
      signum_lease_describe(lease, &info) != SIGNUM_OK) {
    fprintf(stderr, "%s\n", signum_last_error());
    return 1;
  }
  printf("lease\t%s/%s\t%llu\t%s\t%s\n", info.tenant, info.model, (unsigned long long)info.version,
         info.digest, info.base_digest);
  print_tensors(lease, info.tensor_count, data, arguments[6]);
  print_weights(lease, info.weight_count);
  expect(signum_lease_release_after(lease, NULL) == SIGNUM_OK, "no event is waited for");
  signum_node_close(node);
  return fclose(data) != 0 || failures != 0;
}

int main(int count, char** arguments) {
  if (count == 6 || count == 7) return print_delta(arguments);
  return check_errors() != 0;
}
