"""C files to functions, by tree-sitter's grammar; nothing else knows that grammar.

Three steps that keep every line's number make it exact: ``#if`` is decided first; a file is read in pieces
that end with a closing brace in the first column, so that what cannot be read in one function harms no other;
inline assembly is cut out, and its text kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from attrs import define, field

from vmxsim.csource.conditionals import Conditionals
from vmxsim.csource.interface import words_in
from vmxsim.csource.scopes import unshadowed
from vmxsim.csource.syntax import (
    Assign,
    Binary,
    Block,
    Call,
    Case,
    CFunction,
    Choose,
    Declare,
    Expression,
    If,
    Index,
    Jump,
    Label,
    Loop,
    Member,
    Name,
    Num,
    Other,
    Return,
    Switch,
    Unary,
    Unparsed,
    is_narrow,
)
from vmxsim.errors import InputError, NotUnderstoodError, remedy

try:
    import tree_sitter
    import tree_sitter_c
except ImportError:  # a browser, or a system without a wheel of them
    tree_sitter = tree_sitter_c = None  # type: ignore[assignment]

#: What the grammar does not know. A range of cases, written as ``A % B`` for it.
_RANGE = re.compile(r"(\bcase\s+\w+\s*)\.\.\.\s*([^:;{}]+):")
#: Words for the compiler and for sparse, which say nothing here.
_QUALIFIERS = re.compile(
    r"\b(?:__always_inline|noinline(?:_for_stack)?|noinstr|notrace|asmlinkage|__(?:init|exit|initdata|user|iomem|rcu"
    r"|percpu|force|must_check|maybe_unused|always_unused|used|cold|read_mostly|ro_after_init|noreturn))\b"
)
#: A type as an argument, as of container_of(): one word for it.
_TYPE_ARGUMENT = re.compile(r"(,\s*)(struct|union|enum) (\w+)(?=\s*[,)])")
#: What stands between a function's parameters and its body, for sparse.
_ANNOTATION = re.compile(r"\b__(?:must_hold|acquires|releases)\([^()\n]*\)(?=\s*\{|\s*__)")
_ASM = re.compile(r"\b(?:asm|__asm__|asm_inline)\b(?:\s+(?:volatile|__volatile__|goto|inline))*\s*\(")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_OPS = re.compile(r"\bstruct\s+kvm_x86_ops\s+\w+[^=;{}]*=\s*\{(.*?)^\}", re.S | re.M)
_OP = re.compile(r"\.(\w+)\s*=\s*&?(\w+)\s*(?:\(\s*(\w+)\s*\))?\s*(?:,|\Z)")
#: A declaration on a line of its own, as in a struct.
_MEMBER = re.compile(r"^[ \t]+([A-Za-z_][\w \t]*?[ \t]\**)(\w+)[ \t]*(?:\[\w*\]|:[ \t]*(\w+))?;", re.M)
#: A line on which a function begins, as kernel code is laid out.
_BEGINS = re.compile(r"^(?:[A-Za-z_][\w \t*]*?[ \t*])?([A-Za-z_]\w*)\(", re.M)
#: A macro at the start of a line that heads a statement.
_HEAD = re.compile(r"^[ \t]+(?:else[ \t]+)?(\b(?:scoped_(?:cond_)?guard|(?:\w+_)?for_each\w*)\s*\()", re.M)
_GUARDS = ("scoped_guard", "scoped_cond_guard")


@define
class Unit:
    """What was read of one or several files.

    ``functions`` by name, the first definition of each; ``ops`` are the entries of ``struct kvm_x86_ops``;
    ``defines`` the macros; ``asked`` the names that decided an ``#if``, with the places; ``broken`` the
    functions that could not be read, with the place; ``members`` the types with which a name is declared.
    """

    functions: dict[str, CFunction] = field(factory=dict)
    ops: dict[str, str] = field(factory=dict)
    defines: dict[str, str] = field(factory=dict)
    asked: dict[str, list[str]] = field(factory=dict)
    broken: dict[str, str] = field(factory=dict)
    members: dict[str, set[str]] = field(factory=dict)
    _in_file: dict[tuple[str, str], CFunction] = field(factory=dict)

    def find(self, name: str, file: str = "") -> CFunction | None:
        """A function by name, as code in ``file`` would call it."""
        found = self._in_file.get((file, name)) or self.functions.get(name)
        if found and file and found.file != file and found.is_static and found.file.endswith(".c"):
            return None  # another file's own
        return found

    def add(self, text: str, path: str, naming: str = "") -> None:
        """Read one more file; with ``naming`` only the functions that name this. Raises InputError for a file
        that is no text."""
        if "\0" in text:
            raise InputError("is no text: expected C", path)
        one = _read_file(text, PurePosixPath(path).name, naming)
        for name, places in one.asked.items():
            self.asked.setdefault(name, []).extend(places)
        for member, kinds in one.members.items():
            self.members.setdefault(member, set()).update(kinds)
        # What is there already stays, in its place and with its meaning.
        self.functions = self.functions | one.functions | self.functions
        self.ops = self.ops | one.ops | self.ops
        self.defines = self.defines | one.defines | self.defines
        self.broken = self.broken | one.broken | self.broken
        self._in_file = self._in_file | one._in_file | self._in_file

    def _read(self, text: str, name: str, naming: str) -> None:
        conditional = Conditionals(text)
        for asked, lines in conditional.asked.items():
            self.asked[asked] = [f"{name}:{n}" for n in lines]
        self.defines |= conditional.defines
        self._note_ops(conditional)
        for kind, member, bits in _MEMBER.findall(conditional.text):
            declared = " ".join(kind.split())
            self.members.setdefault(member, set()).add(f"{declared} : {bits}" if bits else declared)
        source = tuple(text.split("\n"))
        for before, piece in _pieces(conditional.text):
            if naming not in piece:
                continue
            piece = _ANNOTATION.sub(lambda found: " " * len(found[0]), piece)
            plain, asm = _without_asm(_RANGE.sub(r"\1 % (\2):", piece), before)
            plain = _TYPE_ARGUMENT.sub(r"\1\2_\3", _QUALIFIERS.sub(" ", _with_heads(plain)))
            found = list(_Reader(plain, source, name, before, asm, conditional.skipped).functions())
            for function in found:
                self.functions.setdefault(function.name, function)
                self._in_file.setdefault((name, function.name), function)
            if not found and (begins := _BEGINS.search(piece)) and "{" in piece:
                line = before + piece.count("\n", 0, begins.start()) + 1
                self.broken.setdefault(begins[1], f"{name}:{line}")

    def _note_ops(self, conditional: Conditionals) -> None:
        for table in _OPS.findall(_COMMENT.sub(" ", conditional.text)):
            for entry, function, pasted in _OP.findall(table):
                if pasted:  # a macro that pastes names, such as vt_op(get_msr)
                    macro = re.sub(r"\s", "", conditional.defines.get(f"{function}(name)", ""))
                    function = macro.removesuffix("##name") + pasted if macro.endswith("##name") else ""
                if function:
                    self.ops.setdefault(entry, function)


@lru_cache(maxsize=48)
def _read_file(text: str, name: str, naming: str) -> Unit:
    """What one file holds. Both sides of a patch have nearly all files in common, and ``name`` stands in what
    is read of them."""
    unit = Unit()
    unit._read(text, name, naming)
    return unit


def read_files(files: Mapping[str, str], naming: str = "") -> Unit:
    """Read files, by path; the first has the last word where two define the same. With ``naming`` only the
    functions that name this are read.

    Raises NotUnderstoodError where the grammar of C is not installed, InputError for a file that is no text.
    """
    if tree_sitter is None:
        raise NotUnderstoodError(
            "reading C needs tree-sitter and its grammar of C, which are not installed here; "
            + remedy("pip install 'vmxsim[csource]'")
        )
    unit = Unit()
    for path, text in files.items():
        unit.add(text, path, naming)
    return unit


def read_expression(text: str) -> Any:
    """An expression of C, as a macro stands for one; None if it is none."""
    reader, node = _expression_in(text)
    return None if node is None else reader.expr(node)


#: What binds less tightly than what may stand around it.
_LOOSE = ("binary_expression", "conditional_expression", "assignment_expression", "comma_expression")


def is_closed(text: str) -> bool:
    """Whether an expression means the same wherever it stands: it is in parentheses, or needs none."""
    _, node = _expression_in(text)
    return node is not None and node.type not in _LOOSE


def _expression_in(text: str) -> tuple[Any, Any]:
    if tree_sitter is None or len(text) > 2000:
        return None, None
    reader = _Reader(f"void f(void)\n{{\n{text.rstrip(';')};\n}}\n", (), "", 0, ())
    for node in reader.definitions():
        body = node.child_by_field_name("body").named_children
        if (
            not node.has_error
            and len(body) == 1
            and body[0].type == "expression_statement"
            and body[0].named_children
        ):
            return reader, body[0].named_children[0]
    return None, None


def _without_asm(text: str, before: int) -> tuple[str, list[tuple[int, str]]]:
    """The text without its inline assembly, and that, with the lines on which it begins."""
    found: list[tuple[int, str]] = []
    out: list[str] = []
    done = 0
    while match := _ASM.search(text, done):
        end = _closing(text, match.end())
        taken = text[match.start() : end]
        found.append((before + text.count("\n", 0, match.start()) + 1, taken))
        out += [text[done : match.start()], re.sub(r"[^\n]", " ", taken)]
        done = end
    return "".join([*out, text[done:]]), found


def _with_heads(text: str) -> str:
    """The text with macros that head a statement written as the grammar knows a head: ``while (...)``."""
    out: list[str] = []
    done = 0
    for match in _HEAD.finditer(text):
        if match.start(1) < done:
            continue
        end = _closing(text, match.end())
        if text[end : end + 200].lstrip()[:1] not in (";", ",", ")"):
            out += [text[done : match.start(1)], "while (", text[match.start(1) : end], ")"]
            done = end
    return "".join([*out, text[done:]])


def _closing(text: str, at: int) -> int:
    """The place behind the parenthesis that closes the one before ``at``."""
    depth, quoted = 1, False
    while depth and at < len(text):
        c = text[at]
        if c == "\\" and quoted:
            at += 1
        elif c == '"':
            quoted = not quoted
        elif not quoted:
            depth += (c == "(") - (c == ")")
        at += 1
    return at


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The file in pieces that end with a closing brace in the first column, each with the number of lines
    before it."""
    lines, begun = text.split("\n"), 0
    for n, line in enumerate(lines):
        if line.startswith("}"):
            yield begun, "\n".join(lines[begun : n + 1])
            begun = n + 1
    yield begun, "\n".join(lines[begun:])


def _language() -> Any:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))


class _Reader:
    """Reads one piece of a file."""

    _parser: Any = None

    def __init__(
        self,
        text: str,
        source: tuple[str, ...],
        file: str,
        before: int,
        asm: Iterable[tuple[int, str]],
        skipped: Collection[int] = (),
    ) -> None:
        if _Reader._parser is None:
            _Reader._parser = _language()
        self.file, self.before, self.asm, self.source = file, before, tuple(asm), source
        self.skipped = skipped
        self.tree = _Reader._parser.parse(text.encode())

    def definitions(self) -> Iterator[Any]:
        """The function definitions."""
        waiting = [self.tree.root_node]
        while waiting:
            node = waiting.pop(0)
            if node.type == "function_definition":
                yield node
            elif node.type in ("translation_unit", "ERROR", "declaration_list", "linkage_specification"):
                waiting += node.named_children

    def functions(self) -> Iterator[CFunction]:
        """The functions that it defines."""
        for node in self.definitions():
            found = self.function(node)
            if found:
                yield found

    def line(self, node: Any) -> int:
        return int(node.start_point[0]) + 1 + self.before

    def function(self, node: Any) -> CFunction | None:
        declarator = node.child_by_field_name("declarator")
        while declarator is not None and declarator.type != "function_declarator":
            declarator = declarator.child_by_field_name("declarator")
        name = None if declarator is None else declarator.child_by_field_name("declarator")
        if name is None or name.type != "identifier":
            return None
        params = []
        for p in declarator.child_by_field_name("parameters").named_children:
            if p.type == "parameter_declaration":
                inner, stars = _declared(p.child_by_field_name("declarator"))
                params.append((inner, _text(p.child_by_field_name("type")) + stars))
        first, last = self.line(node), self.before + node.end_point[0] + 1
        errors = {self.line(e) for e in _errors(node)} if node.has_error else set()
        body = node.child_by_field_name("body")
        if node.end_point[1] > 1 and body.start_point[0] < body.end_point[0]:
            errors.add(last)  # a brace too many: what follows it belongs to no function
        asm = tuple((line, text) for line, text in self.asm if first <= line <= last)
        return CFunction(
            _text(name), tuple(params), self.file, first, self.source[first - 1 : last],
            frozenset(words_in("\n".join([_text(node), *(text for _, text in asm)]))),
            lambda: unshadowed(self.block(body), [p for p, _ in params]),
            _text(node.child_by_field_name("type")), asm, tuple(sorted(errors)),
            frozenset(line for line in self.skipped if first <= line <= last),
        )  # fmt: skip

    # -- statements

    def block(self, node: Any) -> tuple[Any, ...]:
        return tuple(self.statements(node.named_children, self.before + node.end_point[0] + 1))

    def statements(self, nodes: list[Any], last: int) -> Iterator[Any]:
        """What stands in a block that ends on line ``last``. A guard() holds to the end of its block: what
        follows it goes into a block of its own."""
        nodes = [node for node in nodes if node.type != "comment"]
        n = 0
        while n < len(nodes):
            node = nodes[n]
            n += 1
            line = self.line(node)
            if guard := self.guard(node):
                yield Block(line, tuple(self.statements(nodes[n:], last)), guard, last)
                return
            yield from self.statement(node)

    def guard(self, node: Any) -> str:
        """What ``guard(preempt)();`` or ``CLASS(preempt, name)();`` holds."""
        if node.type == "expression_statement" and node.named_children:
            match self.expr(node.named_children[0]):
                case Call(Call(Name("guard"), (Name(what),)), _) | Call(
                    Call(Name("CLASS"), (Name(what), *_)), _
                ):
                    return what
        return ""

    def body(self, node: Any) -> tuple[Any, ...]:
        if node is None:
            return ()
        return self.block(node) if node.type == "compound_statement" else tuple(self.statement(node))

    def statement(self, node: Any) -> Iterator[Any]:
        line, kind, get = self.line(node), node.type, node.child_by_field_name
        match kind:
            case "comment" | "fallthrough_statement" | ";":
                return
            case "attributed_statement":
                for inner in node.named_children:
                    if inner.type != "attribute_declaration":
                        yield from self.statement(inner)
            case "compound_statement":
                yield Block(line, self.block(node))
            case "expression_statement":
                inner = _without_comments(node)
                if inner:
                    e = self.expr(inner[0])
                    if e not in (Name("fallthrough"), Name("__fallthrough")):
                        yield Expression(line, e)
            case "declaration":
                kept = any(
                    c.type == "storage_class_specifier" and _text(c) == "static" for c in node.children
                )
                declared = "static " * kept + _text(get("type"))
                for d in node.children_by_field_name("declarator"):
                    init = None
                    if d.type == "init_declarator":
                        init, d = (
                            self.expr(d.child_by_field_name("value")),
                            d.child_by_field_name("declarator"),
                        )
                    name, stars = _declared(d)
                    yield Declare(line, name, declared + stars, init)
            case "if_statement":
                other = get("alternative")
                no = _without_comments(other)[-1] if other is not None else None
                yield If(line, self.expr(get("condition")), self.body(get("consequence")), self.body(no))
            case "while_statement" | "do_statement":
                test, body = self.expr(get("condition")), self.body(get("body"))
                match test:
                    case Call(Name(name), (Name(what), *_)) if name in _GUARDS:
                        held = Block(line, body, what, self.before + node.end_point[0] + 1)
                        yield Loop(line, None, Num(0), None, (held,), test_last=True)  # break leaves it
                    case _:
                        yield Loop(line, None, test, None, body, kind == "do_statement")
            case "for_statement":
                init = get("initializer")
                declares: tuple[Any, ...] = ()
                if init is not None and init.type == "declaration":
                    declares, init = tuple(self.statement(init)), None
                loop = Loop(
                    line, None if init is None else self.expr(init), self.expr(get("condition")),
                    self.expr(get("update")), self.body(get("body")),
                )  # fmt: skip
                yield Block(line, (*declares, loop)) if declares else loop
            case "switch_statement":
                yield Switch(line, self.expr(get("condition")), self.body(get("body")))
            case "case_statement":
                value = get("value")
                match self.expr(value):
                    case None:
                        yield Case(line, ())
                    case Binary("%", first, last):
                        yield Case(line, (first, last), range=True)
                    case one:
                        yield Case(line, (one,))
                inner = [c for c in node.named_children if c != value]
                yield from self.statements(inner, self.before + node.end_point[0] + 1)
            case "labeled_statement":
                yield Label(line, _text(get("label")))
                yield from self.statements(node.named_children[1:], self.before + node.end_point[0] + 1)
            case "return_statement":
                value = _without_comments(node)
                yield Return(line, self.expr(value[0]) if value else None)
            case "break_statement" | "continue_statement":
                yield Jump(line, kind.partition("_")[0])
            case "goto_statement":
                yield Jump(line, "goto", _text(get("label")))
            case _:
                yield Unparsed(line, _text(node))

    # -- expressions

    def expr(self, node: Any) -> Any:
        if node is None:
            return None
        get = node.child_by_field_name
        match node.type:
            case "identifier" | "field_identifier" | "type_identifier" | "true" | "false" | "null":
                return Name(_text(node))
            case "number_literal":
                return _number(_text(node))
            case "parenthesized_expression":
                inner = _without_comments(node)
                return self.expr(inner[0]) if len(inner) == 1 else Other(_text(node))
            case "cast_expression":
                kind = _text(get("type"))
                return (
                    Unary(f"({kind})", self.expr(get("value")))
                    if is_narrow(kind)
                    else self.expr(get("value"))
                )
            case "call_expression":
                arguments = tuple(self.expr(a) for a in _without_comments(get("arguments")))
                called = _text(get("function"))
                if called.startswith("(") and is_narrow(called.strip("()")) and len(arguments) == 1:
                    return Unary(called, arguments[0])  # a cast: the grammar does not know the kernel's types
                return Call(self.expr(get("function")), arguments)
            case "field_expression":
                return Member(self.expr(get("argument")), _text(get("field")))
            case "subscript_expression":
                return Index(self.expr(get("argument")), self.expr(get("index")))
            case "pointer_expression":
                return Unary("&" if _text(node).startswith("&") else "*", self.expr(get("argument")))
            case "unary_expression":
                return Unary(_text(get("operator")), self.expr(get("argument")))
            case "update_expression":
                after = get("operator").start_byte > get("argument").start_byte
                return Assign(_text(get("operator"))[0] + "=", self.expr(get("argument")), Num(1), after)
            case "binary_expression":
                return Binary(_text(get("operator")), self.expr(get("left")), self.expr(get("right")))
            case "comma_expression":
                return Binary(",", self.expr(get("left")), self.expr(get("right")))
            case "assignment_expression":
                return Assign(_text(get("operator")), self.expr(get("left")), self.expr(get("right")))
            case "conditional_expression":
                return Choose(
                    self.expr(get("condition")), self.expr(get("consequence")), self.expr(get("alternative"))
                )
        return Other(_text(node))


def _without_comments(node: Any) -> list[Any]:
    return [child for child in node.named_children if child.type != "comment"]


def _declared(d: Any) -> tuple[str, str]:
    """The name that a declarator declares, and its stars."""
    stars = ""
    while d is not None and d.type in ("pointer_declarator", "array_declarator", "parenthesized_declarator"):
        stars += "" if d.type == "parenthesized_declarator" else "*"
        d = d.child_by_field_name("declarator") or (d.named_children[0] if d.named_children else None)
    return _text(d), stars


def _errors(node: Any) -> Iterator[Any]:
    """What the grammar could not read."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type == "ERROR" or one.is_missing:
            yield one
        elif one.has_error:
            waiting.extend(one.children)


def _text(node: Any) -> str:
    return "" if node is None else node.text.decode()


def _number(text: str) -> Any:
    try:
        return Num(int(text.rstrip("uUlL"), 0))
    except ValueError:
        return Other(text)
