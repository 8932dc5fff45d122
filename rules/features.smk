"""Features: a task's recordings run through the frozen model once; their entropies calibrate its thresholds."""


def feature_settings(wildcards):
    # Evaluation compares these with runs of the model itself; training does not mind rounding.
    precision = "float32" if wildcards.part == "test" else "float16"
    pooled = TASKS[wildcards.task].pooled
    return settings(pooled=pooled, storage=precision, batch_seconds=config["upstream"]["batch_seconds"])


def calibration_settings(task, rho):
    thresholds = config["thresholds"]
    return settings(task=task, rule=thresholds["rule"], rho=rho, absolute=thresholds["absolute"])


rule features:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        model=RUN + "/branches/daisy.pt",
        manifest=RUN + "/manifests/{task}/{part}.tsv",
    output:
        states=RUN + "/features/{task}/{part}.npy",
        table=RUN + "/features/{task}/{part}.npz",
    log:
        RUN + "/logs/features-{task}-{part}.log",
    benchmark:
        RUN + "/benchmarks/features-{task}-{part}.tsv"
    params:
        settings=feature_settings,
        code=code_digest("daisy.extract"),
        like="",
    shell:
        stage(
            "extract",
            "--model {input.model} --manifest {input.manifest} {params.like} --out {output.states} --threads {threads}",
        )


rule calibration:
    input:
        states=RUN + "/features/{task}/train.npy",
        table=RUN + "/features/{task}/train.npz",
    output:
        RUN + "/calibration/{task}/{rho}.json",
    log:
        RUN + "/logs/calibration-{task}-{rho}.log",
    params:
        settings=lambda wildcards: calibration_settings(wildcards.task, RHOS[wildcards.rho]),
        code=code_digest("daisy.calibrate"),
    shell:
        stage("calibrate", "--features {input.states} --out {output}")
