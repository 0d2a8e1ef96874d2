"""Triton Python-backend model that runs the `model.onnx` beside it with ONNX Runtime.

For servers without the ONNX Runtime backend; in production Triton reads the ONNX itself.
"""

import json
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One ONNX session; requests are run one after another."""

    def initialize(self, args):
        """Load the model; the configuration names its tensors."""
        config = json.loads(args["model_config"])
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def execute(self, requests):
        """Answer each request with the model's outputs, or with the reason it could not."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        feeds = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self.inputs
        }
        try:
            values = self.session.run(self.outputs, feeds)
        except Exception as error:
            message = f"the model refused its input: {type(error).__name__}"
            code = pb_utils.TritonError.INVALID_ARG
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
        return pb_utils.InferenceResponse(
            output_tensors=[
                pb_utils.Tensor(name, value)
                for name, value in zip(self.outputs, values, strict=True)
            ]
        )
