/* The border between fmesh (the host) and a library of functions: plain C99, two tables of pointers, one in each
 * direction.
 *
 * A library exports one symbol, `fmesh_library`, which returns what it holds. The host makes an instance of a function
 * with create(), hands it batches of records, and ends it with destroy(). Calls to one instance never overlap, but may
 * come from different threads. Nothing is unwound across this border: exceptions, panics and longjmp end inside the
 * library.
 *
 * Strings are UTF-8 in pointer + size, not terminated unless said. Views given by the host live for the call in which
 * they are given, those of the instance (names, config) until destroy(). Times are milliseconds since the Unix epoch.
 *
 * Growth: tables carry their size, new members go to their end, and a library checks `size` before it uses one that
 * came later than version 1. Anything else that changes raises FMESH_ABI_VERSION, and libraries have to be rebuilt. */
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

/* Where a record lies in its stream. batch_index and partition are -1 if there is none. */
typedef struct fmesh_message_id {
  int64_t ledger;
  int64_t entry;
  int32_t partition;
  int32_t batch_index;
} fmesh_message_id;

enum {
  FMESH_HAS_KEY = 1,    /* `key` is set, maybe empty */
  FMESH_NULL_VALUE = 2, /* a tombstone: there is no payload */
};

/* A record that came in. */
typedef struct fmesh_record {
  fmesh_bytes payload;
  fmesh_bytes key;
  fmesh_bytes ordering_key; /* size 0: none */
  const fmesh_property* properties;
  size_t property_count;
  int64_t event_time_ms; /* 0: not set */
  int64_t publish_time_ms;
  uint64_t sequence_id;
  fmesh_bytes topic; /* full name of the stream it came from */
  fmesh_message_id id;
  uint32_t redelivery_count;
  uint32_t flags;
} fmesh_record;

/* A record that goes out. The host copies what it points to during the call. */
typedef struct fmesh_output {
  fmesh_bytes payload;
  fmesh_bytes key;
  fmesh_bytes ordering_key;
  const fmesh_property* properties;
  size_t property_count;
  int64_t event_time_ms; /* 0: not set */
  uint32_t flags;
} fmesh_output;

typedef struct fmesh_window {
  int64_t start_ms; /* 0 and 0 for a window by count */
  int64_t end_ms;
} fmesh_window;

/* What an instance is. */
typedef struct fmesh_instance_info {
  size_t size;
  fmesh_bytes tenant;
  fmesh_bytes name_space;
  fmesh_bytes name;      /* of the function as Pulsar knows it */
  fmesh_bytes component; /* how people call it in the mesh */
  int32_t instance_id;
  int32_t instance_count;
  const fmesh_bytes* inputs; /* full names of the input streams */
  size_t input_count;
  fmesh_bytes output; /* size 0: none */
  fmesh_bytes config; /* funcConfig as JSON text, "{}" if there is none */
} fmesh_instance_info;

typedef enum fmesh_json_type {
  FMESH_JSON_NONE = 0, /* there is nothing at this path */
  FMESH_JSON_NULL,
  FMESH_JSON_BOOL,
  FMESH_JSON_NUMBER,
  FMESH_JSON_STRING,
  FMESH_JSON_ARRAY,
  FMESH_JSON_OBJECT,
  FMESH_JSON_INVALID /* the text is not JSON as far as it had to be read */
} fmesh_json_type;

/* A JSON value as the text it is: a string with its quotes and escapes, a number with all its digits. */
typedef struct fmesh_json {
  fmesh_json_type type;
  fmesh_bytes raw;
} fmesh_json;

typedef enum fmesh_level { FMESH_DEBUG = 0, FMESH_INFO = 1, FMESH_WARN = 2, FMESH_ERROR = 3 } fmesh_level;

/* One instance, from create() to destroy(). */
typedef struct fmesh_instance fmesh_instance;

/* One call of process(). A function that works through a batch sets `current` to the index of the record it is at, so
 * that a crash names that record. The rest is the host's. */
typedef struct fmesh_call {
  size_t current;
} fmesh_call;

/* What the host offers. Functions that return int give 0 for success and -1 for an error, whose text is last_error().
 * `index` is the position in the batch of the record that caused the effect. */
typedef struct fmesh_host {
  size_t size;
  uint32_t abi_version;

  /* Of an instance; from any thread until destroy() returns. */
  const fmesh_instance_info* (*info)(fmesh_instance*);
  /* The value of one member of funcConfig as JSON; type NONE if it is absent. */
  fmesh_json (*config)(fmesh_instance*, fmesh_bytes key);
  /* 1 and the value, or 0 if there is no such secret. */
  int (*secret)(fmesh_instance*, fmesh_bytes name, fmesh_bytes* value);
  int64_t (*now_ms)(fmesh_instance*);
  void (*log)(fmesh_instance*, fmesh_level, fmesh_bytes text);
  void (*metric)(fmesh_instance*, fmesh_bytes name, double value);
  /* For create(): why it returns null. */
  void (*create_failed)(fmesh_instance*, fmesh_bytes text);

  /* Of a call; on its thread only. All effects of a call become durable together, or not at all. */
  void (*output)(fmesh_call*, size_t index, const fmesh_output*);
  int (*publish)(fmesh_call*, size_t index, fmesh_bytes topic, const fmesh_output*);
  /* The record could not be processed: its outputs are dropped, its changes of the state undone, and it is retried. */
  void (*fail)(fmesh_call*, size_t index, fmesh_bytes text);
  /* For the guarantee `manual`. */
  void (*ack)(fmesh_call*, size_t index);
  int (*ack_id)(fmesh_call*, fmesh_bytes topic, const fmesh_message_id*);
  /* 1 and the value, which lives until the next call of a state_ or counter_ function; 0 if there is none; -1. */
  int (*state_get)(fmesh_call*, size_t index, fmesh_bytes key, fmesh_bytes* value);
  int (*state_put)(fmesh_call*, size_t index, fmesh_bytes key, fmesh_bytes value);
  int (*state_delete)(fmesh_call*, size_t index, fmesh_bytes key);
  /* Adds to a 64-bit counter, 0 if it is new, and gives its new value. */
  int (*counter_add)(fmesh_call*, size_t index, fmesh_bytes key, int64_t delta, int64_t* value);
  fmesh_bytes (*last_error)(fmesh_call*);

  /* JSON without a tree, on any text and thread. A path is member names and indexes: "customer.address", "items[2].id";
   * a name with a dot or a bracket in it is quoted: ["a.b"]. Only what lies before the value is read. */
  fmesh_json (*json_get)(fmesh_bytes text, fmesh_bytes path);
  /* Walks the members of an object or the elements of an array: `*cursor` starts at 0; 1 for each, 0 at the end, -1 if
   * the text is not JSON. `key` is raw, without its quotes. */
  int (*json_next)(fmesh_bytes container, size_t* cursor, fmesh_bytes* key, fmesh_json* value);
  /* Sets the value at `path` to the JSON text `value` and keeps every other byte; a last member that is absent is
   * added. The result lives until the next json_set or json_text on this call. */
  int (*json_set)(fmesh_call*, fmesh_bytes text, fmesh_bytes path, fmesh_bytes value, fmesh_bytes* result);
  /* A raw JSON string without quotes and escapes. */
  int (*json_text)(fmesh_call*, fmesh_bytes raw, fmesh_bytes* result);
} fmesh_host;

enum {
  FMESH_NON_BLOCKING = 1, /* never waits and takes little time: it may run on the thread that does the IO */
  FMESH_WINDOW = 2,       /* takes windows: process_window is set, process may be null */
};

typedef struct fmesh_function {
  const char* name; /* terminated; what a resource gives as className */
  uint32_t flags;
  /* The function's own state, or null after create_failed(). `host` lives until the process ends. */
  void* (*create)(const fmesh_host* host, fmesh_instance* instance);
  void (*process)(void* self, fmesh_call* call, const fmesh_record* records, size_t count);
  void (*process_window)(void* self, fmesh_call* call, const fmesh_record* records, size_t count,
                         const fmesh_window* window);
  void (*destroy)(void* self);
} fmesh_function;

typedef struct fmesh_library_table {
  uint32_t abi_version;   /* FMESH_ABI_VERSION of the header it was built with */
  uint32_t function_size; /* sizeof(fmesh_function) there */
  size_t function_count;
  const fmesh_function* functions;
} fmesh_library_table;

#define FMESH_LIBRARY_SYMBOL "fmesh_library"
typedef const fmesh_library_table* (*fmesh_library_entry)(void);

#if defined(__GNUC__)
#define FMESH_EXPORT __attribute__((visibility("default")))
#else
#define FMESH_EXPORT
#endif

/* Defined by the library, not by fmesh. */
FMESH_EXPORT const fmesh_library_table* fmesh_library(void);

#ifdef __cplusplus
}
#endif

#endif
