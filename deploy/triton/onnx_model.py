"""Triton Python-backend model that runs the `model.onnx` beside it with ONNX Runtime.

For servers without the ONNX Runtime backend; in production Triton reads the ONNX itself.
Requests that Triton's dynamic batcher hands over together are run as one batch, as the ONNX
Runtime backend does.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One ONNX session."""

    def initialize(self, args):
        """Load the model; the configuration names its tensors."""
        config = json.loads(args["model_config"])
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        self.rows_max = max(1, config["max_batch_size"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def execute(self, requests):
        """Answer each request with the model's outputs, or with the reason it could not."""
        feeds = [self._feeds(request) for request in requests]
        together = self._together(feeds) if len(feeds) > 1 and self._fit(feeds) else None
        return together or [self._alone(feed) for feed in feeds]

    def _feeds(self, request):
        return {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self.inputs
        }

    def _fit(self, feeds):
        """Tell whether the requests have one shape, and one batch holds them."""
        shapes = {tuple(feed[name].shape[1:] for name in self.inputs) for feed in feeds}
        rows = sum(len(feed[self.inputs[0]]) for feed in feeds)
        return len(shapes) == 1 and rows <= self.rows_max

    def _together(self, feeds):
        """Return all answers; None when one is at fault: then each is asked alone, and told."""
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
        try:
            values = self.session.run(self.outputs, joined)
        except Exception:
            return None
        ends = np.cumsum([len(feed[self.inputs[0]]) for feed in feeds])[:-1]
        parts = [np.split(value, ends) for value in values]
        return [self._response(each) for each in zip(*parts, strict=True)]

    def _alone(self, feed):
        try:
            return self._response(self.session.run(self.outputs, feed))
        except Exception as error:
            message = f"the model refused its input: {type(error).__name__}"
            code = pb_utils.TritonError.INVALID_ARG
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

    def _response(self, values):
        return pb_utils.InferenceResponse(
            output_tensors=[
                pb_utils.Tensor(name, np.ascontiguousarray(value))
                for name, value in zip(self.outputs, values, strict=True)
            ]
        )
