"""Pre-training of the embedded HuBERT with fairseq: clusters of MFCC first, then of its own layer 6.

Run by `snakemake pretrain`, never by a reproduction: the weights are part of the package. fairseq lives
in an environment of its own (envs/fairseq.txt), which the first rule makes.
"""

PRETRAIN = f"{CACHE}/pretrain"
FAIRSEQ = f"{CACHE}/fairseq"
ITERATIONS = {
    "1": {"layer": "mfcc", "clusters": 100, "share": 0.3, "rate": 100, "updates": 800, "warmup": 100},
    "2": {"layer": 6, "clusters": 200, "share": 0.5, "rate": 50, "updates": 2200, "warmup": 300},
}


rule pretrain:
    input:
        cache_path("pretrain/hubert_tiny.safetensors"),


rule fairseq_environment:
    input:
        resource("envs/fairseq.txt"),
    output:
        touch(f"{FAIRSEQ}/.ready"),
    log:
        cache_path("logs/fairseq_environment.log"),
    conda:
        "../envs/daisy.yaml"
    params:
        folder=lambda wildcards, output: os.path.dirname(output[0]),
    shell:
        "(python -m venv {params.folder} && {params.folder}/bin/pip install --requirement {input}) > {log} 2>&1"


rule pretrain_dump:
    input:
        manifest=f"{MANIFESTS['speech']}/train.tsv",
        checkpoint=previous_checkpoint,
    output:
        cache_path("pretrain/{iteration}/features/train_0_1.npy"),
    log:
        cache_path("logs/pretrain_dump-{iteration}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=lambda wildcards: settings(
            layer=ITERATIONS[wildcards.iteration]["layer"],
            share=ITERATIONS[wildcards.iteration]["share"],
            seed=SEED,
        ),
        checkpoint=option("checkpoint"),
        out=lambda wildcards: f"{PRETRAIN}/{wildcards.iteration}/features",
    shell:
        stage("dump", "--manifest {input.manifest} {params.checkpoint} --out {params.out} --threads {threads}")


rule pretrain_kmeans:
    input:
        cache_path("pretrain/{iteration}/features/train_0_1.npy"),
    output:
        cache_path("pretrain/{iteration}/kmeans.npz"),
    log:
        cache_path("logs/pretrain_kmeans-{iteration}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=lambda wildcards: settings(
            clusters=ITERATIONS[wildcards.iteration]["clusters"],
            seed=SEED,
            layer=ITERATIONS[wildcards.iteration]["layer"],
        ),
    shell:
        stage("kmeans", "--shards {input} --out {output}")


rule pretrain_labels:
    input:
        manifest=expand("{folder}/{{part}}.tsv", folder=MANIFESTS["speech"]),
        centroids=cache_path("pretrain/{iteration}/kmeans.npz"),
        checkpoint=previous_checkpoint,
    output:
        cache_path("pretrain/{iteration}/labels/{part}.km"),
    log:
        cache_path("logs/pretrain_labels-{iteration}-{part}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=lambda wildcards: settings(kind="kmeans", layer=ITERATIONS[wildcards.iteration]["layer"]),
        checkpoint=option("checkpoint"),
    shell:
        stage(
            "label",
            "--manifest {input.manifest} {params.checkpoint} --centroids {input.centroids} "
            "--out {output} --threads {threads}",
        )


rule pretrain_targets:
    input:
        manifest=expand("{folder}/{{part}}.tsv", folder=MANIFESTS["speech"]),
        labels=cache_path("pretrain/{iteration}/labels/{part}.km"),
    output:
        labels=cache_path("pretrain/{iteration}/data/{part}.km"),
        manifest=cache_path("pretrain/{iteration}/data/{part}.tsv"),
        dictionary=cache_path("pretrain/{iteration}/data/dict.{part}.txt"),
    log:
        cache_path("logs/pretrain_targets-{iteration}-{part}.log"),
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: settings(classes=ITERATIONS[wildcards.iteration]["clusters"]),
    shell:
        "cp {input.manifest} {output.manifest} && "
        + stage(
            "targets",
            "--manifest {input.manifest} --labels {input.labels} --out {output.labels} "
            "--dictionary {output.dictionary}",
        )


rule pretrain_fairseq:
    input:
        environment=f"{FAIRSEQ}/.ready",
        script=resource("rules/scripts/fairseq_train.py"),
        config=resource("config/pretrain/hubert_tiny.yaml"),
        data=expand(
            cache_path("pretrain/{{iteration}}/data/{part}.{ending}"), part=("train", "dev"), ending=("tsv", "km")
        ),
        dictionary=cache_path("pretrain/{iteration}/data/dict.train.txt"),
    output:
        checkpoint=cache_path("pretrain/{iteration}/checkpoints/checkpoint_last.pt"),
        log=cache_path("pretrain/{iteration}/fairseq.log"),
    log:
        cache_path("logs/pretrain_fairseq-{iteration}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        fairseq=lambda wildcards, input: os.path.dirname(input.environment),
        data=lambda wildcards: os.path.abspath(f"{PRETRAIN}/{wildcards.iteration}/data"),
        checkpoints=lambda wildcards: os.path.abspath(f"{PRETRAIN}/{wildcards.iteration}/checkpoints"),
        iteration=lambda wildcards: ITERATIONS[wildcards.iteration],
    shell:
        "cp {input.dictionary} {params.data}/dict.km.txt && "
        "OMP_NUM_THREADS={threads} {params.fairseq}/bin/python {input.script} "
        "--config-dir $(realpath $(dirname {input.config})) --config-name hubert_tiny "
        "task.data={params.data} task.label_dir={params.data} dataset.valid_subset=dev "
        "task.label_rate={params.iteration[rate]} model.label_rate={params.iteration[rate]} "
        "optimization.max_update={params.iteration[updates]} lr_scheduler.warmup_updates={params.iteration[warmup]} "
        "checkpoint.save_dir={params.checkpoints} hydra.run.dir={params.checkpoints}/hydra 2>&1 | tee {output.log} {log}"


rule pretrained_model:
    input:
        checkpoint=cache_path("pretrain/2/checkpoints/checkpoint_last.pt"),
        log=cache_path("pretrain/2/fairseq.log"),
        manifest=f"{MANIFESTS['speech']}/train.tsv",
    output:
        model=cache_path("pretrain/hubert_tiny.safetensors"),
        card=cache_path("pretrain/hubert_tiny.md"),
    log:
        cache_path("logs/pretrained_model.log"),
    conda:
        "../envs/daisy.yaml"
    params:
        settings=settings(
            title="HuBERT tiny",
            tool="fairseq-fixed 0.12.3.1 on 2 CPU cores, float32",
            targets="iteration 1: 100 clusters of MFCC, {} updates; iteration 2: 200 clusters of iteration 1's layer 6".format(
                ITERATIONS["1"]["updates"]
            ),
        ),
    shell:
        stage(
            "export_model",
            "--checkpoint {input.checkpoint} --log {input.log} --manifest {input.manifest} "
            "--out {output.model} --card {output.card}",
        )
