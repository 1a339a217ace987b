"""A state space: the checker's transitions, whole action by whole action, and its picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from vmxsim.checker.states_at_rest import StateSpace, TooManyStates, states_at_rest
from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError
from vmxsim.simulation.run import run
from vmxsim.widgets.state_space import state_space

SMALL = ("one-value", "no-smm", "no-swapgs", "no-emulation", "no-set-efer")


def follow(space: StateSpace, long_mode: bool, actions: list[str]) -> list[int]:
    """The nodes that actions lead through; 0 where something breaks."""
    at = next(n.number for n in space.nodes if n.start and n.look.long_mode == long_mode)
    path = [at]
    for action in actions:
        node = space.nodes[at - 1]
        edges = [e for e in space.edges if e.source == at and action in e.actions]
        assert bool(edges) != (action in node.stays), f"{action} in state {at}"
        at = edges[0].target if edges else at
        path.append(at)
        if not at:
            break
    return path


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_it_says_what_a_run_says(design: str, host: str) -> None:
    space = states_at_rest(design, host, SMALL)
    schedules = (
        (True, ["run", "guest wrmsr 0xA000", "guest long-mode off", "guest wrmsr 0xA000", "exit", "get-msr"]),
        (False, ["set-msr 0xA000", "run", "preempt", "guest rdmsr", "guest long-mode on", "exit"]),
        (True, ["run cancelled", "run", "guest wrmsr 0xA000", "preempt", "guest rdmsr", "exit", "run"]),
    )
    for long_mode, actions in schedules:
        path = follow(space, long_mode, actions)
        done = actions[: len(path) - 1]
        written = ["preempt cpu0" if action == "preempt" else action for action in done]
        trace = run(written, design, host=host, long_mode=long_mode, cpus=1)
        broken = [v for v in trace.violations if v.invariant != "expectation"]
        assert bool(broken) == (path[-1] == 0)
        assert all(v.action == len(done) - 1 for v in broken[:1])
        for number, result in zip(path[1:], trace.results, strict=True):
            if number:
                look = space.nodes[number - 1].look
                assert (look.mode == "guest") == result["in_guest"]
                assert (look.long_mode, look.loaded) == (result["long_mode"], result["loaded"])
                assert str(look.cells[0].value) == result["registers"][0]
                assert str(look.cells[1].value) == result["guest_saved"]
                assert str(look.true) == result["true_guest_value"]


def test_too_many_states_say_what_makes_them_fewer() -> None:
    with pytest.raises(TooManyStates, match="626 states at rest") as told:
        states_at_rest("dedicated-accessors")
    assert told.value.suggestion == ("one-value", "no-smm", "no-swapgs")
    assert len(states_at_rest("dedicated-accessors", assume=told.value.suggestion).nodes) == told.value.fewer
    with pytest.raises(TooManyStates, match="9 states at rest, and a picture can show 3$") as told:
        states_at_rest("host-from-thread", assume=(*SMALL, "no-set-msr"), most=3)
    assert told.value.suggestion == ()
    with pytest.raises(TooManyStates):
        states_at_rest("lazy-long-mode")


@pytest.mark.parametrize(
    "arguments",
    [{"design": "x"}, {"host": "16-bit"}, {"assume": "no-smn"}, {"gs_base_from": "mrs"}, {"fsgsbase": "yes"}],
)
def test_bad_arguments(arguments: dict[str, str]) -> None:
    with pytest.raises(InputError) as told:
        state_space(**({"design": "vcpu-vt"} | arguments))
    assert not isinstance(told.value, TooManyStates)


def test_what_breaks_and_what_would_be_read_wrongly() -> None:
    space = states_at_rest("dedicated-accessors", assume=SMALL)
    assert {e.broken for e in space.edges if not e.target} == {("guest-value", "no-leak"), ("guest-value",)}
    assert all(node.look.right for node in space.nodes)
    assert space.states > len(space.nodes)
    lazy = states_at_rest("lazy-long-mode", assume=SMALL)
    assert any(not node.look.right for node in lazy.nodes)
    safe = states_at_rest("vcpu-vt", assume=SMALL)
    assert all(edge.target for edge in safe.edges)


def test_a_design_that_fails_leads_to_the_contract() -> None:
    class Mine(DESIGNS["vcpu-vt"]):  # type: ignore[misc]
        """Asks for what must not be asked for here."""

        def vmx_prepare_switch_to_guest(self, vmx):
            preempt_enable()  # noqa: F821

    space = states_at_rest(Mine, assume=SMALL)
    assert {e.broken for e in space.edges if not e.target} == {("contract",)}


def test_early_breaches_are_left_out() -> None:
    names = (*SMALL, "guest-wrote-first")
    space = states_at_rest("dedicated-accessors", assume=names, most=60)
    assert all(e.broken for e in space.edges if not e.target)


def test_the_picture_for_a_notebook(tmp_path: Path) -> None:
    shown = state_space("dedicated-accessors", assume=SMALL)
    bundle = shown._repr_mimebundle_()
    assert 'role="img"' in bundle["text/html"]
    assert "As text" in bundle["text/html"]
    assert "State 1 (a start): in user space" in bundle["text/plain"]
    assert "guest long-mode on: breaks guest-value, no-leak." in repr(shown)
    shown.save(tmp_path / "space.svg")
    ElementTree.parse(tmp_path / "space.svg")


def test_without_graphviz_there_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from vmxsim.views.layout import GraphvizMissing

    def missing(*_: object) -> None:
        raise GraphvizMissing("no Graphviz")

    monkeypatch.setattr("vmxsim.widgets.state_graph.layout", missing)
    html = state_space("vcpu-vt", assume=SMALL).html()
    assert "no Graphviz" in html
    assert "State 1 (a start)" in html
    assert "<svg" not in html
