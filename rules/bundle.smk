"""Bundle: branches, thresholds and training histograms in one file, for `daisy.load` and the command `daisy`."""


def calibrated(pattern):
    """A file per task and rho, in one order; the histograms are the first seed's."""
    return expand(RUN + pattern, task=sorted(config["tasks"]), rho=RHOS, seed=SEEDS[0]) if DAISY else []


rule bundle:
    input:
        model=BRANCHES + "/daisy.pt",
        calibrations=calibrated("/calibration/{task}/{rho}.json"),
        exits=calibrated("/downstream/{task}/seed{seed}/daisy-{rho}/exits.json"),
    output:
        RUN + "/model/daisy.safetensors",
    log:
        RUN + "/logs/bundle.log",
    benchmark:
        RUN + "/benchmarks/bundle.tsv"
    params:
        settings=settings(
            absolute=config["thresholds"]["absolute"],
            q={task: values["q"] for task, values in config["tasks"].items()},
        ),
        code=code("daisy.bundle"),
    shell:
        stage(
            "bundle",
            "--model {input.model} --calibrations {input.calibrations} --exits {input.exits} --out {output}",
        )
