"""Hooks on a small torch model; skipped where torch is not installed."""

import numpy as np
import pytest

from scoring.core.fingerprint import FingerprintSpec, random_projections

torch = pytest.importorskip("torch", reason="torch is an optional extra")
hooks = pytest.importorskip("scoring.core.torch_hooks")


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 6)

    def forward(self, x):
        return self.linear(x), "cache"


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.blocks:
            x, _ = block(x)
        return x


def test_records_activations_and_leaves_no_hooks():
    model, layers = Model(), ["blocks.0", "blocks.1"]
    x, mask = torch.randn(2, 5, 6), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with hooks.ActivationRecorder(model, layers) as recorder:
        last = model(x)
    records = recorder.activations(mask)
    assert [record["blocks.0"].shape for record in records] == [(5, 6), (3, 6)]
    np.testing.assert_allclose(records[0]["blocks.1"], last[0].detach().numpy())
    model(x)
    assert recorder.activations()[0]["blocks.0"].shape == (5, 6)
    spec = FingerprintSpec(layers=tuple((name, 6) for name in layers), size=16)
    assert random_projections(spec).extract_batch(records).shape == (2, 16)


def test_joins_the_tokens_of_repeated_calls_and_forgets_when_cleared():
    model = Model()
    with hooks.ActivationRecorder(model, ["blocks.0"]) as recorder:
        model(torch.randn(1, 4, 6))
        model(torch.randn(1, 1, 6))
    assert recorder.activations()[0]["blocks.0"].shape == (5, 6)
    recorder.clear()
    assert recorder.activations() == []


def test_unknown_layers_are_refused():
    with pytest.raises(KeyError):
        hooks.ActivationRecorder(Model(), ["blocks.9"])
