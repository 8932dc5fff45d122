"""The workflow's own logic: a config goes in; stages with their settings, inputs and folders come out.

`daisy.workflow.workflow.Workflow` is all of it. The files under ``rules/`` ask it and keep the rules alone. Free of
torch, since the Snakefile imports it while parsing, in every job.
"""
