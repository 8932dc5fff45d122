"""Features: a task's recordings run through the frozen model once; their entropies calibrate its thresholds."""


rule features:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        model=RUN + "/branches/daisy.pt",
        manifest=RUN + "/manifests/{task}/{part}.tsv",
    output:
        states=RUN + "/features/{task}/{part}.npy",
        table=RUN + "/features/{task}/{part}.npz",
    params:
        settings=lambda wildcards: settings(
            pooled=TASKS[wildcards.task].pooled,
            # Evaluation compares these with runs of the model itself; training does not mind rounding.
            storage="float32" if wildcards.part == "test" else "float16",
            batch_seconds=config["upstream"]["batch_seconds"],
        ),
        code=code_digest("daisy.extract"),
    log:
        RUN + "/logs/features-{task}-{part}.log",
    benchmark:
        RUN + "/benchmarks/features-{task}-{part}.tsv"
    shell:
        stage("extract", "--model {input.model} --manifest {input.manifest} --out {output.states} --threads {threads}")


rule calibration:
    input:
        states=RUN + "/features/{task}/train.npy",
        table=RUN + "/features/{task}/train.npz",
    output:
        RUN + "/calibration/{task}/{rho}.json",
    params:
        settings=lambda wildcards: settings(
            task=wildcards.task,
            rule=config["thresholds"]["rule"],
            rho=RHOS[wildcards.rho],
            absolute=config["thresholds"]["absolute"],
        ),
        code=code_digest("daisy.calibrate"),
    log:
        RUN + "/logs/calibration-{task}-{rho}.log",
    shell:
        stage("calibrate", "--features {input.states} --out {output}")
