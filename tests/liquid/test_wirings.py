"""Wirings: the numbers of ncps, building by hand, refusals, round trips, graph and drawing."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim._errors import ConfigError, ParameterError
from neurosim.liquid import NCP, AutoNCP, FullyConnected, Random, Recipe, Wiring, wiring_from_dict

DATA = Path(__file__).parents[1] / "data" / "ncps"
CLASSES: dict[str, Any] = {"AutoNCP": AutoNCP, "NCP": NCP, "FullyConnected": FullyConnected, "Random": Random}
with np.load(DATA / "wirings.npz") as _file:
    GOLDEN = {key: _file[key] for key in _file.files}
CASES = json.loads(str(GOLDEN["meta"]))["wirings"]
RECIPES = [FullyConnected(5, 2), Random(6, 1, 0.5), NCP(6, 4, 2, 3, 2, 3, 2, seed=5), AutoNCP(12, 2, 0.3)]
by_name = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['cls']}")
def test_the_numbers_of_ncps(case: dict[str, Any]) -> None:
    """Matrices made by ncps 1.0.1 with numpy 2.4: equal, entry by entry."""
    recipe = CLASSES[case["cls"]](**case["kwargs"])
    wiring = recipe.with_inputs(case["input_dim"])
    np.testing.assert_array_equal(wiring.internal, GOLDEN[case["id"] + "/adjacency"])
    np.testing.assert_array_equal(wiring.sensory, GOLDEN[case["id"] + "/sensory_adjacency"])
    assert recipe.units == wiring.units == case["units"]
    assert recipe.outputs == wiring.outputs == case["output_dim"]
    assert [list(layer) for layer in wiring.layers] == case["layers"]
    assert list(wiring.kinds) == case["types"]
    assert len(wiring.synapses.source) == case["synapse_count"]
    assert len(wiring.sensory_synapses.source) == case["sensory_synapse_count"]


@by_name
def test_a_recipe_used_twice_gives_the_same(recipe: Recipe) -> None:
    first = recipe.with_inputs(3)
    recipe.with_inputs(7)
    second = recipe.with_inputs(3)
    assert first == second and hash(first) == hash(second)
    assert first != recipe.with_inputs(4)


@by_name
def test_making_draws_nothing_from_numpys_global_generator(recipe: Recipe) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    recipe.with_inputs(3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@by_name
def test_round_trip_through_json(recipe: Recipe) -> None:
    wiring = recipe.with_inputs(3)
    for thing in (recipe, wiring):
        again = wiring_from_dict(json.loads(json.dumps(thing.to_dict())))
        assert again == thing and type(again) is type(thing)
        assert type(thing).from_dict(thing.to_dict()) == thing


def test_five_layers_by_hand() -> None:
    layers = [(7, 8), (5, 6), (3, 4), (1, 2), (0,)]
    kinds = ["motor", "command", "command", *["inter"] * 6]
    wiring = Wiring.empty(2, 9, 1, kinds, layers)
    wiring = wiring.add_sensory_synapse(0, 7, 1).add_sensory_synapse(1, 8, -1)
    for near, far in itertools.pairwise(layers):
        for source in near:
            wiring = wiring.add_synapse(source, far[0], 1)
    assert len(wiring.synapses.source) == 8
    assert wiring.layers == tuple(layers)
    assert Wiring.from_dict(json.loads(json.dumps(wiring.to_dict()))) == wiring


def test_adding_a_synapse_leaves_the_old_wiring_and_overwrites_in_the_new() -> None:
    empty = Wiring.empty(1, 2)
    once = empty.add_synapse(0, 1, 1)
    twice = once.add_synapse(0, 1, -1)
    assert not empty.internal.any() and once.internal[0, 1] == 1 and twice.internal[0, 1] == -1
    assert len(twice.synapses.source) == 1
    with pytest.raises(ValueError, match="read-only"):
        once.internal[0, 0] = 1


def test_a_matrix_given_is_copied() -> None:
    given = np.eye(2)
    wiring = Wiring(np.ones((1, 2)), given)
    given[0, 1] = 1
    assert wiring.internal[0, 1] == 0 and wiring.outputs == 2 and wiring.kinds == ("motor", "motor")


def test_synapses_are_sorted_by_target() -> None:
    wiring = AutoNCP(16, 2).with_inputs(3)
    for synapses, matrix in ((wiring.synapses, wiring.internal), (wiring.sensory_synapses, wiring.sensory)):
        order = np.lexsort((synapses.source, synapses.target))
        np.testing.assert_array_equal(order, np.arange(len(order)))
        rebuilt = np.zeros_like(matrix)
        rebuilt[synapses.source, synapses.target] = synapses.polarity
        np.testing.assert_array_equal(rebuilt, matrix)


REFUSED = [
    (lambda: FullyConnected(0), r"FullyConnected\.units: must be at least 1 \(got 0\)"),
    (lambda: FullyConnected(4, 5), r"FullyConnected\.output_dim: must lie in 1\.\.4 \(got 5\)"),
    (lambda: FullyConnected(4).with_inputs(0), r"FullyConnected\.inputs: must be at least 1"),
    (lambda: Random(4, 1, 1.0), r"Random\.sparsity_level: must lie in \[0, 1\) \(got 1\.0\)"),
    (lambda: NCP(4, 3, 1, 5, 1, 1, 1), r"NCP\.sensory_fanout: must lie in 0\.\.4.* \(got 5\)"),
    (lambda: NCP(4, 3, 1, 2, 4, 1, 1), r"NCP\.inter_fanout: must lie in 0\.\.3.* \(got 4\)"),
    (lambda: NCP(4, 3, 1, 2, 1, 1, 4), r"NCP\.motor_fanin: must lie in 0\.\.3.* \(got 4\)"),
    (lambda: NCP(4, 0, 1, 2, 0, 1, 0), r"NCP\.command_neurons: must be at least 1"),
    (lambda: NCP(4, 3, 1, 2, 1, -1, 1), r"NCP\.recurrent_command_synapses: must be at least 0"),
    (lambda: AutoNCP(6, 4), r"AutoNCP\.output_size: must lie in 1\.\.3.* \(got 4\)"),
    (lambda: AutoNCP(16, 1, 0.05), r"AutoNCP\.sparsity_level: must lie in \[0\.1, 1\] \(got 0\.05\)"),
    (lambda: FullyConnected(4).with_inputs(2).with_inputs(3), r"Wiring\.inputs: .* made for 2 inputs \(got 3\)"),
    (lambda: Wiring(np.ones((1, 2)), np.full((2, 2), 2)), r"Wiring\.internal: entries must be -1, 0 or 1"),
    (lambda: Wiring(np.ones((1, 2)), np.zeros((2, 3))), r"Wiring\.internal: must be square"),
    (lambda: Wiring(np.ones((1, 3)), np.zeros((2, 2))), r"Wiring\.sensory: must be \(inputs, 2\)"),
    (lambda: Wiring(np.ones(2), np.zeros((2, 2))), r"Wiring\.sensory: must be a matrix"),
    (lambda: Wiring.empty(1, 2, 3), r"Wiring\.outputs: must lie in 1\.\.2 \(got 3\)"),
    (lambda: Wiring.empty(1, 2, 1, ["motor", "boss"]), r"Wiring\.kinds: needs one of \['inter'"),
    (lambda: Wiring.empty(1, 3, 1, (), [(0, 1)]), r"Wiring\.layers: must hold each of the neurons 0\.\.2 once"),
    (lambda: Wiring.empty(1, 2).add_synapse(0, 2, 1), r"Wiring\.add_synapse\.target: must lie in 0\.\.1 \(got 2\)"),
    (lambda: Wiring.empty(1, 2).add_sensory_synapse(1, 0, 1), r"Wiring\.add_sensory_synapse\.source: .*0\.\.0"),
    (lambda: Wiring.empty(1, 2).add_synapse(0, 1, 0), r"Wiring\.add_synapse\.polarity: must be \+1"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_does_not_fit_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        make()


def test_descriptions_that_do_not_fit_are_refused() -> None:
    whole = Wiring.empty(1, 2).to_dict()
    for broken, text in [({"wiring": "Ring"}, r"must be one of \['Wiring', .*\(got 'Ring'\)"),
                         ({**whole, "synapses": [[0, 2, 1]]}, r"no such neurons or input \(0, 2\)"),
                         ({**whole, "colour": 1}, r"Wiring\.from_dict: needs"),
                         ({"wiring": "AutoNCP", "unit": 3}, r"AutoNCP\.from_dict: needs")]:
        with pytest.raises(ConfigError, match=text):
            wiring_from_dict(broken)


def test_networkx_graph() -> None:
    wiring = AutoNCP(12, 2).with_inputs(3)
    graph = wiring.to_networkx()
    assert graph.number_of_nodes() == 15
    assert graph.number_of_edges() == np.count_nonzero(wiring.internal) + np.count_nonzero(wiring.sensory)
    assert graph.nodes["sensory_2"]["neuron_type"] == "sensory" and graph.nodes["neuron_0"]["neuron_type"] == "motor"
    source, target, polarity = (int(column[0]) for column in wiring.synapses)
    expected = "excitatory" if polarity == 1 else "inhibitory"
    assert graph.edges[f"neuron_{source}", f"neuron_{target}"]["polarity"] == expected
