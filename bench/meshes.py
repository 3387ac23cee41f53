"""The meshes that bench/run.py measures, as resources. Names are short; every stream is made on first use."""

import json
from pathlib import Path

# A JSON line of 100 bytes with its newline, as the generator's template and as the content of the input file.
PADDING = "x" * 44
LINE_BYTES = 100


def line_of(number):
    """The 99 characters of line `number`."""
    start = '{"id":"%08d","count":1,"name":"' % (number % 100_000_000)
    end = '","status":"new"}'
    return start + "x" * (LINE_BYTES - 1 - len(start) - len(end)) + end


def write_lines(path, count):
    with open(path, "w") as out:
        for first in range(0, count, 10_000):
            out.write("".join(line_of(number) + "\n" for number in range(first, min(first + 10_000, count))))


def native(name, class_name, library, topics, output="", **more):
    spec = {
        "name": name,
        "className": class_name,
        "genericRuntime": {"language": "cpp", "functionFile": str(library)},
        "input": {"topics": topics},
        **more,
    }
    if output:
        spec["output"] = {"topic": output}
    return spec


def python(name, class_name, topics, output):
    """A function of bench/functions.py."""
    return {
        "name": name,
        "className": class_name,
        "python": {"py": str(Path(__file__).resolve().parent / "functions.py")},
        "input": {"topics": topics},
        "output": {"topic": output},
    }


def builtin(name, class_name, topics, output, config=None):
    return {
        "name": name,
        "className": class_name,
        "genericRuntime": {"language": "builtin", "functionFile": "builtin"},
        "input": {"topics": topics},
        "output": {"topic": output},
        "funcConfig": config or {},
    }


def source(name, kind, config, output):
    return {"name": name, "sourceType": kind, "sourceConfig": config, "output": {"topic": output}}


def sink(name, kind, config, topics):
    return {"name": name, "sinkType": kind, "sinkConfig": config, "input": {"topics": topics}}


def write_mesh(directory, sources=(), functions=(), sinks=()):
    """Writes mesh.json into the directory and returns its path."""
    mesh = {
        "apiVersion": "compute.functionmesh.io/v1alpha1",
        "kind": "FunctionMesh",
        "metadata": {"name": "bench"},
        "spec": {"sources": list(sources), "functions": list(functions), "sinks": list(sinks)},
    }
    path = Path(directory) / "mesh.json"
    path.write_text(json.dumps(mesh))
    return path


def generator(count):
    """The configuration of a generator of `count` records of 99 bytes as fast as it can."""
    start, end = '{"id":"{{seq}}","count":1,"name":"', '","status":"new"}'
    padding = "x" * (LINE_BYTES - 1 - len(start) - len(end) + len("{{seq}}") - 8)
    return {"count": count, "rate": 0, "template": start + padding + end}
