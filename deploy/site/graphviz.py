"""Graphviz for a kernel in a browser: a wheel around the WebAssembly build of @viz-js/viz.

The kernel is a web worker, and vmxsim lays a picture out in the middle of a call: there is nothing to wait
with. So the module, which starts asynchronously, becomes a script that starts at once. Its license is
Graphviz's own (EPL): it stays in a wheel of its own, which only the site names.
"""

from __future__ import annotations

#: What starts asynchronously in the module, and what takes its place. Each fits exactly once.
_AT_ONCE = (
    ("async function Module(", "function Module("),
    ("import.meta.url", '""'),
    ("async function createWasm()", "function createWasm()"),
    (
        "await instantiateAsync(wasmBinary,wasmBinaryFile,info)",
        "{instance:new WebAssembly.Instance(new WebAssembly.Module(wasmBinaryFile),info)}",
    ),
    ("async function run()", "function run()"),
    ("if(runDependencies){await resolveRunDependencies()}", ""),
    ("wasmExports=await createWasm();await run();", "wasmExports=createWasm();run();"),
    ("export default Module;", ""),
)

_LAYOUT = """
const viz = Module();
const call = (name, ...given) =>
  viz.ccall(name, "number", given.map((one) => (typeof one === "string" ? "string" : "number")), given);
return (dot) => {
  viz.agerrMessages = [];
  const size = viz.lengthBytesUTF8(dot) + 1;
  const text = call("malloc", size);
  viz.stringToUTF8(dot, text, size);
  const graph = call("viz_read_one_graph", text);
  call("free", text);
  const context = call("viz_create_context");
  const failed = !graph || call("viz_layout", context, graph, "dot") !== 0;
  const drawn = failed ? 0 : call("viz_render", context, graph, "json0");
  const json = drawn ? viz.UTF8ToString(drawn) : "";
  if (drawn) call("free", drawn);
  if (graph) {
    call("viz_free_layout", context, graph);
    call("viz_free_graph", graph);
  }
  call("viz_free_context", context);
  if (!json) throw new Error(viz.agerrMessages.join("") || "no reason given");
  return json;
};
"""

_PYTHON = '''\
"""Graphviz for a kernel in a browser."""

from functools import cache
from importlib.resources import files

from pyodide.code import run_js
from pyodide.ffi import JsException


@cache
def _layout():
    return run_js(files(__name__).joinpath("graphviz.js").read_text("utf-8"))


def json0(dot: str) -> str:
    """A graph laid out by 'dot', as Graphviz's JSON. Raises ValueError with Graphviz's words if it cannot."""
    try:
        return str(_layout()(dot))
    except JsException as error:
        raise ValueError(error.message) from None
'''

_LICENSE = """\
License: MIT (Viz.js), EPL (Graphviz)

Graphviz (graphviz.org, Eclipse Public License) as Viz.js (npm: @viz-js/viz, MIT) compiles it to WebAssembly.
The sources are theirs, unchanged; only how the compiled module starts was changed.
"""


def script(module: str) -> str:
    """The JavaScript of ``lib/backend.js`` as an expression: a function from DOT to JSON.

    Raises ValueError if the module is not as expected.
    """
    for old, new in _AT_ONCE:
        if module.count(old) != 1:
            raise ValueError(
                f"@viz-js/viz has changed: '{old}' occurs {module.count(old)} times in it, not once"
            )
        module = module.replace(old, new)
    return f"(() => {{\n{module}\n{_LAYOUT}}})()\n"


def wheel_files(module: str, version: str) -> dict[str, bytes]:
    """The files of the wheel ``vmxsim_graphviz``, by name."""
    about = f"vmxsim_graphviz-{version}.dist-info"
    texts = {
        "vmxsim_graphviz/__init__.py": _PYTHON,
        "vmxsim_graphviz/graphviz.js": script(module),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: vmxsim-graphviz\nVersion: {version}\n{_LICENSE}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: vmxsim\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return {name: text.encode() for name, text in texts.items()}
