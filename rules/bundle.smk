"""Bundle: branches, thresholds and training histograms in one file, for `daisy.load` and the command `daisy`."""


rule bundle:
    input:
        model=f"{BRANCHES}/daisy.pt",
        calibrations=calibrated("calibration/{task}/{rho}.json"),
        exits=calibrated("downstream/{task}/seed{seed}/daisy-{rho}/exits.json"),
    output:
        results("model/daisy.safetensors"),
    log:
        results("logs/bundle.log"),
    benchmark:
        results("benchmarks/bundle.tsv")
    conda:
        "../envs/daisy.yaml"
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
