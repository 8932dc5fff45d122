"""DAISY for those who want features alone: the model and its one file, features of folders, ONNX, s3prl."""
