"""DAISY for those who want features alone: the model, shards of features, ONNX, s3prl."""
