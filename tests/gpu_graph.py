"""Proving a DALI graph for a GPU on a machine without one, in four layers, each catching more.

All of it rests on DALI's private interfaces, so it stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from nvidia.dali import Pipeline, backend, ops, types
from nvidia.dali.data_node import DataNode

Metadata = tuple[str, int | None, types.DALIDataType | None, str | None]
_REGISTERED = {
    "cpu": backend.RegisteredCPUOps,
    "gpu": backend.RegisteredGPUOps,
    "mixed": backend.RegisteredMixedOps,
}
#: Operators silent about their output's dimensions and layout, which running them shows to be their input's.
_SILENT = ("CoordTransform",)


def check(graph: Callable[[], DataNode]) -> Metadata:
    """Take a graph through all four layers; device, sample dimensions, dtype and layout of its output.

    Raises what DALI does, or AssertionError, in the layer that fails.
    """
    pipeline = traced(graph)
    assert not unregistered(pipeline)
    metadata = inferred(graph)
    assert backend_accepts(pipeline)
    return metadata


def traced(graph: Callable[[], DataNode]) -> Pipeline:
    """Layer 1: unknown arguments, wrong types, CPU inputs where a GPU's are due and the reverse."""
    # Only DALI's C++ constructor asks for CUDA, and tracing does not come so far.
    pipeline = Pipeline(batch_size=2, num_threads=1, device_id=0)
    with pipeline:
        pipeline.set_outputs(graph())
    pipeline._build_graph()
    return pipeline


def unregistered(pipeline: Pipeline) -> list[str]:
    """Layer 2: the operators, "name on device", that DALI does not have for the device they are put on."""
    placed = [(op._op.schema.Name(), op._op.device) for op in pipeline._ops]
    return [f"{name} on {device}" for name, device in placed if name not in _REGISTERED[device]()]


def arguments(pipeline: Pipeline) -> list[tuple[str, dict[str, Any]]]:
    """Of every operator but the inputs: its name, and what it is given for all batches alike."""
    named = ((op._op.schema.Name(), op._op._init_args) for op in pipeline._ops)
    return [
        (name, {key: value for key, value in given.items() if key[0] != "_"})
        for name, given in named
        if name != "ExternalSource"
    ]


def inferred(graph: Callable[[], DataNode]) -> Metadata:
    """Layer 3: device, dimensions of a sample, dtype and layout of the output, operator by operator."""
    generate = ops._OperatorInstance._generate_outputs

    def generate_and_infer(instance: Any) -> None:
        generate(instance)
        instance.spec.InferOutputMetadata()
        for k, node in enumerate(instance.outputs):
            _, _, node.ndim, node.dtype, layout = instance.spec.OutputDesc(k)
            node.layout = None if layout is None else str(layout)
            if instance._op.schema.Name() in _SILENT:
                node.ndim, node.layout = instance.inputs[0].ndim, instance.inputs[0].layout

    with mock.patch.object(ops._OperatorInstance, "_generate_outputs", generate_and_infer):
        (node,) = traced(graph)._graph_outputs
    return node.device, node.ndim, node.dtype, node.layout


def backend_accepts(pipeline: Pipeline) -> bool:
    """Layer 4: the C++ pipeline takes every operator, knows that it needs a GPU, and can be written down."""
    params = pipeline._get_params()
    params.device_id = None
    native = backend.Pipeline(params)
    for op in pipeline._ops:
        native.AddOperator(op.spec, op.name)
    return native.requires_gpu() and len(native.SerializeToProtobuf()) > 0
