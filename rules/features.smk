"""Features: a task's recordings run through the frozen model once; their entropies calibrate its thresholds."""


def features(task, part, model):
    """Folder of the states and entropies of a part, by the model with branches in the folder `model`."""
    return stored(
        f"features-{task}-{part}",
        "daisy.extract",
        settings={
            "pooled": TASKS[task].pooled,
            # Evaluation compares these with runs of the model itself; training does not mind rounding.
            "storage": "float32" if part == "test" else "float16",
            "batch_seconds": BATCH_SECONDS,
        },
        manifest=MANIFESTS[task],
        model=model,
    )


FEATURES = {(task, part): features(task, part, BRANCHES) for task in config["tasks"] for part in PARTS}


def known_states(wildcards):
    """States do not depend on branches: those of other branches on the same HuBERT take over the run's own."""
    own = FEATURES[wildcards.task, wildcards.part]
    return [] if own.endswith(wildcards.key) else f"{own}/states.npy"


def calibration_settings(task, rho):
    thresholds = config["thresholds"]
    absolute = {task: thresholds["absolute"][task]} if task in thresholds["absolute"] else {}
    return settings(task=task, rule=thresholds["rule"], rho=rho, absolute=absolute)


rule features:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        model=of("model", "/daisy.pt"),
        manifest=of("manifest", "/{part}.tsv"),
        like=known_states,
    output:
        states=STORE + "/features-{task}-{part}-{key}/states.npy",
        table=STORE + "/features-{task}-{part}-{key}/states.npz",
    log:
        STORE + "/logs/features-{task}-{part}-{key}.log",
    benchmark:
        STORE + "/benchmarks/features-{task}-{part}-{key}.tsv"
    params:
        settings=stored_settings,
        code=stored_code,
        like=lambda wildcards, input: f"--like {input.like}" if input.like else "",
    shell:
        stage(
            "extract",
            "--model {input.model} --manifest {input.manifest} {params.like} --out {output.states} --threads {threads}",
        )


rule calibration:
    input:
        states=lambda wildcards: FEATURES[wildcards.task, "train"] + "/states.npy",
        table=lambda wildcards: FEATURES[wildcards.task, "train"] + "/states.npz",
    output:
        RUN + "/calibration/{task}/{rho}.json",
    log:
        RUN + "/logs/calibration-{task}-{rho}.log",
    benchmark:
        RUN + "/benchmarks/calibration-{task}-{rho}.tsv"
    params:
        settings=lambda wildcards: calibration_settings(wildcards.task, RHOS[wildcards.rho]),
        code=code("daisy.calibrate"),
    shell:
        stage("calibrate", "--features {input.states} --out {output}")
