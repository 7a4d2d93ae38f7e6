/* Uses everything flux_plugin.h has: the first byte of a frame says what. */
#define FLUX_ENCODE
#include "flux_plugin.h"

static void every_type(const flux_context *ctx, flux_bytes frame, flux_output *out) {
    flux_message_at(out, "c-1", 1700000000000000000);
    flux_tag(out, "line", "north");
    flux_tag(out, "empty", "");
    flux_bool(out, "on", true);
    flux_bool(out, "off", false);
    flux_i64(out, "count", -7);
    flux_f64(out, "level", 0.5);
    flux_text(out, "topic", (const char *)ctx->topic.ptr, ctx->topic.len);
    flux_raw(out, "raw", (flux_bytes){frame.ptr + 1, frame.len - 1});
}

static void numbers(flux_bytes frame, flux_output *out) {
    const uint8_t *at = frame.ptr + 1;
    if (frame.len < 5) {
        flux_error(out, "everything.length", "four bytes are expected");
        return;
    }
    flux_i64(out, "u16_be", flux_u16_be(at)); /* without flux_message: the source's own device */
    flux_i64(out, "u16_le", flux_u16_le(at));
    flux_i64(out, "i16_be", flux_i16_be(at));
    flux_i64(out, "i16_le", flux_i16_le(at));
    flux_i64(out, "u32_be", flux_u32_be(at));
    flux_i64(out, "u32_le", flux_u32_le(at));
    flux_f64(out, "f32_be", (double)flux_f32_be(at));
}

static void told(const flux_context *ctx, flux_output *out) {
    flux_message(out, "");
    flux_i64(out, "source", (int64_t)ctx->source.len);
    flux_i64(out, "device", (int64_t)ctx->device.len);
    flux_i64(out, "received", ctx->received_ns);
    flux_i64(out, "request", ctx->has_request ? (int64_t)ctx->request.len : -1);
    flux_i64(out, "subject", (int64_t)ctx->subject.len);
    flux_f64(out, "plain", flux_setting_number(ctx, "plain", -1));
    flux_f64(out, "negative", flux_setting_number(ctx, "negative", -1));
    flux_f64(out, "nested", flux_setting_number(ctx, "nested", -1));
    flux_f64(out, "text", flux_setting_number(ctx, "text", -1));
}

static void count(const flux_context *ctx, flux_output *out) {
    uint8_t seen = ctx->state.len == 1 ? ctx->state.ptr[0] : 0;
    seen++;
    flux_message(out, "");
    flux_i64(out, "seen", seen);
    flux_state(out, &seen, seen < 3);
}

void flux_decode(const flux_context *ctx, flux_bytes frame, flux_output *out) {
    static char long_name[257];
    if (frame.len == 0) {
        flux_log(FLUX_WARN, "an empty frame");
        return;
    }
    switch (frame.ptr[0]) {
    case 'v': every_type(ctx, frame, out); break;
    case 'n': numbers(frame, out); break;
    case 't': told(ctx, out); break;
    case 's': count(ctx, out); break;
    case '2':
        flux_message(out, "a");
        flux_message(out, "b");
        flux_i64(out, "x", 1);
        flux_error(out, "everything.half", "the rest is missing");
        break;
    case 'o':
        flux_message(out, "");
        for (int64_t number = 0; number < 20000; number++) {
            flux_i64(out, "number", number);
        }
        break;
    case 'l':
        memset(long_name, 'x', 256);
        flux_i64(out, long_name, 1);
        break;
    case 'g':
        flux_i64(out, "x", 1);
        flux_tag(out, "late", "tag");
        break;
    default: flux_error(out, "everything.kind", "no such frame");
    }
}

void flux_encode(const flux_context *ctx, flux_bytes input, flux_output *out) {
    (void)ctx;
    flux_bytes command = flux_member(input, "command");
    static const char on[] = "\"switch_on\"";
    if (command.len != sizeof on - 1 || memcmp(command.ptr, on, command.len) != 0) {
        flux_error(out, "command.unknown", "there is switch_on");
        return;
    }
    flux_frame(out, "\x05\x01", 2);
    flux_frame(out, "\x05\x02", 2);
}
