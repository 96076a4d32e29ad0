"""Forward hooks that collect a torch model's activations for `fingerprint.Fingerprinter`.

The only module here that imports torch, and none imports it: it is for the process that runs the
model.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class ActivationRecorder:
    """Context manager that records the outputs of named modules during forward passes.

    Where a module is called more than once, as in generation token by token, its outputs are
    joined along the tokens. A failed forward pass leaves no hooks behind.
    """

    def __init__(self, model: torch.nn.Module, layers: Sequence[str]) -> None:
        """layers: names as in `model.named_modules()`; raises KeyError where one is unknown."""
        modules = dict(model.named_modules())
        self._modules = {name: modules[name] for name in layers}
        self._outputs: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
        self._handles: list[Any] = []

    def __enter__(self) -> "ActivationRecorder":
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def clear(self) -> None:
        """Forget what was recorded, before the next batch."""
        for outputs in self._outputs.values():
            outputs.clear()

    def activations(
        self, attention_mask: torch.Tensor | None = None
    ) -> list[Mapping[str, NDArray[np.float32]]]:
        """Per record: layer -> float32 (n_tokens, d).

        attention_mask: (n_records, n_tokens), 0 for padding, which is left out.
        """
        joined = {
            name: torch.cat(outputs, dim=1) for name, outputs in self._outputs.items() if outputs
        }
        arrays = {name: tensor.float().cpu().numpy() for name, tensor in joined.items()}
        keep = None if attention_mask is None else attention_mask.bool().cpu().numpy()
        n_records = max((len(array) for array in arrays.values()), default=0)
        return [
            {
                name: array[i] if keep is None else array[i][keep[i]]
                for name, array in arrays.items()
            }
            for i in range(n_records)
        ]

    def _hook(self, name: str) -> Any:
        def record(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            # Transformer blocks return (hidden states, caches, …); the first is what flows on.
            tensor = output[0] if isinstance(output, tuple) else output
            if tensor.ndim != 3:
                raise ValueError(f"layer {name!r}: output (records, tokens, width) expected")
            self._outputs[name].append(tensor.detach())

        return record
