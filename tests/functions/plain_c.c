/* A library without C++: "route" publishes each record to the stream that its JSON member "to" names and counts it;
 * "wild" breaks the rules of the ABI, which must cost it records and nothing else. */
#include <fmesh/abi.h>
#include <string.h>

static const fmesh_host* host;

static fmesh_bytes bytes(const char* text) {
  fmesh_bytes view;
  view.data = text;
  view.size = strlen(text);
  return view;
}

static void* create(const fmesh_host* given, fmesh_instance* instance, char* error) {
  if (given->size < sizeof(fmesh_host)) {
    strcpy(error, "this function needs a newer fmesh");
    return NULL;
  }
  host = given;
  return instance;
}

static void destroy(void* self) { (void)self; }

static void route(void* self, fmesh_batch* batch, const fmesh_record* records, size_t count) {
  size_t i;
  (void)self;
  for (i = 0; i < count; ++i) {
    fmesh_record out;
    fmesh_bytes topic;
    int64_t routed = 0;
    const fmesh_json to = host->json_get(records[i].payload, bytes("to"));
    batch->current = i;
    memset(&out, 0, sizeof out);
    if (to.type != FMESH_JSON_STRING) {
      host->fail(batch, i, bytes("expected a string in \"to\""));
      continue;
    }
    if (host->json_set(batch, records[i].payload, bytes("routed"), bytes("true"), &out.payload) < 0) {
      host->fail(batch, i, host->error(batch));
      continue;
    }
    topic.data = to.raw.data + 1; /* stream names need no escapes */
    topic.size = to.raw.size - 2;
    if (host->publish(batch, i, topic, &out) < 0 || host->counter_add(batch, i, topic, 1, &routed) < 0) {
      host->fail(batch, i, host->error(batch));
    }
  }
}

static void wild(void* self, fmesh_batch* batch, const fmesh_record* records, size_t count) {
  (void)self;
  host->output(batch, count + 5, &records[0]);
}

static const fmesh_function functions[] = {
    {sizeof(fmesh_function), FMESH_NON_BLOCKING, "route", create, route, NULL, destroy},
    {sizeof(fmesh_function), 0, "wild", create, wild, NULL, destroy},
};

static const fmesh_library_table table = {FMESH_ABI_VERSION, sizeof(fmesh_library_table), 2, functions};

const fmesh_library_table* fmesh_library(void) { return &table; }
