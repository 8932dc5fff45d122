"""What every stage is told by the config: dataclasses of fields and nothing else.

The workflow fills them in, and a stage reads them from its command line. They hold no logic, so that no digest of
code needs them: a stage's values are compared as they are. Free of torch.
"""
