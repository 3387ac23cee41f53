/* The border between fmesh and a function library: plain C, so that a library built by another compiler, or written in
 * another language, loads. C++ authors include function.h instead, which is built on this.
 *
 * A library exports fmesh_library(), which returns its table. fmesh makes one function object per instance, gives it
 * batches, and destroys it. Calls for one object never overlap; they may come on different threads. No exception and no
 * panic may cross this border. Everything handed over is borrowed for the time of the call, in both directions.
 *
 * Tables begin with a version and their size in bytes; later versions only add members at the end, so a library runs
 * with every fmesh of the same FMESH_ABI_VERSION that is not older than its own header. */
#ifndef FMESH_ABI_H
#define FMESH_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMESH_ABI_VERSION 1u

typedef struct fmesh_bytes {
  const char* data;
  size_t size;
} fmesh_bytes;

typedef struct fmesh_property {
  fmesh_bytes key;
  fmesh_bytes value;
} fmesh_property;

typedef struct fmesh_message_id {
  int64_t ledger;
  int64_t entry;
  int32_t partition;   /* -1: the stream has no partitions */
  int32_t batch_index; /* -1: the entry holds one record */
} fmesh_message_id;

enum { FMESH_HAS_KEY = 1, FMESH_NULL_VALUE = 2 };

/* An input record, or one to be written; `topic`, `id`, `publish_time_ms`, `sequence_id` and `redelivery_count` are
 * ignored in the latter. Without a key, an event time or properties of its own, an output takes those of its input
 * record. */
typedef struct fmesh_record {
  fmesh_bytes payload;
  fmesh_bytes key;
  fmesh_bytes ordering_key;
  fmesh_bytes topic;
  const fmesh_property* properties;
  size_t property_count;
  int64_t event_time_ms; /* 0: not set */
  int64_t publish_time_ms;
  uint64_t sequence_id;
  fmesh_message_id id;
  uint32_t redelivery_count;
  uint32_t flags;
} fmesh_record;

typedef struct fmesh_window {
  int64_t start_ms; /* 0 and 0: a window by count */
  int64_t end_ms;
} fmesh_window;

/* One call of process(). `current` is the index of the record at work: the library keeps it, so that a crash can be
 * reported with its record. */
typedef struct fmesh_batch {
  size_t current;
} fmesh_batch;

typedef struct fmesh_instance fmesh_instance;

typedef struct fmesh_identity {
  fmesh_bytes tenant;
  fmesh_bytes name_space;
  fmesh_bytes name;
  int32_t instance_id;
  int32_t instance_count;
} fmesh_identity;

/* The streams of an instance, by full name. */
typedef struct fmesh_streams {
  const fmesh_bytes* inputs;
  size_t input_count;
  fmesh_bytes output; /* size 0: none */
} fmesh_streams;

typedef enum fmesh_json_type {
  FMESH_JSON_NONE = 0, /* there is nothing at this path */
  FMESH_JSON_NULL = 1,
  FMESH_JSON_BOOL = 2,
  FMESH_JSON_NUMBER = 3,
  FMESH_JSON_STRING = 4,
  FMESH_JSON_ARRAY = 5,
  FMESH_JSON_OBJECT = 6,
  FMESH_JSON_INVALID = 7 /* the text is not JSON, as far as it had to be read */
} fmesh_json_type;

/* A JSON value as the text it is: a string with its quotes and escapes, a number with all its digits. */
typedef struct fmesh_json {
  fmesh_json_type type;
  fmesh_bytes raw;
} fmesh_json;

enum { FMESH_DEBUG = 0, FMESH_INFO = 1, FMESH_WARN = 2, FMESH_ERROR = 3 };

/* What fmesh offers. `index` is the input record that causes the effect. Functions that return int give 1 for yes, 0
 * for no or none, -1 for an error whose text is error(batch). */
typedef struct fmesh_host {
  uint32_t abi_version;
  uint32_t size;

  void (*output)(fmesh_batch*, size_t index, const fmesh_record*);
  int (*publish)(fmesh_batch*, size_t index, fmesh_bytes topic, const fmesh_record*);
  void (*fail)(fmesh_batch*, size_t index, fmesh_bytes text);
  void (*ack)(fmesh_batch*, size_t index);
  int (*ack_id)(fmesh_batch*, fmesh_bytes topic, const fmesh_message_id*);
  /* The value is borrowed until the next state call of this batch. */
  int (*state_get)(fmesh_batch*, size_t index, fmesh_bytes key, fmesh_bytes* value);
  int (*state_put)(fmesh_batch*, size_t index, fmesh_bytes key, fmesh_bytes value);
  int (*state_delete)(fmesh_batch*, size_t index, fmesh_bytes key);
  int (*counter_add)(fmesh_batch*, size_t index, fmesh_bytes key, int64_t delta, int64_t* value);
  fmesh_bytes (*error)(fmesh_batch*);

  void (*log)(fmesh_instance*, int level, fmesh_bytes text);
  void (*metric)(fmesh_instance*, fmesh_bytes name, double value);
  fmesh_bytes (*config)(fmesh_instance*); /* funcConfig as JSON text; borrowed while the instance lives */
  int (*secret)(fmesh_instance*, fmesh_bytes name, fmesh_bytes* value);
  int64_t (*now_ms)(fmesh_instance*);
  fmesh_identity (*identity)(fmesh_instance*);
  fmesh_streams (*streams)(fmesh_instance*);

  /* JSON without a tree. A path is member names and indexes: "customer.address", "items[2].id". Views point into
   * `text`; json_get reads only up to the value. From any thread. */
  fmesh_json (*json_get)(fmesh_bytes text, fmesh_bytes path);
  /* Walks an object's members or an array's elements: `*cursor` starts at 0. 1: the next one, 0: the end, -1: not JSON.
   * `key` is a string with its quotes and escapes; empty in an array. */
  int (*json_next)(fmesh_bytes container, size_t* cursor, fmesh_bytes* key, fmesh_json* value);
  /* Sets the value at `path` to the JSON text `value` and keeps every other byte; a last member that is absent is
   * added. The result is borrowed until the next json_set or json_text of this batch. 1, or -1 with error(batch). */
  int (*json_set)(fmesh_batch*, fmesh_bytes text, fmesh_bytes path, fmesh_bytes value, fmesh_bytes* result);
  /* What a JSON string stands for, without its quotes and escapes. 1, or -1 with error(batch). */
  int (*json_text)(fmesh_batch*, fmesh_bytes raw, fmesh_bytes* result);
} fmesh_host;

/* FMESH_NON_BLOCKING: it never waits for anything, so it runs on the loop of its instance and saves the way to a
 * worker. FMESH_BATCH: several records cost it little more than one, so it is given as many as there are. Without it a
 * function that is slow is given few at a time, so that what is done becomes durable soon. */
enum { FMESH_NON_BLOCKING = 1, FMESH_BATCH = 2 };

typedef struct fmesh_function {
  uint32_t size;
  uint32_t flags;
  const char* name;
  /* NULL: refused; a text of at most 511 bytes and a zero goes to `error`, which has room for 512. */
  void* (*create)(const fmesh_host*, fmesh_instance*, char* error);
  void (*process)(void* self, fmesh_batch*, const fmesh_record* records, size_t count);
  /* NULL: the function takes no windows. */
  void (*process_window)(void* self, fmesh_batch*, const fmesh_record* records, size_t count, const fmesh_window*);
  void (*destroy)(void* self);
} fmesh_function;

typedef struct fmesh_library_table {
  uint32_t abi_version;
  uint32_t size;
  size_t function_count;
  const fmesh_function* functions;
} fmesh_library_table;

#if defined(__GNUC__)
#define FMESH_EXPORT __attribute__((visibility("default")))
#else
#define FMESH_EXPORT
#endif

/* The one symbol of a library. */
FMESH_EXPORT const fmesh_library_table* fmesh_library(void);

#ifdef __cplusplus
}
#endif

#endif
