"""torch's checkpoints, in every container that it has had, and the names of members and files that mark these."""

EXPORTED_CONFIG = "data/weights/model_weights_config.json"
"""The member that only `torch.export`'s archives have."""

DISTRIBUTED = ".metadata"
"""The file in the folder of a distributed checkpoint that describes the others."""

CODE = "code"
"""The node, as `TensorInfo.config` has it, of the constants that belong to a TorchScript archive's program."""
