#pragma once
#include <zlib.h>

// Macros that Swift cannot import.

/// Prepares to write a gzip stream: window of 32 KB, gzip header.
static inline int czlib_gzip_init(z_stream *stream, int level) {
  return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

/// Prepares to read a gzip stream.
static inline int czlib_gunzip_init(z_stream *stream) { return inflateInit2(stream, 15 + 16); }
