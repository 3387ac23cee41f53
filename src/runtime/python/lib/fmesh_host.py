"""Opens a Python function for fmesh: finds its code, makes it callable, and says what went wrong in words.

Called by interpreter.cc and python_logic.cc, which run it; functions of people never see this module.
"""

import faulthandler
import importlib.machinery
import linecache
import logging
import os
import sys

ENVIRONMENT = "<fmesh>"  # the folder that fmesh's own modules seem to lie in
FRAMES_SHOWN = 3
TEXT_SIZE_MAX = 2000  # of an error, in characters
IDENTITY_NAMES = ("pulsar.functions.serde.IdentitySerDe", "pulsar.IdentitySerDe", "serde.IdentitySerDe")


class OpenError(Exception):
    """The function can't run as it is; the text says why and what to do."""


class _OwnModules:
    """Finds the modules that are part of fmesh. It is asked last, so that an installed pulsar-client comes first.

    It has what finders and loaders have, without their base classes: importlib.abc takes longer than the start of Python.
    """

    def __init__(self, modules):
        self._modules = {name: (is_package, text) for name, is_package, text in modules}

    def find_spec(self, name, path=None, target=None):
        if name not in self._modules:
            return None
        # Parts of two packages of one name do not fit together.
        parent = sys.modules.get(name.partition(".")[0])
        if "." in name and getattr(parent, "__loader__", None) is not self:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=f"{ENVIRONMENT}/{name}.py", is_package=self.is_package(name))

    def is_package(self, name):
        return self._modules[name][0]

    def get_source(self, name):
        return self._modules[name][1]

    def get_code(self, name):
        return compile(self.get_source(name), f"{ENVIRONMENT}/{name}.py", "exec", dont_inherit=True)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), module.__dict__)


def add_modules(modules):
    """Makes fmesh's own modules importable."""
    sys.meta_path.append(_OwnModules(modules))
    site_packages_of_virtual_environment()


def site_packages_of_virtual_environment():
    """A virtual environment that is active and of this Python counts, as it would for python3."""
    environment = os.environ.get("VIRTUAL_ENV")
    if not environment:
        return
    packages = os.path.join(environment, "lib", "python{}.{}".format(*sys.version_info), "site-packages")
    if os.path.isdir(packages):
        import site

        site.addsitedir(packages)


# --- what went wrong, in words ---


def _shown_path(path):
    if path.startswith(ENVIRONMENT):
        return None
    for root in sys.path:
        if root and path.startswith(root.rstrip("/") + "/"):
            return path[len(root.rstrip("/")) + 1 :]
    return os.path.basename(path)


def _is_library(path):
    return "/site-packages/" in path or "/dist-packages/" in path or path.startswith(os.path.dirname(os.__file__))


def _places(trace):
    """Where it happened, and the innermost frames of people's code on the way there."""
    frames = []
    while trace is not None:
        path = _shown_path(trace.tb_frame.f_code.co_filename)
        if path and not path.startswith("<frozen"):
            frames.insert(0, (path, trace.tb_lineno, trace.tb_frame))
        trace = trace.tb_next
    own = [one for one in frames[1:] if not _is_library(one[2].f_code.co_filename)]
    texts = []
    for path, line, frame in frames[:1] + own[: FRAMES_SHOWN - 1]:
        source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
        texts.append(f"{path}:{line} in {frame.f_code.co_name}" + (f" ({source})" if source and not texts else ""))
    return ", from ".join(texts)


def _hint(error):
    if not isinstance(error, ImportError) or not error.name:
        return ""
    name = error.name.partition(".")[0]
    if name == "pulsar":
        return "; fmesh has Function, Context and the SerDes of pulsar, for more: python3 -m pip install pulsar-client"
    if isinstance(error, ModuleNotFoundError) and name not in sys.stdlib_module_names:
        python = "{}.{}".format(*sys.version_info)
        return (
            f"; install it for Python {python} (python3 -m pip install {name}, in a virtual environment that is active when"
            " fmesh starts), name its folder in PYTHONPATH, or put its wheel into deps/ of the function's zip"
        )
    return ""


def describe(error):
    """One line: what, where, and what it came from."""
    if isinstance(error, OpenError):
        return str(error)
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        text = f"the function called sys.exit({error.code!r}); an exception that it lets out, or None, ends its work on a record"
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{error.msg}; at {_shown_path(error.filename)}:{error.lineno}"
        if error.text:
            text += f" ({error.text.strip()})"
        return f"{name}: {text}"[:TEXT_SIZE_MAX]
    text = f"{name}: {text}" if text else name
    where = _places(error.__traceback__)
    if where:
        text += f"; at {where}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and cause is not error:
        text += f"; after {type(cause).__name__}: {' '.join(str(cause).split())}"
    return (text + _hint(error))[:TEXT_SIZE_MAX]


# --- finding the code ---


def _closest(name, names):
    import difflib

    found = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _public(module):
    """What of a module could be a function: its own classes and functions."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _missing_module(error, wanted):
    return isinstance(error, ModuleNotFoundError) and error.name and (wanted + ".").startswith(error.name + ".")


def import_object(name, what):
    """The class, function or module that `name` means: module.Class, or module."""
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        module_name, attribute = name, ""
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if _missing_module(error, module_name):
            raise OpenError(f"{what} {name}: there is no module {module_name} in {sys.path[0]}") from None
        raise
    if not attribute:
        return module
    found = getattr(module, attribute, None)
    if found is not None:
        return found
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not _missing_module(error, name):
            raise
    names = _public(module)
    has = f"it has {', '.join(names)}" if names else "it has no class"
    raise OpenError(f"{what} {name}: module {module_name} has no {attribute}; {has}{_closest(attribute, names)}")


def _takes_context(function, default):
    """Whether to call it with a context: by the number of parameters that it takes, as far as that can be seen."""
    code = getattr(function, "__code__", None)
    if code is None:
        return default
    bound = 1 if getattr(function, "__self__", None) is not None else 0
    return code.co_argcount - bound >= 2 or bool(code.co_flags & 0x04)  # 0x04: *args


def _input_annotation(function):
    """bytes or str if the function says that it wants nothing else."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    position = 1 if getattr(function, "__self__", None) is not None else 0
    names = code.co_varnames[position : code.co_argcount]
    wanted = getattr(function, "__annotations__", {}).get(names[0]) if names else None
    return {bytes: "bytes", str: "text", "bytes": "bytes", "str": "text"}.get(wanted) if isinstance(wanted, (type, str)) else None


def load_function(class_name):
    """(callable, whether it takes a context). A class is made once, without arguments."""
    found = import_object(class_name, "className")
    if isinstance(found, type):
        found = found()
        function = getattr(found, "process", None)
        if not callable(function):
            raise OpenError(f"className {class_name}: the class has no method process(self, input, context)")
        return function, _takes_context(function, True)
    function = found if callable(found) else getattr(found, "process", None)
    if not callable(function):
        names = _public(found) if hasattr(found, "__name__") else []
        classes = f"; did you mean {class_name}.{names[0]}?" if names else ""
        raise OpenError(f"className {class_name}: the module has no function process(input){classes}")
    return function, _takes_context(function, False)


# --- how bytes become values ---


def make_serde(name):
    """An object with serialize() and deserialize(), by the name of its class."""
    if name in IDENTITY_NAMES:
        name = IDENTITY_NAMES[0]
    elif name.startswith("serde."):
        name = "pulsar.functions." + name
    serde = import_object(name, "SerDe")
    serde = serde() if isinstance(serde, type) else serde
    for method in ("serialize", "deserialize"):
        if not callable(getattr(serde, method, None)):
            raise OpenError(f"SerDe {name}: it has no method {method}()")
    return serde


def _known_schema(schema):
    """"bytes", "text", or None for a SerDe's name, which resources may also write there."""
    known = {"bytes": "bytes", "none": "bytes", "string": "text"}.get(schema.lower())
    if known is None and schema.lower() in ("json", "avro", "key_value", "protobuf", "protobuf_native", "auto", "auto_consume", "auto_publish"):
        raise OpenError(f"schema {schema} is not available to Python functions here; take string or bytes, or name a SerDe")
    return known


def input_decoder(serde, schema, annotated):
    """How the payloads of a stream are given: "bytes", "text", None for text where it is text, or a callable."""
    known = _known_schema(schema) if schema else None
    if known:
        return known
    name = serde or schema
    return make_serde(name).deserialize if name else annotated


def output_encoder(serde, schema):
    """None if results are written as they are."""
    if schema and _known_schema(schema):
        return None
    name = serde or schema
    return make_serde(name).serialize if name else None


# --- one function ---


def open_function(host, settings):
    """(callable, context or None, {stream: how}, how for others, encoder or None), for python_logic.cc."""
    import fmesh_context
    import fmesh_package

    if settings["dump_signal"]:
        faulthandler.enable()
        faulthandler.register(settings["dump_signal"], all_threads=True)
    fmesh_context.redirect(host)
    importlib.invalidate_caches()
    path = fmesh_package.open_package(settings["path"], settings["directory"])
    sys.path[:0] = [part for part in path if part not in sys.path]
    sys.argv = [settings["path"]]
    if not settings["class_name"]:
        raise OpenError("className is missing: the module, or module.Class, that has process()")
    function, takes_context = load_function(settings["class_name"])
    context = fmesh_context.make_context(host, settings)
    annotated = _input_annotation(function)
    decoders = {topic: input_decoder(serde, schema, annotated) for topic, serde, schema, is_pattern in settings["inputs"] if not is_pattern}
    patterns = [input_decoder(serde, schema, annotated) for _, serde, schema, is_pattern in settings["inputs"] if is_pattern]
    encoder = output_encoder(settings["output_serde"], settings["output_schema"])
    return function, context if takes_context else None, decoders, patterns[0] if patterns else annotated, encoder


def close_function():
    """What is still on its way out is written."""
    import fmesh_context

    for handler in logging.getLogger().handlers:
        handler.flush()
    fmesh_context.restore()
