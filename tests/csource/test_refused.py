"""What the front end does not understand is refused at its line; nothing is guessed."""

import pytest

from tests.csource.changing import changed, everywhere, sections
from tests.csource.retell import VMX, retold
from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree
from vmxsim.errors import InputError, NotUnderstoodError

REFUSED = sections("refused.c")


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_at_the_line_that_says_so(name):
    tree = changed(REFUSED[name])
    (line,) = (n for n, text in enumerate(tree.files[VMX].split("\n"), 1) if "/* refused */" in text)
    with pytest.raises(NotUnderstoodError) as refusal:
        from_tree(tree)
    assert refusal.value.where.startswith(f"vmx.c:{line}, "), str(refusal.value)
    assert len(refusal.value.message.split("\n")) == 1


@pytest.mark.parametrize("call", ["memset(&vmx->gs, 0, sizeof(vmx->gs))", "vmx->gs = old", "wipe(&vmx->gs)"])
def test_the_struct_that_holds_the_copies_is_not_changed_unseen(call):
    tree = everywhere({"vmx->msr_": "vmx->gs.msr_", "\tinvalidate_tss_limit();": f"\t{call};"})
    with pytest.raises(NotUnderstoodError) as refusal:
        from_tree(tree)
    assert "vmx_prepare_switch_to_host()" in refusal.value.where


def test_a_struct_beside_the_copies_may_change():
    from_tree(
        everywhere({"\tinvalidate_tss_limit();": "\tmemset(&vmx->segments, 0, sizeof(vmx->segments));"})
    )


FILES = {
    "empty": "",
    "svm.c": "static int svm_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)\n{\n\treturn 0;\n}\n",
    "prose": "This is no C at all: it has { one brace and no more.\n",
    "only a table": "struct kvm_x86_ops vmx_x86_ops = {\n\t.get_msr = vmx_get_msr,\n};\n",
    "a binary": "\x7fELF\x02\x01\0\0\0",
    "braces": "{" * 5000,
    "parentheses": "static int vmx_get_msr(struct kvm_vcpu *vcpu)\n{\n\treturn " + "(" * 5000 + "1;\n}\n",
    "directives": "#if 1\n" * 3000 + "#endif\n",
    "a macro that stands for itself": "#define A B\n#define B A\n#if A\nint x;\n#endif\n",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_the_entry_points_is_refused(name):
    with pytest.raises(InputError) as refusal:
        from_tree(Tree(name, {VMX: FILES[name]}))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "entry", ["vmx_vcpu_put", "vmx_get_msr", "vmx_set_msr", "vmx_set_efer", "vmx_set_cr0"]
)
def test_an_entry_point_that_is_missing_is_named(entry):
    files = retold("never-trap").files
    with pytest.raises(NotUnderstoodError) as refusal:
        from_tree(Tree("a tree", {VMX: files[VMX].replace(f" {entry}(struct", f" other_{entry}(struct")}))
    assert entry in str(refusal.value)
