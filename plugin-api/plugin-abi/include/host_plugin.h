/*
 * host_plugin.h: the wire between host and plugins, for plugins in C, C++ or Zig.
 *
 * It says the same as the crate plugin-abi, which is the reference; a test compares every size,
 * offset and fingerprint of this file with it. ABI 0.4: while the major is 0, a plugin is refused
 * by a host of any other minor.
 *
 * Rules of the wire:
 *  - Text and bytes are borrowed for the call (see each field for longer lives) and never freed by
 *    the receiver. Answers of unknown length go through a sink of the caller.
 *  - A function returns a status; a message for people goes to the sink `error`.
 *  - No exception and no longjmp crosses: catch what you throw and return HOST_PANIC.
 *  - A plugin is never unloaded, so its static data lives as long as the process.
 *  - Nothing may block, print or start threads while the library is loaded.
 */
#ifndef HOST_PLUGIN_H
#define HOST_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* First bytes of every root (8 characters without an end). */
#define HOST_PLUGIN_MAGIC "HPLGROOT"
#define HOST_PLUGIN_ABI_MAJOR 0
#define HOST_PLUGIN_ABI_MINOR 4

/* Put before the definition of host_plugin_entry. */
#if defined(_WIN32)
#define HOST_PLUGIN_EXPORT __declspec(dllexport)
#else
#define HOST_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

/* ---- values ------------------------------------------------------------------------------ */

/* UTF-8 text (file paths: the platform's own bytes); `ptr` may dangle when `len` is 0. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} host_text;

/* Bytes; `ptr` may dangle when `len` is 0. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} host_bytes;

/* An array of `len` integers. */
typedef struct {
    const uint32_t *ptr;
    size_t len;
} host_span32;

/* Where a callee puts an answer. `write` copies and may be called several times, but not after the
 * function that received the sink has returned. */
typedef struct {
    void *context;
    void (*write)(void *context, const uint8_t *ptr, size_t len);
} host_sink;

/* Outcome of a call. */
typedef int32_t host_status;
#define HOST_OK 0          /* done */
#define HOST_INVALID 1     /* the input is malformed or contradicts itself */
#define HOST_UNSUPPORTED 2 /* the input is well formed, but this plugin cannot serve it */
#define HOST_NOT_FOUND 3   /* the thing asked for is not there (an optional asset) */
#define HOST_FAILED 4      /* the plugin failed (input/output, memory) */
#define HOST_PANIC 5       /* the plugin may be in a bad state; the host stops using the model */

/* Where a callee reads tensors that do not lie in memory as they are wanted. `read` writes rows
 * row_begin..row_end of tensor `index` to the dst_len bytes at `dst`, exactly as many as they have;
 * it may be called from several threads at once, during the call that passed the source. */
typedef struct {
    const void *context;
    host_status (*read)(const void *context, size_t index, size_t row_begin, size_t row_end,
                        uint8_t *dst, size_t dst_len, host_sink error);
} host_row_source_v1;

/* ---- the root ---------------------------------------------------------------------------- */

/* What host_plugin_entry returns; it lives as long as the process. */
typedef struct {
    uint8_t magic[8];    /* HOST_PLUGIN_MAGIC */
    uint16_t abi_major;  /* HOST_PLUGIN_ABI_MAJOR */
    uint16_t abi_minor;  /* HOST_PLUGIN_ABI_MINOR */
    uint32_t root_size;  /* sizeof(host_plugin_root) */
    /* JSON: {"name":"tiny","version":"1.0.0","providers":[{"kind":"architecture","name":"tiny",
     * "facets":["architecture/1"],"claims":["TinyForCausalLM"],"score":100}]} */
    host_bytes manifest;
    const void *layout_header; /* NULL: only Rust plugins have one */
    const void *(*layout)(host_text facet); /* returns NULL, but is not NULL itself */
    /* The facet struct of a provider, or NULL. It lives as long as the process. */
    const void *(*facet)(host_text facet, host_text provider);
} host_plugin_root;

/* The one symbol a plugin exports. */
HOST_PLUGIN_EXPORT const host_plugin_root *host_plugin_entry(void);

/* First member of every facet. */
typedef struct {
    uint64_t size;        /* sizeof the facet struct */
    uint64_t fingerprint; /* HOST_..._V1_FINGERPRINT */
} host_facet_header;

/* ---- architecture/1 ---------------------------------------------------------------------- */

#define HOST_ARCHITECTURE_V1 "architecture/1"
#define HOST_ARCHITECTURE_V1_FINGERPRINT UINT64_C(0xb7893a6bd18e594c)

typedef struct {
    host_facet_header header;
    /* Checkpoint description (JSON) to graph (JSON). Pure: no files, no state between calls. */
    host_status (*build)(host_text checkpoint, host_sink graph, host_sink error);
} host_architecture_v1;

/* ---- format/1 ---------------------------------------------------------------------------- */

#define HOST_FORMAT_V1 "format/1"
#define HOST_FORMAT_V1_FINGERPRINT UINT64_C(0x2eaeed3fbb687604)

/* An open checkpoint; it may be used from several threads at once. */
typedef void *host_checkpoint_v1;

typedef struct {
    host_facet_header header;
    /* 0: not this format, 100: certainly this format. Reads no more than a few KB. */
    uint32_t (*probe)(host_text path);
    /* Opens and validates: sizes, alignment, bounds and duplicates are checked here, once. */
    host_status (*open)(host_text path, host_checkpoint_v1 *out, host_sink error);
    /* Writes the description (JSON). */
    host_status (*describe)(host_checkpoint_v1 checkpoint, host_sink json, host_sink error);
    /* Bytes of tensor `index` of the description, row-major; valid until `close`. HOST_NOT_FOUND
     * when they do not lie in the file like that; then `read_rows` makes them. */
    host_status (*tensor)(host_checkpoint_v1 checkpoint, size_t index, host_bytes *out,
                          host_sink error);
    /* Writes rows row_begin..row_end of a tensor; works for every tensor. */
    host_status (*read_rows)(host_checkpoint_v1 checkpoint, size_t index, size_t row_begin,
                             size_t row_end, uint8_t *dst, size_t dst_len, host_sink error);
    /* An asset by name (`tokenizer.json`, `chat_template`), or HOST_NOT_FOUND. */
    host_status (*asset)(host_checkpoint_v1 checkpoint, host_text name, host_sink bytes,
                         host_sink error);
    /* The bytes have been read for now and may leave memory until they are read again. */
    void (*release_pages)(host_checkpoint_v1 checkpoint);
    void (*close)(host_checkpoint_v1 checkpoint);
} host_format_v1;

/* ---- quantization/1 ---------------------------------------------------------------------- */

#define HOST_QUANTIZATION_V1 "quantization/1"
#define HOST_QUANTIZATION_V1_FINGERPRINT UINT64_C(0xda24538100761d6c)

/* output[t * output_stride + row] = dot(weights[row], inputs[t]) for the tile's rows and tokens. */
typedef struct {
    const uint8_t *weights; /* the packed matrix, from its first group; 64-byte aligned */
    size_t k;               /* values in a row */
    size_t row_begin;       /* a multiple of the row group */
    size_t row_end;
    const uint8_t *inputs;  /* prepared input rows; 64-byte aligned */
    size_t input_stride;    /* bytes */
    size_t token_count;
    float *output;          /* other threads write other rows of the same buffer meanwhile */
    size_t output_stride;   /* floats */
} host_matmul_tile_v1;

/* One block dtype. Every output value must have the same bits whatever the token count and the row
 * range of the tile. The functions keep no state and start no threads. */
typedef struct {
    host_text name;         /* lower case, such as q4_k */
    host_text input_format; /* dtypes with equal input format read each other's inputs */
    uint32_t block_len;     /* values in a block */
    uint32_t block_bytes;
    uint32_t row_group;     /* rows that `pack` interleaves */
    uint32_t flags;         /* bit 0: `quantize` works; bit 1: `matmul` rounds its inputs */
    host_status (*dequantize)(const uint8_t *src, size_t block_count, float *dst, host_sink error);
    /* `importance` is NULL, or has a weight for the squared error of each value. */
    host_status (*quantize)(const float *src, const float *importance, size_t block_count,
                            uint8_t *dst, host_sink error);
    size_t (*input_bytes)(size_t k);
    host_status (*prepare_input)(const float *x, size_t k, uint8_t *dst, host_sink error);
    size_t (*packed_bytes)(size_t rows, size_t k);
    host_status (*pack)(const uint8_t *src, size_t rows, size_t k, uint8_t *dst, host_sink error);
    host_status (*matmul)(const host_matmul_tile_v1 *tile, host_sink error);
} host_dtype_v1;

typedef struct {
    host_facet_header header;
    size_t (*dtype_count)(void);
    const host_dtype_v1 *(*dtype)(size_t index); /* lives as long as the process */
} host_quantization_v1;

/* ---- compute/1 --------------------------------------------------------------------------- */

#define HOST_COMPUTE_V1 "compute/1"
#define HOST_COMPUTE_V1_FINGERPRINT UINT64_C(0xde23500f2e6e9277)

/* A graph with its weights and KV storage; called from one thread at a time. */
typedef void *host_compute_session_v1;

typedef struct {
    /* Row-major, valid until the session is destroyed; empty: read it from the row source. */
    host_bytes data;
    host_text dtype;
} host_weight_v1;

typedef struct {
    const void *context;
    /* The dtype of that name, or NULL; lives as long as the process. */
    const host_dtype_v1 *(*find)(const void *context, host_text name);
} host_dtype_lookup_v1;

typedef struct {
    void *context;
    void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes);
} host_progress_v1;

typedef struct {
    host_text graph;               /* JSON */
    const host_weight_v1 *weights; /* one for each weight of the graph, in its order */
    size_t weight_count;
    host_row_source_v1 rows;       /* of weights without data; used during the call only */
    host_dtype_lookup_v1 dtypes;
    host_progress_v1 progress;
    uint32_t block_size;           /* token places in a KV block */
    uint32_t block_count;          /* KV blocks for every cache */
    uint32_t batch_tokens_max;
    uint32_t sequences_max;
    host_text kv_dtype;            /* f32 or f16 */
    uint32_t threads;              /* 0: the plugin's choice */
    uint32_t reserved;             /* 0 */
} host_session_options_v1;

/* One batch: the tokens of all its sequences laid end to end. */
typedef struct {
    host_span32 token_ids;
    host_span32 positions;
    host_span32 slots;              /* block * block_size + place of each row's K and V */
    host_span32 sequence_starts;    /* first row of each sequence, and the row count */
    host_span32 sequence_lengths;   /* tokens each sequence has by now, later steps included */
    host_span32 context_lengths;    /* positions each sequence holds after this step */
    host_span32 block_table_starts; /* first entry of each sequence, and the total */
    host_span32 block_tables;       /* the sequences' blocks in order of position */
    host_span32 logit_rows;         /* rows whose logits are wanted, ascending */
} host_step_batch_v1;

typedef struct {
    host_facet_header header;
    /* {"weights":n,"kv":n,"scratch":n} in bytes; allocates nothing of that size. */
    host_status (*estimate)(const host_session_options_v1 *options, host_sink json,
                            host_sink error);
    host_status (*create)(const host_session_options_v1 *options, host_compute_session_v1 *out,
                          host_sink error);
    /* Writes [logit_rows, width] floats; the width is that of the graph's last node. */
    host_status (*step)(host_compute_session_v1 session, const host_step_batch_v1 *batch,
                        float *logits, size_t logits_len, host_sink error);
    /* Copies whole KV blocks from[i] to to[i], in every cache. */
    host_status (*copy_blocks)(host_compute_session_v1 session, host_span32 from, host_span32 to,
                               host_sink error);
    void (*destroy)(host_compute_session_v1 session);
} host_compute_v1;

/* ---- profile/1 --------------------------------------------------------------------------- */

#define HOST_PROFILE_V1 "profile/1"
#define HOST_PROFILE_V1_FINGERPRINT UINT64_C(0x6b1dfd4157808236)

/* Optional, listed beside compute/1: says where the time of its sessions goes. Called from the
 * thread that calls `step`, between steps. */
typedef struct {
    host_facet_header header;
    /* Notes the steps of this session from now on; forgets what was noted before. */
    host_status (*start)(host_compute_session_v1 session, host_sink error);
    /* Notes no more, and writes {"entries":[{"op":text,"calls":n,"nanoseconds":n,"bytes":n,
     * "operations":n,"int8":bool}]}. */
    host_status (*stop)(host_compute_session_v1 session, host_sink json, host_sink error);
    /* Measures with the session's threads, and writes {"bytes_per_s":x,"int8_operations_per_s":x,
     * "f32_operations_per_s":x}. */
    host_status (*limits)(host_compute_session_v1 session, host_sink json, host_sink error);
} host_profile_v1;

/* ---- quantizer/1 ------------------------------------------------------------------------- */

#define HOST_QUANTIZER_V1 "quantizer/1"
#define HOST_QUANTIZER_V1_FINGERPRINT UINT64_C(0x6174163ad979f1dd)

typedef struct {
    host_facet_header header;
    /* List of tensors and recipe (JSON) to a dtype for each (JSON). Pure. */
    host_status (*plan)(host_text request, host_sink plan, host_sink error);
} host_quantizer_v1;

/* ---- writer/1 ---------------------------------------------------------------------------- */

#define HOST_WRITER_V1 "writer/1"
#define HOST_WRITER_V1_FINGERPRINT UINT64_C(0x77be78e10f2be5a7)

typedef struct {
    host_facet_header header;
    /* Writes the checkpoint that `export` (JSON) describes to a new file; `rows` gives its data. */
    host_status (*write)(host_text path, host_text export_json, host_row_source_v1 rows,
                         host_sink error);
} host_writer_v1;

/* ---- tool/1 ------------------------------------------------------------------------------ */

#define HOST_TOOL_V1 "tool/1"
#define HOST_TOOL_V1_FINGERPRINT UINT64_C(0xb1c6a42dda50b53e)

/* Whoever made a call. The functions may be called from several threads at once, during the call
 * that passed this; all but `ask` return at once. */
typedef struct {
    const void *context;
    /* `value` grows; `total` is NaN when nobody knows it; `message` may be empty. */
    void (*progress)(const void *context, double value, double total, host_text message);
    /* `level` is from 0 (debug) to 7 (emergency); `data` is JSON. */
    void (*log)(const void *context, uint32_t level, host_text data);
    /* 1 when nobody waits for the result any more, else 0. */
    uint8_t (*cancelled)(const void *context);
    /* Asks the client, such as `sampling/createMessage`, and waits; parameters and result are JSON.
     * HOST_UNSUPPORTED: this client cannot be asked that. */
    host_status (*ask)(const void *context, host_text method, host_text params, host_sink result,
                       host_sink error);
} host_tool_caller_v1;

typedef struct {
    host_facet_header header;
    /* Another number whenever `list` would write something else. */
    uint64_t (*version)(void);
    /* {"tools":[],"prompts":[],"resources":[],"resourceTemplates":[]}, each entry as MCP has it. */
    host_status (*list)(host_sink offer, host_sink error);
    /* A request ({"kind":"tool","name":text,"arguments":{}}) to a result of MCP (JSON). */
    host_status (*call)(host_text request, host_tool_caller_v1 caller, host_sink result,
                        host_sink error);
} host_tool_v1;

#ifdef __cplusplus
}
#endif

#endif
