/*
 * flux_plugin.h: write fluxhybrid plugins in C.
 *
 * One header, no library: include it in one file of the plugin and implement flux_decode(). It owns
 * the border to the host (ABI v1: abi_version, alloc, dealloc, decode, flux.log): reading the
 * context, writing the output, handing out memory. It needs clang with the target wasm32 and wasm-ld,
 * and neither a C library nor WASI.
 *
 *     #include "flux_plugin.h"
 *
 *     void flux_decode(const flux_context *ctx, flux_bytes input, flux_output *out) {
 *         if (input.len != 2) {
 *             flux_error(out, "meter.length", "two bytes are expected");
 *             return;
 *         }
 *         flux_message(out, "");
 *         flux_f64(out, "temperature", (double)flux_i16_be(input.ptr) / 10.0);
 *     }
 *
 * A plugin that encodes commands defines FLUX_ENCODE before the include and implements
 * flux_encode(); its input is the JSON {"command": "...", "params": {...}}.
 *
 * Guest memory may be thrown away after any call: what has to last goes into flux_state().
 */
#ifndef FLUX_PLUGIN_H
#define FLUX_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of somebody else's; valid during the call. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} flux_bytes;

/* What a call is told beside its input. What is not there has no length. */
typedef struct {
    flux_bytes source;   /* who sent it: one opaque word; state is kept for each */
    flux_bytes topic;    /* the topic, or the port, it came by */
    flux_bytes device;   /* key of the source's own device */
    int64_t received_ns; /* when it reached the host, nanoseconds since 1970 */
    uint64_t settings_id; /* changes whenever the settings change */
    flux_bytes settings; /* a JSON object; see flux_setting_number() */
    bool has_request;
    flux_bytes request; /* what this input answers, of polled protocols */
    flux_bytes state;   /* as an earlier call left it with flux_state() */
    flux_bytes subject; /* JSON that belongs to the function */
} flux_context;

/* Where a call writes what it has to say. */
typedef struct flux_output flux_output;

/* Bytes of output a call may write; what is more makes it fail. */
#ifndef FLUX_OUTPUT_BYTES_MAX
#define FLUX_OUTPUT_BYTES_MAX 65536
#endif

#define FLUX_NO_TIME INT64_MIN

typedef enum { FLUX_TRACE, FLUX_DEBUG, FLUX_INFO, FLUX_WARN, FLUX_ERROR } flux_level;

/* The plugin's own. */
void flux_decode(const flux_context *ctx, flux_bytes input, flux_output *out);
#ifdef FLUX_ENCODE
void flux_encode(const flux_context *ctx, flux_bytes input, flux_output *out);
#endif

/* ---- the output -------------------------------------------------------------------------------
 *
 * flux_message(), then its tags, then its values; and again for the next message. Names have at most
 * 255 bytes. What does not fit is left out, and the call fails with sdk.output.
 */
struct flux_output {
    uint8_t *bytes;
    size_t len;
    bool overflown;
    size_t message_at; /* of the length of the message being written; 0: none */
    size_t tags_at;    /* of the count of its tags */
    size_t values_at;  /* of the count of its values; 0: none written */
};

static inline size_t flux_strlen(const char *text) {
    size_t len = 0;
    while (text[len] != '\0') {
        len++;
    }
    return len;
}

static inline bool flux_room(flux_output *out, size_t more) {
    if (more > FLUX_OUTPUT_BYTES_MAX - out->len) {
        out->overflown = true;
    }
    return !out->overflown;
}

static inline void flux_put(flux_output *out, const void *bytes, size_t len) {
    if (flux_room(out, len)) {
        __builtin_memcpy(out->bytes + out->len, bytes, len);
        out->len += len;
    }
}

/* wasm32 is little endian, as the ABI is: numbers are written as they lie in memory. */
static inline void flux_put_u8(flux_output *out, uint8_t number) { flux_put(out, &number, 1); }
static inline void flux_put_u16(flux_output *out, uint16_t number) { flux_put(out, &number, 2); }
static inline void flux_put_u32(flux_output *out, uint32_t number) { flux_put(out, &number, 4); }

static inline void flux_patch(flux_output *out, size_t at, const void *bytes, size_t len) {
    if (!out->overflown) {
        __builtin_memcpy(out->bytes + at, bytes, len);
    }
}

static inline void flux_count(flux_output *out, size_t at) {
    uint16_t count;
    if (!out->overflown) {
        __builtin_memcpy(&count, out->bytes + at, 2);
        if (++count == 0) {
            out->overflown = true;
        }
        flux_patch(out, at, &count, 2);
    }
}

static inline void flux_put_name(flux_output *out, const char *name) {
    size_t len = flux_strlen(name);
    if (len > 255) {
        out->overflown = true;
        return;
    }
    flux_put_u8(out, (uint8_t)len);
    flux_put(out, name, len);
}

static inline void flux_section(flux_output *out, uint8_t tag, size_t len) {
    flux_put_u8(out, tag);
    flux_put_u32(out, (uint32_t)len);
}

/* Ends the message being written. */
static inline void flux_finish(flux_output *out) {
    if (out->message_at == 0) {
        return;
    }
    if (out->values_at == 0) {
        flux_put_u16(out, 0);
    }
    uint32_t len = (uint32_t)(out->len - out->message_at - 4);
    flux_patch(out, out->message_at, &len, 4);
    out->message_at = 0;
}

/* Begins a message of this device at this time, nanoseconds since 1970; "" is the source's own. */
static inline void flux_message_at(flux_output *out, const char *device, int64_t time_ns) {
    flux_finish(out);
    flux_section(out, 0x01, 0);
    out->message_at = out->len - 4;
    flux_put_name(out, device);
    flux_put(out, &time_ns, 8);
    out->tags_at = out->len;
    out->values_at = 0;
    flux_put_u16(out, 0);
}

/* Begins a message of this device; its time is that of receipt. */
static inline void flux_message(flux_output *out, const char *device) {
    flux_message_at(out, device, FLUX_NO_TIME);
}

/* Adds a tag: text that goes with all the values. Tags come before values. */
static inline void flux_tag(flux_output *out, const char *name, const char *value) {
    size_t len = flux_strlen(value);
    if (out->message_at == 0 || out->values_at != 0 || len > 65535) {
        out->overflown = true;
        return;
    }
    flux_put_name(out, name);
    flux_put_u16(out, (uint16_t)len);
    flux_put(out, value, len);
    flux_count(out, out->tags_at);
}

static inline void flux_value(flux_output *out, const char *name, uint8_t type) {
    if (out->message_at == 0) {
        flux_message(out, "");
    }
    if (out->values_at == 0) {
        out->values_at = out->len;
        flux_put_u16(out, 0);
    }
    flux_put_name(out, name);
    flux_put_u8(out, type);
    flux_count(out, out->values_at);
}

/* Adds a value to the message being written. */
static inline void flux_bool(flux_output *out, const char *name, bool yes) {
    flux_value(out, name, yes ? 1 : 0);
}

static inline void flux_i64(flux_output *out, const char *name, int64_t number) {
    flux_value(out, name, 2);
    flux_put(out, &number, 8);
}

static inline void flux_f64(flux_output *out, const char *name, double number) {
    flux_value(out, name, 3);
    flux_put(out, &number, 8);
}

static inline void flux_text(flux_output *out, const char *name, const char *text, size_t len) {
    flux_value(out, name, 4);
    flux_put_u32(out, (uint32_t)len);
    flux_put(out, text, len);
}

static inline void flux_raw(flux_output *out, const char *name, flux_bytes bytes) {
    flux_value(out, name, 5);
    flux_put_u32(out, (uint32_t)bytes.len);
    flux_put(out, bytes.ptr, bytes.len);
}

/* The source's new state, in place of the old; of no length: forget it. */
static inline void flux_state(flux_output *out, const void *state, size_t len) {
    flux_finish(out);
    flux_section(out, 0x02, len);
    flux_put(out, state, len);
}

/* Bytes to send: the result of flux_encode(). */
static inline void flux_frame(flux_output *out, const void *bytes, size_t len) {
    flux_finish(out);
    flux_section(out, 0x05, len);
    flux_put(out, bytes, len);
}

/* The call failed: a short dotted code for programs, a sentence for people. */
static inline void flux_error(flux_output *out, const char *code, const char *text) {
    flux_finish(out);
    size_t code_len = flux_strlen(code), text_len = flux_strlen(text);
    flux_section(out, 0x04, 2 + code_len + 4 + text_len);
    flux_put_u16(out, (uint16_t)code_len);
    flux_put(out, code, code_len);
    flux_put_u32(out, (uint32_t)text_len);
    flux_put(out, text, text_len);
}

/* ---- the log ---------------------------------------------------------------------------------- */

__attribute__((import_module("flux"), import_name("log"))) void flux_host_log(
    int32_t level, const char *text, size_t len);

/* Logs a line. */
static inline void flux_log(flux_level level, const char *text) {
    flux_host_log((int32_t)level, text, flux_strlen(text));
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static inline uint16_t flux_u16_be(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static inline uint16_t flux_u16_le(const uint8_t *at) { return (uint16_t)(at[1] << 8 | at[0]); }
static inline int16_t flux_i16_be(const uint8_t *at) { return (int16_t)flux_u16_be(at); }
static inline int16_t flux_i16_le(const uint8_t *at) { return (int16_t)flux_u16_le(at); }

static inline uint32_t flux_u32_be(const uint8_t *at) {
    return (uint32_t)flux_u16_be(at) << 16 | flux_u16_be(at + 2);
}

static inline uint32_t flux_u32_le(const uint8_t *at) {
    return (uint32_t)flux_u16_le(at + 2) << 16 | flux_u16_le(at);
}

static inline float flux_f32_be(const uint8_t *at) {
    uint32_t bits = flux_u32_be(at);
    float number;
    __builtin_memcpy(&number, &bits, 4);
    return number;
}

/* ---- settings --------------------------------------------------------------------------------- */

static inline bool flux_is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The value of a member at the top of a JSON object, as it is written; of no length: not there. */
static inline flux_bytes flux_member(flux_bytes json, const char *name) {
    size_t name_len = flux_strlen(name), start = 0, key = 0, key_len = 0;
    int depth = 0;
    bool in_value = false;
    for (size_t at = 0; at < json.len; at++) {
        uint8_t c = json.ptr[at];
        if (c == '"') {
            size_t begin = at + 1;
            for (at = begin; at < json.len && json.ptr[at] != '"'; at++) {
                at += json.ptr[at] == '\\';
            }
            if (depth == 1 && !in_value) {
                key = begin;
                key_len = at < json.len ? at - begin : 0;
            }
        } else if (c == ':' && depth == 1 && !in_value) {
            in_value = true;
            start = at + 1;
        } else if (in_value && depth == 1 && (c == ',' || c == '}')) {
            if (key_len == name_len && __builtin_memcmp(json.ptr + key, name, name_len) == 0) {
                while (start < at && flux_is_space(json.ptr[start])) {
                    start++;
                }
                while (at > start && flux_is_space(json.ptr[at - 1])) {
                    at--;
                }
                return (flux_bytes){json.ptr + start, at - start};
            }
            in_value = false;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    }
    return (flux_bytes){json.ptr, 0};
}

/* A number at the top of the settings; `otherwise` where there is none of that name. Reads plain
 * decimals (-12.5), without exponents. */
static inline double flux_setting_number(const flux_context *ctx, const char *name, double otherwise) {
    flux_bytes text = flux_member(ctx->settings, name);
    double number = 0, scale = 1;
    bool fraction = false, digits = false;
    for (size_t at = 0; at < text.len; at++) {
        uint8_t c = text.ptr[at];
        if (c >= '0' && c <= '9') {
            number = number * 10 + (c - '0');
            scale *= fraction ? 10 : 1;
            digits = true;
        } else if (c == '.' && !fraction) {
            fraction = true;
        } else if (c != '-' || at != 0) {
            return otherwise;
        }
    }
    number = text.len > 0 && text.ptr[0] == '-' ? -number : number;
    return digits ? number / scale : otherwise;
}

/* ---- the border ------------------------------------------------------------------------------- */

#define FLUX_EXPORT(name) __attribute__((export_name(name)))

FLUX_EXPORT("abi_version") int32_t flux_export_abi_version(void) { return 1; }

/*
 * Memory for the host to write to: blocks of powers of two, each size with a list of its free ones.
 * What is given back is used again by the next block of its size, so memory stays flat.
 */
typedef struct flux_free {
    struct flux_free *next;
} flux_free;

extern uint8_t __heap_base;
static flux_free *flux_free_blocks[32];
static uintptr_t flux_heap_end;

static inline uint32_t flux_size_class(size_t len) {
    return len <= 8 ? 3 : 32 - (uint32_t)__builtin_clz((uint32_t)len - 1);
}

FLUX_EXPORT("alloc") void *flux_export_alloc(size_t len) {
    uint32_t class = flux_size_class(len);
    if (class > 30) {
        return NULL;
    }
    flux_free *block = flux_free_blocks[class];
    if (block != NULL) {
        flux_free_blocks[class] = block->next;
        return block;
    }
    if (flux_heap_end == 0) {
        flux_heap_end = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
    }
    size_t size = (size_t)1 << class, pages = __builtin_wasm_memory_size(0);
    uint64_t end = (uint64_t)flux_heap_end + size;
    uint64_t missing = end > (uint64_t)pages * 65536 ? end - (uint64_t)pages * 65536 : 0;
    if (missing > 0 && __builtin_wasm_memory_grow(0, (size_t)((missing + 65535) / 65536)) == SIZE_MAX) {
        return NULL;
    }
    void *fresh = (void *)flux_heap_end;
    flux_heap_end += size;
    return fresh;
}

FLUX_EXPORT("dealloc") void flux_export_dealloc(void *ptr, size_t len) {
    uint32_t class = flux_size_class(len);
    if (ptr == NULL || class > 30) {
        return;
    }
    flux_free *block = ptr;
    block->next = flux_free_blocks[class];
    flux_free_blocks[class] = block;
}

static inline uint32_t flux_u32_at(const uint8_t *at) {
    uint32_t number;
    __builtin_memcpy(&number, at, 4);
    return number;
}

/* Reads the context: sections of a tag, a length and bytes; unknown ones are passed over. */
static inline flux_context flux_read_context(const uint8_t *ptr, size_t len) {
    flux_context ctx = {0};
    size_t at = 0;
    while (len - at >= 5) {
        uint8_t tag = ptr[at];
        size_t body_len = flux_u32_at(ptr + at + 1);
        flux_bytes body = {ptr + at + 5, body_len};
        if (body_len > len - at - 5) {
            break;
        }
        at += 5 + body_len;
        switch (tag) {
        case 0x01: ctx.source = body; break;
        case 0x02: ctx.topic = body; break;
        case 0x03:
            if (body_len == 8) {
                __builtin_memcpy(&ctx.received_ns, body.ptr, 8);
            }
            break;
        case 0x04:
            if (body_len >= 8) {
                __builtin_memcpy(&ctx.settings_id, body.ptr, 8);
                ctx.settings = (flux_bytes){body.ptr + 8, body_len - 8};
            }
            break;
        case 0x05:
            ctx.has_request = true;
            ctx.request = body;
            break;
        case 0x06: ctx.state = body; break;
        case 0x07: ctx.device = body; break;
        case 0x08: ctx.subject = body; break;
        default: break;
        }
    }
    return ctx;
}

/* The buffer results are written to; the host reads it before it calls again. */
static uint8_t flux_result[FLUX_OUTPUT_BYTES_MAX];

static inline int64_t flux_call(
    void (*function)(const flux_context *, flux_bytes, flux_output *),
    const uint8_t *ctx_ptr, size_t ctx_len, const uint8_t *ptr, size_t len) {
    flux_context ctx = flux_read_context(ctx_ptr, ctx_len);
    flux_output out = {.bytes = flux_result};
    flux_put_u8(&out, 0x01); /* the compact binary form */
    function(&ctx, (flux_bytes){ptr, len}, &out);
    flux_finish(&out);
    if (out.overflown) {
        out = (flux_output){.bytes = flux_result};
        flux_put_u8(&out, 0x01);
        flux_error(&out, "sdk.output", "the output does not fit, or its parts are out of order");
    }
    if (out.len == 1) {
        return 0;
    }
    /* Bit 63: the buffer stays ours. */
    return (int64_t)((uint64_t)1 << 63 | (uint64_t)(uintptr_t)flux_result << 32 | out.len);
}

FLUX_EXPORT("decode") int64_t flux_export_decode(
    const uint8_t *ctx_ptr, size_t ctx_len, const uint8_t *ptr, size_t len) {
    return flux_call(flux_decode, ctx_ptr, ctx_len, ptr, len);
}

#ifdef FLUX_ENCODE
FLUX_EXPORT("encode") int64_t flux_export_encode(
    const uint8_t *ctx_ptr, size_t ctx_len, const uint8_t *ptr, size_t len) {
    return flux_call(flux_encode, ctx_ptr, ctx_len, ptr, len);
}
#endif

/* What the compiler calls where it has no single instruction. */
void *memcpy(void *to, const void *from, size_t len) { return __builtin_memcpy(to, from, len); }
void *memmove(void *to, const void *from, size_t len) { return __builtin_memmove(to, from, len); }
void *memset(void *to, int byte, size_t len) { return __builtin_memset(to, byte, len); }

int memcmp(const void *a, const void *b, size_t len) {
    const uint8_t *x = a, *y = b;
    for (size_t at = 0; at < len; at++) {
        if (x[at] != y[at]) {
            return x[at] < y[at] ? -1 : 1;
        }
    }
    return 0;
}

#endif
