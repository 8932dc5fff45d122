"""Features: a task's recordings run through the frozen model once; their entropies calibrate its thresholds."""

FEATURES = {(task, part): features(task, part, BRANCHES) for task in config["tasks"] for part in PARTS}


rule features:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        model=of("model", "daisy.pt"),
        manifest=of("manifest", "{part}.tsv"),
        like=known_states,
    output:
        states=store_path("features-{task}-{part}-{key}/states.npy"),
        table=store_path("features-{task}-{part}-{key}/states.npz"),
    log:
        store_path("logs/features-{task}-{part}-{key}.log"),
    benchmark:
        store_path("benchmarks/features-{task}-{part}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        disk_mb=states_mb,
    params:
        settings=stored_settings,
        code=stored_code,
        like=option("like"),
    shell:
        stage(
            "extract",
            "--model {input.model} --manifest {input.manifest} {params.like} --out {output.states} --threads {threads}",
        )


rule calibration:
    input:
        states=lambda wildcards: f"{FEATURES[wildcards.task, 'train']}/states.npy",
        table=lambda wildcards: f"{FEATURES[wildcards.task, 'train']}/states.npz",
    output:
        results("calibration/{task}/{rho}.json"),
    log:
        results("logs/calibration-{task}-{rho}.log"),
    benchmark:
        results("benchmarks/calibration-{task}-{rho}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: calibration_settings(wildcards.task, RHOS[wildcards.rho]),
        code=code("daisy.calibrate"),
    shell:
        stage("calibrate", "--features {input.states} --out {output}")
