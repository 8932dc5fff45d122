"""Downstream: for each task one model per method and seed, trained on the exits that the method takes."""


def downstream_settings(name, method, seed):
    task = config["tasks"][name]
    # A floor concerns exits by entropy alone.
    floor = {"floor": config["thresholds"]["floor"]} if method.startswith("daisy") else {}
    return settings(
        task=name,
        fixed_layer=fixed_layer(method),
        fusion=config["downstream"]["fusion"],
        clip=config["downstream"]["clip"],
        save_every=config["downstream"]["save_every"],
        seed=seed,
        **floor,
        **{key: value for key, value in task.items() if key != "q"},
    )


def calibration_of(wildcards):
    if not wildcards.method.startswith("daisy"):
        return []
    return f"{RUN}/calibration/{wildcards.task}/{wildcards.method.removeprefix('daisy-')}.json"


rule downstream:
    input:
        train_manifest=lambda wildcards: MANIFESTS[wildcards.task] + "/train.tsv",
        train_features=lambda wildcards: FEATURES[wildcards.task, "train"] + "/states.npy",
        train_table=lambda wildcards: FEATURES[wildcards.task, "train"] + "/states.npz",
        dev_manifest=lambda wildcards: MANIFESTS[wildcards.task] + "/dev.tsv",
        dev_features=lambda wildcards: FEATURES[wildcards.task, "dev"] + "/states.npy",
        dev_table=lambda wildcards: FEATURES[wildcards.task, "dev"] + "/states.npz",
        calibration=calibration_of,
    output:
        model=RUN + "/downstream/{task}/seed{seed}/{method}/model.safetensors",
        exits=RUN + "/downstream/{task}/seed{seed}/{method}/exits.json",
        history=RUN + "/downstream/{task}/seed{seed}/{method}/history.csv",
    log:
        RUN + "/logs/downstream-{task}-{method}-seed{seed}.log",
    benchmark:
        RUN + "/benchmarks/downstream-{task}-{method}-seed{seed}.tsv"
    params:
        settings=lambda wildcards: downstream_settings(wildcards.task, wildcards.method, int(wildcards.seed)),
        code=lambda wildcards: task_code("daisy.downstream", wildcards.task),
        state=lambda wildcards: state(
            f"{wildcards.task}-{wildcards.method}-seed{wildcards.seed}",
            downstream_settings(wildcards.task, wildcards.method, int(wildcards.seed)),
            task_code("daisy.downstream", wildcards.task),
        ),
        calibration=lambda wildcards, input: f"--calibration {input.calibration}" if input.calibration else "",
    shell:
        stage(
            "downstream",
            "--train-manifest {input.train_manifest} --train-features {input.train_features} "
            "--dev-manifest {input.dev_manifest} --dev-features {input.dev_features} {params.calibration} "
            "--state {params.state} --out {output.model} --exits {output.exits} --history {output.history} "
            "--threads {threads}",
        )
