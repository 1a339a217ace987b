"""Answers of students who want points for nothing, each with what it is told. None may do anything."""

from __future__ import annotations

from tests.exercises.solutions import solution_text

#: What a cheat would leave behind, in the directory in which the judging process would run it.
LEFT = "cheated"

RIGHT = solution_text("careful-write")
_HEAD = "class Mine(ex.start):\n    def vmx_write_guest_kernel_gs_base(self, vmx, data):\n"
_BODY = "        vmx.msr_guest_kernel_gs_base = data\n"
WRONG = f"{_HEAD}{_BODY}"


def inside(line: str) -> str:
    """A statement inside of the function, in front of the right ones."""
    return RIGHT.replace("        preempt_disable()\n", f"        {line}\n        preempt_disable()\n", 1)


def in_class(text: str) -> str:
    """A statement in the class, in front of the right function."""
    return RIGHT.replace("class Mine(ex.start):\n", f"class Mine(ex.start):\n    {text}\n", 1)


#: Lab 2, "a careful write", by what is tried: the text, and a part of the reason.
DESIGNS: dict[str, tuple[str, str]] = {
    "check of the type replaced": (
        f"{WRONG}\ntype(ex.exercise).check = lambda *a: None",
        "'type(ex.exercise).check = lambda *a: None' is no part of an answer",
    ),
    "grade of the exercise replaced": (
        f"{WRONG}\nobject.__setattr__(ex.exercise, 'goals', ())",
        "is no part of an answer",
    ),
    "_own of another design": (
        f"from vmxsim.designs.never_trap import NeverTrap\n{WRONG}\nMine._own = NeverTrap._own",
        "an answer imports nothing",
    ),
    "_own in the class": (in_class("_own = {}"), "a class has kernel functions here"),
    "_lowered in the class": (in_class("_lowered = {}"), "a class has kernel functions here"),
    "the state at the start": (
        in_class("_fields_at_start = {True: {}}"),
        "a class has kernel functions here",
    ),
    "the ghost's rule": (
        in_class("@staticmethod\n    def _in_register(vcpu):\n        return False\n"),
        "is no name of a kernel function",
    ),
    "a hook of Python's": (
        in_class("def __init_subclass__(cls):\n        pass\n"),
        "is no name of a kernel function",
    ),
    "a function of the simulator": (
        in_class("def functions(self):\n        return 0\n"),
        "is a name that the simulator uses",
    ),
    "the labs' sources": (
        "import json\nexec(''.join(json.load(open('source/2-careful-write.ipynb'))['cells'][7]['source']))",
        "'import json': an answer imports nothing",
    ),
    "the labs' sources by name": (
        "exec(open('notebooks/labs/source/2-careful-write.ipynb').read())",
        "is no part of an answer",
    ),
    "vmxsim bound again": (f"{WRONG}\nvmxsim = None", "'vmxsim' is given"),
    "ex bound again": (f"class ex:\n    pass\n{WRONG}", "changes no design"),
    "ex another exercise": (f"ex = vmxsim.exercise('one-tick')\n{WRONG}", "is no plain value"),
    "a word of the kernel bound again": (f"EFER_LMA = 0\n{RIGHT}", "'EFER_LMA' is given"),
    "a primitive defined again": (f"def wrmsr(msr, value):\n    return 0\n{RIGHT}", "'wrmsr' is given"),
    "requires defined again": (f"def requires(a):\n    return a\n{RIGHT}", "'requires' is given"),
    "a shipped design under the name": (
        "from vmxsim.designs.never_trap import NeverTrap as Mine",
        "an answer imports nothing",
    ),
    "a shipped design found": ("Mine = vmxsim.find_design('never-trap')", "is no plain value"),
    "a shipped design as base": (
        "class Mine(vmxsim.find_design('never-trap')):\n    pass",
        "is not the design to start from",
    ),
    "the base of the start": (RIGHT.replace("ex.start", "ex.start.__mro__[1]"), "is not the design to start"),
    "the start itself": ("Mine = ex.start", "is no plain value"),
    "a class without a base": (RIGHT.replace("(ex.start)", ""), "changes no design"),
    "a metaclass": (
        RIGHT.replace("(ex.start)", "(ex.start, metaclass=type)"),
        "'metaclass=': a class has its base and no more",
    ),
    "a keyword of the class": (RIGHT.replace("(ex.start)", "(ex.start, abstract=('f',))"), "'abstract='"),
    "a class made by type()": ("Mine = type('Mine', (ex.start,), {})", "is no plain value"),
    "a base that is computed": (
        RIGHT.replace("(ex.start)", f"((open('{LEFT}', 'w'), ex.start)[1])"),
        "is not the design to start from",
    ),
    "a decorator of the class": (f"@print\n{RIGHT}", "a class has no decorator here"),
    "a decorator that runs": (
        in_class(f"@(lambda f: open('{LEFT}', 'w') and f)\n    def helper(self, vmx):\n        return\n"),
        "the only decorator that an answer has",
    ),
    "requires with code in it": (
        in_class(f"@requires(open('{LEFT}', 'w'))\n    def helper(self, vmx):\n        return\n"),
        "the only decorator that an answer has",
    ),
    "a default that runs": (
        RIGHT.replace("data):", f"data=open('{LEFT}', 'w')):"),
        "a parameter of a kernel function has no default",
    ),
    "an annotation that runs": (
        RIGHT.replace("data):", f"data: open('{LEFT}', 'w')):"),
        "is no annotation",
    ),
    "a return annotation that runs": (
        RIGHT.replace("data):", f'data) -> exec(\'open("{LEFT}", "w")\'):'),
        "is no annotation",
    ),
    "a statement in the class": (in_class(f"open('{LEFT}', 'w')"), "a class has kernel functions here"),
    "a loop in the class": (in_class("while True: pass"), "a class has kernel functions here"),
    "a value computed in the class": (
        in_class(f"fields = {{'x': open('{LEFT}', 'w')}}"),
        "is no plain value",
    ),
    "a setting": (in_class("interception = 'always'"), "a class has kernel functions here"),
    "an f-string": (in_class(f'fields = {{f\'{{open("{LEFT}", "w")}}\': 1}}'), "write the text out"),
    "an f-string in the kernel": (
        inside(f"vmcs_read(f\"{{open('{LEFT}', 'w')}}\")"),
        "kernel functions cannot",
    ),
    "a walrus in the kernel": (inside("vmcs_read((x := 1))"), "kernel functions cannot use"),
    "a lambda in the kernel": (inside("x = (lambda: 0)()"), "every call is a step"),
    "an import in the kernel": (inside("import os"), "kernel functions cannot use 'import os'"),
    "exec in the kernel": (inside("exec('1')"), "unknown primitive 'exec'"),
    "a method of a text in the kernel": (inside("x = ''.join('')"), "every call is a step"),
    "a ghost in the kernel": (inside("vmx.true_guest_value = 0"), "no field 'true_guest_value'"),
    "os._exit": (f"import os\nos._exit(0)\n{RIGHT}", "an answer imports nothing"),
    "os._exit without an import": (
        f"{RIGHT}\n().__class__.__base__.__subclasses__()[140].__init__.__globals__['sys'].exit()",
        "is no part of an answer",
    ),
    "a thread": (
        f"import threading\nthreading.Thread(target=print).start()\n{RIGHT}",
        "an answer imports nothing",
    ),
    "a file": (f"open('{LEFT}', 'w').write('x')\n{RIGHT}", "is no part of an answer"),
    "a file in with": (f"with open('{LEFT}', 'w') as f:\n    pass\n{RIGHT}", "is no part of an answer"),
    "a file by print": (f"print('x', file=open('{LEFT}', 'w'))\n{RIGHT}", "is no part of an answer"),
    "a pickled object": (
        "import pickle\nMine = pickle.loads(b\"cos\\nsystem\\n(S'touch cheated'\\ntR.\")",
        "an answer imports nothing",
    ),
    "an append to the package": (
        f"open(vmxsim.__file__, 'a').write('# x')\n{RIGHT}",
        "is no part of an answer",
    ),
    "a magic of IPython": (f"%run labs/source/2-careful-write.ipynb\n{RIGHT}", "an answer has no magic"),
    "a shell command": (f"!touch {LEFT}\n{RIGHT}", "an answer has no magic"),
    "a lock on the process": (f"{RIGHT}\nwhile True:\n    pass", "is no part of an answer"),
    "a try around it": (f"try:\n    import x\nexcept ImportError:\n    pass\n{RIGHT}", "is no part of an"),
    "a condition around it": (
        "if vmxsim:\n    class Mine(ex.start):\n        pass",
        "is no part of an answer",
    ),
    "a comprehension": (f"x = [open('{LEFT}', 'w') for i in range(9)]\n{RIGHT}", "is no plain value"),
    "a huge text": ("x = 1\n" * 10_000 + RIGHT, "an answer has 20,000 at most"),
    "deep brackets": (f"x = {'[' * 5000}{']' * 5000}\n{RIGHT}", "line 1 of your answer"),
    "deep signs": (f"x = {'-' * 15_000}1\n{RIGHT}", "your answer"),
    "deep attributes": (inside("x = vmx" + ".a" * 7_000), "your answer"),
    "deep sums": (inside("x = " + "1+" * 7_000 + "1"), "your answer"),
    "a huge number": (f"x = {'9' * 5000}\n{RIGHT}", "your answer"),
    "a number of many bits": (inside("x = 0x1" + "0" * 40), "a number of more than 64 bits"),
    "lists that double": (
        "a = [1, 2]\n" + "".join("a = [*a, *a]\n" for _ in range(40)) + RIGHT,
        "holds more than 2,000 items",
    ),
    "a list in a list in a list": (
        "a = [1, 2]\n" + "a = [a, a, a, a]\n" * 40 + RIGHT,
        "holds more than 2,000 items",
    ),
    "a loop without end in the kernel": (inside("while 1:\n            sldt()"), "loops forever"),
    "a function that calls itself": (
        inside("self.vmx_write_guest_kernel_gs_base(vmx, data)"),
        "your answer|deep|itself|forever",
    ),
    "a number that grows": (
        RIGHT.replace(
            "        preempt_disable()\n",
            "        x = 1\n        while x:\n            x = x + x\n        preempt_disable()\n",
            1,
        ),
        "loops forever|ended|memory|seconds",
    ),
    "outputs without an answer": ("3\n'points: 4'", "is missing: write 'class Mine"),
    "an answer in a text": (f"'''{RIGHT}'''", "is missing: write 'class Mine"),
    "a null byte": (f"{RIGHT}\0", "your answer"),
    "the preemption left disabled": (
        f"{_HEAD}        preempt_disable()\n{_BODY}",
        "what the kernel must not|preemption disabled",
    ),
    "the notifier taken away": (
        f"{_HEAD}        preempt_notifier_unregister()\n{_BODY}",
        "not met|must not",
    ),
}

#: Lab 1, "one tick".
SCHEDULES: dict[str, tuple[str, str]] = {
    "a design": ("class Mine(ex.start):\n    pass", "is missing: write 'schedule"),
    "the solution of the exercise": ("schedule = ex.solution", "is no plain value"),
    "a file's name": ("schedule = 'notebooks/labs/source/solution.yaml'", "expected a list of actions"),
    "a text that names a design": (
        "schedule = 'design: /tmp/x.py:Mine\\nsteps:\\n- run\\n- guest wrmsr 0xA000\\n'",
        "design|not met",
    ),
    "yaml with Python in it": (
        "schedule = 'steps: !!python/object/apply:os.system [touch cheated]'",
        "scenario|steps",
    ),
    "yaml that doubles": (
        "schedule = 'a0: &a0 [x, x]\\n"
        + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n},' * 5}]\\n" for n in range(30))
        + "steps: *a30'",
        "your answer|scenario|field",
    ),
    "a schedule computed": ("schedule = [s for s in ['run']]", "an answer is read, not run"),
    "a number times a list": ("schedule = ['run'] * 1000000", "an answer is read, not run"),
    "ten thousand actions": ("schedule = [" + "'run'," * 1_900 + "]", "not met|not possible"),
    "an action that no guest has": ("schedule = ['run', 'points 3']", "unknown action"),
    "the value given away": (
        "schedule = ['run', 'guest wrmsr 0xA000', 'emulate rdmsr -> 0xB000']",
        "not met",
    ),
    "a number for a schedule": ("schedule = 3", "'schedule' is something else"),
}

_ENTER = "class Mine(ex.start):\n    def enter_lmode(self, vmx):\n        "
_RIGHT_ENTER = "self.vmx_set_efer(vmx, vmx.efer | EFER_LMA)"
_EXIT = "\n\n    def exit_lmode(self, vmx):\n        "
_RIGHT_EXIT = "self.vmx_set_efer(vmx, vmx.efer & ~EFER_LMA)"
#: Lab 3, "a mode that changes too early": where nothing happens, nothing breaks.
MODES: dict[str, tuple[str, str]] = {
    "no mode changes": (f"{_ENTER}return{_EXIT}return", "nothing breaks because"),
    "long mode is never left": (f"{_ENTER}{_RIGHT_ENTER}{_EXIT}return", "nothing breaks because"),
    "long mode is never entered": (f"{_ENTER}return{_EXIT}{_RIGHT_EXIT}", "nothing breaks because"),
    "long mode is left for good": (
        f"{_ENTER}{_RIGHT_ENTER}{_EXIT}vmx.efer = 0\n        self.vmx_set_efer(vmx, 0)",
        "not met",
    ),
}
