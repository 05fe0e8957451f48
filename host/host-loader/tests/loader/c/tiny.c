/* The smallest plugin in C: an architecture that gives the smallest graph there is. */

#include "host_plugin.h"

#include <string.h>

static const char MANIFEST[] =
    "{\"name\":\"tiny-c\",\"version\":\"1.0.0\",\"providers\":[{\"kind\":\"architecture\","
    "\"name\":\"tiny\",\"facets\":[\"architecture/1\"],\"claims\":[\"TinyCForCausalLM\"]}]}";

static const char GRAPH[] =
    "{\"opset\":\"1.0.0\",\"architecture\":\"tiny-c\",\"vocab_size\":4,\"context_length\":8,"
    "\"weights\":[{\"role\":\"embed\",\"tensor\":\"embed\",\"shape\":[4,2]}],"
    "\"caches\":[],\"rope_tables\":[],\"nodes\":[{\"op\":\"embed\",\"weight\":0},"
    "{\"op\":\"select_rows\",\"inputs\":[0]},{\"op\":\"linear\",\"weight\":0,\"inputs\":[1]}]}";

static void say(host_sink sink, const char *text) {
    sink.write(sink.context, (const uint8_t *)text, strlen(text));
}

static int is(host_text text, const char *name) {
    return text.len == strlen(name) && memcmp(text.ptr, name, text.len) == 0;
}

/* Any description is an object with more than a pair of braces in it. */
static host_status build(host_text checkpoint, host_sink graph, host_sink error) {
    if (checkpoint.len < 3 || checkpoint.ptr[0] != '{') {
        say(error, "a checkpoint description in JSON expected");
        return HOST_INVALID;
    }
    say(graph, GRAPH);
    return HOST_OK;
}

static const host_architecture_v1 ARCHITECTURE = {
    .header = {.size = sizeof(host_architecture_v1),
               .fingerprint = HOST_ARCHITECTURE_V1_FINGERPRINT},
    .build = build,
};

static const void *layout(host_text facet) {
    (void)facet;
    return NULL;
}

static const void *facet(host_text facet, host_text provider) {
    return is(facet, HOST_ARCHITECTURE_V1) && is(provider, "tiny") ? &ARCHITECTURE : NULL;
}

const host_plugin_root *host_plugin_entry(void) {
    static host_plugin_root root = {
        .abi_major = HOST_PLUGIN_ABI_MAJOR,
        .abi_minor = HOST_PLUGIN_ABI_MINOR,
        .root_size = sizeof(host_plugin_root),
        .manifest = {(const uint8_t *)MANIFEST, sizeof MANIFEST - 1},
        .layout = layout,
        .facet = facet,
    };
    memcpy(root.magic, HOST_PLUGIN_MAGIC, sizeof root.magic);
    return &root;
}
