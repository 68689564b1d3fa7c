#ifndef SIGNUM_CAPI_SIGNUM_H_
#define SIGNUM_CAPI_SIGNUM_H_

/* The C interface of Signum's inference node, for engines that read deltas themselves
 * (libsignum.so).
 *
 * A node in this process follows a registry for its tenants, keeps their live deltas verified in
 * memory and swaps them. A lease is the right to read one of them: its memory stays where it is,
 * unchanged, until the lease is released, whatever is published meanwhile.
 *
 *   signum_node_options options = {.struct_size = sizeof options, .registry_url = "https://…", …};
 *   signum_node* node = NULL;
 *   signum_lease* lease = NULL;
 *   if (signum_node_open(&options, &node) || signum_node_wait_ready(node, 60) ||
 *       signum_lease_acquire(node, "tenant/model", &lease)) {
 *     fprintf(stderr, "%s\n", signum_last_error());
 *   }
 *   … signum_lease_tensor, signum_lease_weight …
 *   signum_lease_release(lease);
 *   signum_node_close(node);
 *
 * Conventions
 * - Functions that can fail return a signum_status; where it is not SIGNUM_OK, signum_last_error
 *   tells why, and outputs are not written, but for handles, which are set to NULL. Nothing throws.
 * - A NULL argument where one is needed is SIGNUM_INVALID, never a crash; releasing and closing
 *   NULL does nothing.
 * - Every function may be called on any thread at any time, also on the same handle at once; only
 *   closing or releasing a handle must be the last use of it.
 * - Structs carry struct_size: set it to sizeof before the call. Fields are only ever added at the
 *   end; a library fills or reads no more than both sides know. Numbers are never reused.
 * - Strings are UTF-8. Those in structs belong to the handle they came from and live as long.
 * - The library starts threads (which take no signals). After fork() the child must not use it.
 * - It logs warnings to standard error; the environment's SIGNUM_LOG (debug, info, warn, error,
 * off) sets the level. A host that set up spdlog under a logger of its own name is left alone.
 */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SIGNUM_API __attribute__((visibility("default")))
#else
#define SIGNUM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header; a library of another number is not to be used with it. */
#define SIGNUM_ABI_VERSION 1
SIGNUM_API uint32_t signum_abi_version(void);
/* The library's own version, "0.1.0". */
SIGNUM_API const char* signum_version(void);

/* ---- errors */

typedef int32_t signum_status;
enum {
  SIGNUM_OK = 0,
  SIGNUM_INVALID = 1,      /* an argument that could never be right */
  SIGNUM_UNUSABLE = 2,     /* well formed, but not usable */
  SIGNUM_UNAUTHORIZED = 3, /* no or a bad token */
  SIGNUM_DENIED = 4,       /* not yours */
  SIGNUM_NOT_FOUND = 5,    /* unknown, or not resident */
  SIGNUM_CONFLICT = 6,     /* the present state forbids it */
  SIGNUM_TOO_LARGE = 7,
  SIGNUM_EXHAUSTED = 8,   /* memory, disk or quota */
  SIGNUM_UNAVAILABLE = 9, /* try again later; also: a wait that ran out */
  SIGNUM_CORRUPT = 10,    /* bytes that do not match their digest or signature */
  SIGNUM_CANCELLED = 11,
  SIGNUM_INTERNAL = 12
};

/* Of the last call on this thread that failed: one line for people, and a stable snake_case name
 * ("not_resident"). Empty before the first failure; valid until this thread's next. */
SIGNUM_API const char* signum_last_error(void);
SIGNUM_API const char* signum_last_error_reason(void);

/* ---- nodes */

typedef struct signum_node signum_node;

typedef struct signum_node_options {
  size_t struct_size;
  const char* registry_url;   /* needed */
  const char* token;          /* of role node; NULL: none is sent */
  const char* const* tenants; /* needed, at least one */
  size_t tenant_count;
  const char* cache_directory; /* needed: deltas on disk, one node's alone */
  uint64_t cache_bytes;        /* bound of the cache; 0: none */
  uint64_t memory_bytes;       /* for deltas; 0: half of the machine's */
  const char* device;    /* NULL: "cpu"; "cuda:N", or "auto": the first there is, or the CPU */
  const char* name;      /* to report as; NULL: the host's */
  const char* trust_key; /* base64; NULL: the registry's keys, pinned on first use */
  const char* ca_file;   /* PEM certificates; NULL: the system's */
  double fetch_window_seconds;  /* spread fetches after a change over so long; 0: at once */
  uint64_t device_memory_bytes; /* of a CUDA device's, for deltas; 0: half of it */
} signum_node_options;

/* Starts a node. Works without a registry: what was live last is loaded from the cache.
 *
 * With a CUDA device deltas are used in its memory, verified there; memory_bytes is then what the
 * host holds of them on their way, and as copies that come back without a transfer from elsewhere.
 * SIGNUM_INVALID "bad_device", SIGNUM_UNAVAILABLE "no_cuda": driver, device or the module
 * libsignum_cuda.so, which is looked for where SIGNUM_CUDA_MODULE says, else beside the program and
 * beside this library. */
SIGNUM_API signum_status signum_node_open(const signum_node_options* options, signum_node** node);

/* Waits until everything that was live at the start is resident or refused. SIGNUM_UNAVAILABLE
 * "not_ready" after `timeout_seconds` (negative: without end), with what is missing. */
SIGNUM_API signum_status signum_node_wait_ready(signum_node* node, double timeout_seconds);

/* The node's state as JSON, as GET /v1/residency of signum-node answers it: what is resident, what
 * is retiring under leases, what is pending and why. Free it with signum_string_free. */
SIGNUM_API signum_status signum_node_residency(signum_node* node, char** json);
SIGNUM_API void signum_string_free(char* string);

/* Ends the node's threads and calls and frees the handle. Leases stay good: what they hold is freed
 * when the last of them is released. Waits for the events of signum_lease_release_after. */
SIGNUM_API void signum_node_close(signum_node* node);

/* ---- leases */

typedef struct signum_lease signum_lease;

/* A lease of what is live now of "tenant/model". SIGNUM_NOT_FOUND "not_resident". */
SIGNUM_API signum_status signum_lease_acquire(signum_node* node, const char* model,
                                              signum_lease** lease);
/* One more release is needed. Returns its argument. */
SIGNUM_API signum_lease* signum_lease_retain(signum_lease* lease);
SIGNUM_API void signum_lease_release(signum_lease* lease);
/* The same for work on a CUDA device that may not be done yet: the lease is released when `event`,
 * a cudaEvent_t that was recorded after that work, has passed. Waits for nothing; the event may be
 * recorded anew or destroyed from then on. NULL: signum_lease_release. A pointer that is no live
 * event is undefined, as it is to the runtime itself. SIGNUM_INVALID "no_device"
 * for a lease of host memory, SIGNUM_UNAVAILABLE "device_failed"; the lease is not released then.
 * Once the node is closed it waits. */
SIGNUM_API signum_status signum_lease_release_after(signum_lease* lease, void* event);

/* Kinds of device memory, numbered as in DLPack. */
enum { SIGNUM_DEVICE_CPU = 1, SIGNUM_DEVICE_CUDA = 2 };

typedef struct signum_lease_info {
  size_t struct_size;
  const char* tenant;
  const char* model;
  uint64_t version;
  const char* digest; /* of the delta file, "sha256:…": names the generation */
  uint64_t bytes;     /* of the delta file */
  const char* base;
  const char* base_digest;
  int32_t device_kind;
  int32_t device_id;
  /* A cudaEvent_t after which the memory may be read on another stream (signum_lease_wait), valid
   * as long as the lease; NULL where it may be now, as always on the CPU. Its bytes were verified
   * on the device before they were published, so it has passed. */
  void* ready_event;
  size_t tensor_count;
  size_t weight_count;
} signum_lease_info;

SIGNUM_API signum_status signum_lease_describe(const signum_lease* lease, signum_lease_info* info);
/* What is put on `stream`, a cudaStream_t, from now on runs after the lease's ready_event: no wait
 * on the host. SIGNUM_INVALID "no_device" for a lease of host memory, "bad_stream" where the
 * runtime refuses it; a pointer that is no live stream is undefined, as it is to the runtime
 * itself. */
SIGNUM_API signum_status signum_lease_wait(const signum_lease* lease, void* stream);

/* ---- the tensors of a delta file */

enum { /* element types, numbered as in storage/format/tensor.h */
       SIGNUM_BOOL = 0,
       SIGNUM_U8 = 1,
       SIGNUM_I8 = 2,
       SIGNUM_F8_E5M2 = 3,
       SIGNUM_F8_E4M3 = 4,
       SIGNUM_I16 = 5,
       SIGNUM_U16 = 6,
       SIGNUM_F16 = 7,
       SIGNUM_BF16 = 8,
       SIGNUM_I32 = 9,
       SIGNUM_U32 = 10,
       SIGNUM_F32 = 11,
       SIGNUM_F64 = 12,
       SIGNUM_I64 = 13,
       SIGNUM_U64 = 14,
       SIGNUM_F8_E8M0 = 15,
       SIGNUM_C64 = 16
};

enum { /* what a tensor is of its weight: FORMAT.md, "Parts" */
       SIGNUM_PART_WHOLE = 0,
       SIGNUM_PART_SIGN = 1,
       SIGNUM_PART_MASK = 2,
       SIGNUM_PART_ROWS = 3,
       SIGNUM_PART_VALUES = 4,
       SIGNUM_PART_SCALE = 5,
       SIGNUM_PART_ROW_SCALE = 6,
       SIGNUM_PART_COL_SCALE = 7,
       SIGNUM_PART_LORA_A = 8,
       SIGNUM_PART_LORA_B = 9,
       SIGNUM_PART_FILE = 10 /* signum.*: recipe and small files, of no weight */
};

enum {                             /* how the bytes of a tensor are to be read */
       SIGNUM_LAYOUT_DENSE = 0,    /* elements, row-major */
       SIGNUM_LAYOUT_ROW_BITS = 1, /* "row-lsb": bit j of byte i of a row is column 8 i + j */
       SIGNUM_LAYOUT_BITS =
           2 /* bits without gaps, least significant first (sign1-sparse's signs) */
};

enum { /* codecs of a weight */
       SIGNUM_CODEC_NONE = -1,
       SIGNUM_CODEC_SAME = 0,
       SIGNUM_CODEC_SIGN1 = 1,
       SIGNUM_CODEC_SIGN1_SPARSE = 2,
       SIGNUM_CODEC_ROWS = 3,
       SIGNUM_CODEC_RAW = 4,
       SIGNUM_CODEC_LOWRANK = 5
};
/* "sign1-sparse"; NULL where there is no such codec. */
SIGNUM_API const char* signum_codec_name(int32_t codec);
/* "BF16"; NULL where there is no such element type. */
SIGNUM_API const char* signum_dtype_name(int32_t dtype);

typedef struct signum_tensor {
  size_t struct_size;
  const char* name;
  const void* data; /* on the lease's device; read-only: a write to it is a crash or worse */
  uint64_t bytes;
  int32_t dtype;
  int32_t rank;
  const int64_t* shape; /* rank of them */
  int32_t layout;
  int32_t part;
  int32_t codec;      /* of the weight; SIGNUM_CODEC_NONE for SIGNUM_PART_FILE */
  int32_t plane;      /* 0 but for further planes of signs and scales */
  const char* weight; /* the weight it belongs to; "" for SIGNUM_PART_FILE */
  int32_t device_kind;
  int32_t device_id;
  void* ready_event;
} signum_tensor;

/* Tensors are in the order of their data. SIGNUM_NOT_FOUND past the last, or for a name that is not
 * there. */
SIGNUM_API signum_status signum_lease_tensor(const signum_lease* lease, size_t index,
                                             signum_tensor* tensor);
SIGNUM_API signum_status signum_lease_find(const signum_lease* lease, const char* name,
                                           signum_tensor* tensor);

/* ---- the weights of the fine-tune: which codec, which parts */

#define SIGNUM_MAX_PLANES 8
typedef struct signum_weight {
  size_t struct_size;
  const char* name;
  int32_t codec;
  int32_t planes; /* of signs; 0 where there are none */
  /* Indices of tensors; -1: none. */
  int32_t whole;
  int32_t mask;
  int32_t rows;
  int32_t values;
  int32_t lora_a;
  int32_t lora_b;
  int32_t sign[SIGNUM_MAX_PLANES];
  int32_t scale[SIGNUM_MAX_PLANES]; /* of the whole matrix; [0] is also lowrank's */
  int32_t row_scale[SIGNUM_MAX_PLANES];
  int32_t col_scale[SIGNUM_MAX_PLANES];
} signum_weight;

/* Every weight of the fine-tune, those equal to the base's included, ascending by name. */
SIGNUM_API signum_status signum_lease_weight(const signum_lease* lease, size_t index,
                                             signum_weight* weight);

/* ---- DLPack */

enum {
  /* A DLManagedTensorVersioned (DLPack 1.0), flagged as read-only, instead of a DLManagedTensor,
   * which can't say so: its consumer must know not to write. */
  SIGNUM_DLPACK_VERSIONED = 1,
  /* Elements of 16 bits as uint16 where they are BF16, which not every consumer knows. */
  SIGNUM_DLPACK_BITS = 2
};
/* A managed tensor over the lease's memory, nothing copied. It holds the lease until its deleter
 * runs, on any thread. F8 types are uint8. On a CUDA device the consumer's stream waits first
 * (signum_lease_wait), and its work is done, or ends before an event of signum_lease_release_after,
 * when the last reference goes. */
SIGNUM_API signum_status signum_lease_dlpack(signum_lease* lease, size_t index, uint32_t flags,
                                             void** managed);
/* Runs the deleter of one that nobody took. */
SIGNUM_API void signum_dlpack_free(void* managed, uint32_t flags);
/* The destructor for PyCapsules of managed tensors, "dltensor" or "dltensor_versioned": frees what
 * nobody took. Runs no Python, so it leaves an exception alone that is on its way. */
SIGNUM_API void signum_dlpack_drop_capsule(void* capsule);

/* ---- without a node */

typedef struct signum_pull_options {
  size_t struct_size;
  const char* registry_url; /* needed */
  const char* token;
  const char* model; /* needed: "tenant/model", "tenant/model@version", or "tenant": what is live */
  const char* directory; /* needed; made where it is not there */
  const char* as;        /* "delta" (NULL) or "checkpoint" */
  const char* fidelity;  /* of a checkpoint: "onebit" (NULL) or "exact" */
  const char* trust_key; /* base64; NULL: the registry's keys */
  const char* ca_file;
} signum_pull_options;

/* Fetches and verifies what `signum pull` does. `files_json`, where not NULL, gets
 * [{"tenant","model","version","files":[{"path","size","sha256"}]}]; free it with
 * signum_string_free. */
SIGNUM_API signum_status signum_pull(const signum_pull_options* options, char** files_json);

#ifdef __cplusplus
}
#endif

#endif /* SIGNUM_CAPI_SIGNUM_H_ */
